//! A fetch: the secret as it is now, whole, and its own.

use openclaw_core::ErrorKind;
use openclaw_testkit::conformance::{__abandon as abandon, __together as together};

use super::Trial;

/// A secret is given out letter by letter, line ends inside it included.
pub async fn a_secret_is_what_was_put(trial: &Trial<'_>) {
    let long = "0123456789abcdef".repeat(256);
    for text in [
        "s3cret",
        " with spaces around ",
        "\"quoted\" and \\escaped\\ and $(run) and %PATH%",
        "-----BEGIN KEY-----\nczNjcmV0\n-----END KEY-----",
        "ünïcödé 🦀",
        "{\"json\":[1]}",
        &long,
    ] {
        trial.put(1, text).await;
        assert_eq!(trial.text(1).await, text);
    }
}

/// Where there is no secret, or none any more, there is `NOT_FOUND`.
pub async fn a_secret_that_is_not_there_is_not_found(trial: &Trial<'_>) {
    let e = trial.fetch(1).await.expect_err("nothing was put");
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    trial.put(1, "s3cret").await;
    let e = trial.fetch(2).await.expect_err("another one was put");
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
    trial.remove(1).await;
    let e = trial.fetch(1).await.expect_err("it was removed");
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
}

/// A provider keeps nothing itself: a new secret is seen at the next fetch.
pub async fn a_new_secret_is_seen_at_the_next_fetch(trial: &Trial<'_>) {
    for n in 0..3 {
        let text = format!("s3cret-{n}");
        trial.put(1, &text).await;
        assert_eq!(trial.text(1).await, text, "as it is now");
    }
}

/// Each id has a secret of its own.
pub async fn ids_are_told_apart(trial: &Trial<'_>) {
    for n in [1, 10, 11] {
        trial.put(n, &format!("s3cret-{n}")).await;
    }
    for n in [11, 1, 10] {
        assert_eq!(trial.text(n).await, format!("s3cret-{n}"));
    }
    trial.remove(1).await;
    assert!(trial.fetch(1).await.is_err(), "it was removed");
    assert_eq!(trial.text(10).await, "s3cret-10", "another one was removed");
}

/// Who asks at the same time gets what it asked for.
pub async fn fetches_side_by_side_keep_their_secrets(trial: &Trial<'_>) {
    for n in 0..8 {
        trial.put(n, &format!("s3cret-{n}")).await;
    }
    for (n, text) in (0..8).zip(together((0..8).map(|n| trial.text(n))).await) {
        assert_eq!(text, format!("s3cret-{n}"));
    }
}

/// A caller may be dropped at any await: the next one does not notice.
pub async fn a_dropped_fetch_leaves_no_trace(trial: &Trial<'_>) {
    for polls in 1..=4 {
        trial.put(1, &format!("s3cret-{polls}")).await;
        drop(abandon(trial.fetch(1), polls, trial.soon()).await);
        assert_eq!(trial.text(1).await, format!("s3cret-{polls}"), "dropped at poll {polls}");
    }
}

/// Whatever stands for an id, it is answered: it is no other id's secret.
pub async fn odd_ids_are_answered(trial: &Trial<'_>) {
    trial.put(1, "s3cret").await;
    let long = "A".repeat(100_000);
    for odd in ["", " ", "\0", "=", "A=B", "../LAW", "/", "~", "*", "\n", "🦀", &long] {
        let found = trial.fetch_id(odd).await;
        assert!(found.is_err(), "an id of {} bytes has a secret", odd.len());
    }
    assert_eq!(trial.text(1).await, "s3cret", "behind odd ids");
}

/// A secret that is too long is refused, never cut.
pub async fn a_secret_that_is_too_long_is_refused_whole(trial: &Trial<'_>) {
    trial.put(1, &"x".repeat(trial.too_long())).await;
    let found = trial.fetch(1).await.map(|secret| secret.expose().len());
    let e = found.expect_err("it is too long for this place");
    assert_ne!(e.kind(), ErrorKind::NotFound, "{e}");
    trial.put(1, "s3cret").await;
    assert_eq!(trial.text(1).await, "s3cret", "behind one that was too long");
}
