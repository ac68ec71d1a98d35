//! What is shown: no secret, by nobody.

use openclaw_core::{Error, Happened};
use openclaw_testkit::conformance::__quotes as quotes;

use super::{Trial, trial::request};

fn shows_none(trial: &Trial<'_>, what: &str, shown: &str) {
    for (n, secret) in trial.peer().secrets().iter().enumerate() {
        assert!(!shown.contains(secret), "{what} shows secret number {n}");
    }
}

/// What it adds is marked as sensitive: a request can be logged.
pub async fn what_is_added_is_not_shown(trial: &Trial<'_>) {
    let (request, _) = trial.signed(None).await;
    shows_none(trial, "a signed request", &format!("{request:?} {}", request.uri()));
}

/// Neither the way to sign nor the name of a credential shows a secret.
pub async fn nothing_shows_a_secret(trial: &Trial<'_>) {
    for _ in 0..2 {
        let old = trial.rotated().await;
        shows_none(trial, "the name of a credential", &format!("{old:?}"));
        shows_none(trial, "the way to sign", &format!("{:?} {:#?}", trial.auth(), trial.auth()));
        trial.accepted(Some(old)).await;
        trial.calm().await;
    }
}

/// Asks once the credentials are gone; what it used to have was refused.
async fn empty(trial: &Trial<'_>) -> Error {
    let old = trial.rotated().await;
    trial.peer().take_away().await;
    let mut bare = request();
    let e = trial.sign(&mut bare, Some(old)).await.expect_err("there are none to be had");
    assert_eq!(bare.headers(), request().headers(), "half a signature");
    assert_eq!(bare.uri(), request().uri(), "half a signature");
    e
}

/// Where there are no credentials there is an error, nothing was sent, and the request is bare.
pub async fn without_credentials_there_is_an_error(trial: &Trial<'_>) {
    let e = empty(trial).await;
    assert_eq!(e.happened(), Happened::No, "{e}");
}

/// An error says what is wrong, and quotes no credential.
pub async fn errors_show_no_secret(trial: &Trial<'_>) {
    let e = empty(trial).await;
    for (n, secret) in trial.peer().secrets().iter().enumerate() {
        assert!(!quotes(&e, secret), "an error of kind {} quotes secret number {n}", e.kind());
        let mut cause = std::error::Error::source(&e);
        while let Some(inner) = cause {
            let shown = format!("{inner} {inner:?}");
            assert!(!shown.contains(secret), "a cause of an error quotes secret number {n}");
            cause = inner.source();
        }
    }
}
