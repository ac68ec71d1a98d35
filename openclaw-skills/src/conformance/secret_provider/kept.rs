//! Behind `Secrets`: kept for its time, never longer, and named by its reference.

use openclaw_core::{ErrorKind, Happened};

use super::{Trial, trial::shows_none};
use crate::api::Credential;

/// A secret that is not there is `NOT_FOUND` by the name of its reference; nothing was sent.
pub async fn a_missing_secret_is_named_by_its_reference(trial: &Trial<'_>) {
    trial.put(2, "s3cret").await;
    let reference = trial.reference(1);
    let e = trial.secrets().get(&reference).await.expect_err("nothing was put");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::NotFound, Happened::No), "{e}");
    assert!(e.to_string().contains(&reference.to_string()), "{e} does not name {reference:?}");
    shows_none(&e, &["s3cret"]);
}

/// A secret is kept for its time; behind it the new one is seen.
pub async fn a_rotated_secret_is_seen_behind_its_time(trial: &Trial<'_>) {
    let (secrets, reference) = (trial.secrets(), trial.reference(1));
    for n in 0..3 {
        let text = format!("s3cret-{n}");
        trial.put(1, &text).await;
        trial.behind_its_time().await;
        let secret = secrets.get(&reference).await.expect("a secret");
        assert_eq!(secret.expose(), text, "behind its time");
    }
}

/// A secret that was refused is read anew at once.
pub async fn a_refused_secret_is_read_anew_at_once(trial: &Trial<'_>) {
    let (secrets, reference) = (trial.secrets(), trial.reference(1));
    let mut refused = None;
    for n in 0..3 {
        let text = format!("s3cret-{n}");
        trial.put(1, &text).await;
        if let Some(refused) = refused {
            secrets.invalidate(&reference, refused);
        }
        let secret = secrets.get(&reference).await.expect("a secret");
        assert_eq!(secret.expose(), text, "behind a refusal");
        refused = Some(Credential::of(&secret));
    }
}

/// A secret that was taken away is not served from memory behind its time, or once it was refused.
pub async fn a_secret_that_is_gone_is_not_remembered(trial: &Trial<'_>) {
    let (secrets, reference) = (trial.secrets(), trial.reference(1));
    for refused in [false, true] {
        trial.put(1, "s3cret").await;
        let secret = secrets.get(&reference).await.expect("a secret");
        trial.remove(1).await;
        match refused {
            true => secrets.invalidate(&reference, Credential::of(&secret)),
            false => trial.behind_its_time().await,
        }
        let e = secrets.get(&reference).await.expect_err("it was taken away");
        assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    }
}
