//! What is shown: never what lies there.

use super::{Trial, trial::shows_none};

/// Neither the provider nor what it gives shows a secret.
pub async fn nothing_shows_a_secret(trial: &Trial<'_>) {
    trial.put(1, "s3cret-one").await;
    let secret = trial.fetch(1).await.expect("a secret");
    let shown = format!("{secret:?} {:?} {:?}", trial.provider(), trial.secrets());
    assert!(!shown.contains("s3cret"), "a secret is shown: {shown}");
}

/// An error says what is wrong, and not what else lies there.
pub async fn errors_show_no_secret(trial: &Trial<'_>) {
    trial.put(1, "s3cret-one").await;
    trial.fetch(1).await.expect("a secret");
    for odd in [trial.id(2), String::new(), "\0".to_owned()] {
        let e = trial.fetch_id(&odd).await.expect_err("there is no such secret");
        shows_none(&e, &["s3cret"]);
    }
    trial.remove(1).await;
    let e = trial.fetch(1).await.expect_err("it was removed");
    shows_none(&e, &["s3cret"]);
}

/// Where a place is broken, the error does not quote what lies there: half a secret is one.
pub async fn a_broken_place_shows_no_secret(trial: &Trial<'_>) {
    trial.put(1, "s3cret-one").await;
    for text in ["s3cret-two", "{\"s3cret", "[\"s3cret-two\"]", "\"s3cret-two\""] {
        trial.place().break_with(text).await;
        let e = trial.fetch(1).await.expect_err("the place is broken");
        shows_none(&e, &["s3cret"]);
        let e = trial.secrets().get(&trial.reference(1)).await.expect_err("the place is broken");
        shows_none(&e, &["s3cret"]);
    }
}
