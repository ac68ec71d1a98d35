//! Signing: credentials on the request, and nothing else.

use bytes::Bytes;
use http::{Request, Uri};
use openclaw_core::{Context, Happened};
use openclaw_testkit::conformance::{__abandon as abandon, __together as together};

use super::{
    Trial,
    trial::{ADDRESS, request},
};

/// A signed request is one that the remote accepts.
pub async fn a_request_is_signed(trial: &Trial<'_>) {
    assert!(!trial.peer().accepts(&request()), "the remote takes requests without credentials");
    trial.accepted(None).await;
}

/// It changes nothing but headers and query: the request goes where it went, with what it had.
pub async fn nothing_else_changes(trial: &Trial<'_>) {
    let (before, (after, _)) = (request(), trial.signed(None).await);
    assert_eq!(after.method(), before.method());
    assert_eq!(after.version(), before.version());
    assert_eq!(after.body(), before.body());
    assert_eq!(after.extensions().get::<u32>(), Some(&1042));
    let place = |uri: &Uri| {
        let origin = (uri.scheme().cloned(), uri.authority().cloned());
        (origin, uri.path().to_owned())
    };
    assert_eq!(place(after.uri()), place(before.uri()), "it goes elsewhere");
    let query = ADDRESS.split_once('?').map(|(_, query)| query);
    let kept = query.is_some_and(|query| after.uri().query().unwrap_or_default().contains(query));
    assert!(kept, "the query has lost some of its own");
    for name in before.headers().keys() {
        let all = |request: &Request<Bytes>| -> Vec<_> {
            request.headers().get_all(name).iter().cloned().collect()
        };
        assert_eq!(all(&after), all(&before), "the header {name}");
    }
}

/// A request that is signed again has the credentials once.
pub async fn signing_again_adds_nothing(trial: &Trial<'_>) {
    let (mut request, _) = trial.signed(None).await;
    let parts = |request: &Request<Bytes>| {
        let query = request.uri().query().unwrap_or_default();
        (request.headers().len(), query.split('&').count())
    };
    let once = parts(&request);
    trial.sign(&mut request, None).await.expect("credentials");
    assert_eq!(parts(&request), once, "headers and pairs of the query, signed twice and once");
    assert!(trial.peer().accepts(&request), "signed twice");
}

/// While it is the same, a credential has the same name.
pub async fn a_credential_has_one_name(trial: &Trial<'_>) {
    let first = trial.accepted(None).await;
    for _ in 0..3 {
        assert_eq!(trial.accepted(None).await, first, "the same credential");
    }
}

/// Whoever asks at the same time gets credentials that are valid.
pub async fn callers_side_by_side_are_all_signed(trial: &Trial<'_>) {
    let names = together((0..16).map(|_| trial.accepted(None))).await;
    assert!(names.windows(2).all(|two| two.first() == two.last()), "one credential for all");
}

/// A caller may be dropped at any await: the next one is signed.
pub async fn a_dropped_caller_leaves_no_trace(trial: &Trial<'_>) {
    for polls in 1..=4 {
        let mut dropped = request();
        drop(abandon(trial.sign(&mut dropped, None), polls, trial.soon()).await);
        let old = trial.rotated().await;
        drop(abandon(trial.sign(&mut dropped, Some(old)), polls, trial.soon()).await);
        assert_ne!(trial.accepted(Some(old)).await, old, "dropped at poll {polls}");
        trial.calm().await;
    }
}

/// A request of a tenant that has no right to the credentials does not get them.
pub async fn a_strangers_request_is_left_alone(trial: &Trial<'_>) {
    trial.accepted(None).await;
    let mut theirs = request();
    let context = Context::new(trial.stranger());
    let e = trial.sign_for(&context, &mut theirs, None).await.expect_err("not theirs");
    assert_eq!(e.happened(), Happened::No, "{e}");
    assert_eq!(theirs.headers(), request().headers(), "headers of a stranger's request");
    assert_eq!(theirs.uri(), request().uri(), "the address of a stranger's request");
}
