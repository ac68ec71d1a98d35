//! The crate `backoff`: its pauses and errors as ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use backoff::{ExponentialBackoff, backoff::Constant};
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, TenantId,
    middleware::{Delays, RetryLayer},
    policy::Head,
    skill::SkillManifest,
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

/// The pauses of a call that always fails.
async fn pauses(layer: RetryLayer, deadline: Option<Duration>) -> Vec<Duration> {
    let began = Instant::now();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let leaf = service_fn(|_: Call<()>| {
        times.lock().unwrap().push(Instant::now());
        std::future::ready(Err::<(), _>(Error::new(ErrorKind::Unavailable, "down")))
    });
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(Effect::Pure);
    let mut context = Context::new(TenantId::new("acme").unwrap());
    if let Some(deadline) = deadline {
        context = context.with_deadline(began + deadline);
    }
    let call = Call::skill(context, &manifest, Arc::default()).map(|_| ());
    let answer = ServiceBuilder::new().layer(layer).service(leaf).oneshot(call).await;
    answer.expect_err("it is down");
    let times = times.lock().unwrap();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn any_backoff_is_a_source_of_pauses() {
    let layer = RetryLayer::new(Delays::backoff(|| Constant::new(2 * S))).attempts(4);
    assert_eq!(pauses(layer, None).await, [2 * S; 3]);
}

/// By itself it exceeds its own `max_interval`, by up to half of it.
#[tokio::test(start_paused = true)]
async fn our_cap_holds_over_its_jitter() {
    let long = || ExponentialBackoff {
        initial_interval: 5 * S,
        max_interval: 5 * S,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    let layer = RetryLayer::new(Delays::backoff(long)).attempts(100).budget(None);
    assert!(pauses(layer, None).await.iter().any(|pause| *pause > 5 * S), "it exceeds its own");
    let layer = RetryLayer::new(Delays::backoff(long).cap(5 * S)).attempts(100).budget(None);
    assert!(pauses(layer, None).await.iter().all(|pause| *pause <= 5 * S));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_it() {
    let layer = RetryLayer::new(Delays::backoff(|| Constant::new(2 * S))).attempts(100);
    assert_eq!(pauses(layer, Some(5 * S)).await, [2 * S; 2]);
}

#[test]
fn its_errors_become_ours() {
    let gone = Error::new(ErrorKind::Unavailable, "gone");
    let e = Error::from(backoff::Error::permanent(gone));
    assert!(e.is_exhausted(), "nobody tries again");

    let busy = Error::new(ErrorKind::RateLimited, "busy");
    let e = Error::from(backoff::Error::retry_after(busy, 3 * S));
    assert_eq!((e.kind(), e.retry_after()), (ErrorKind::RateLimited, Some(3 * S)));

    let said = Error::new(ErrorKind::NotFound, "not yet there").with_happened(Happened::No);
    let e = Error::from(backoff::Error::transient(said));
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
}

#[test]
fn our_errors_become_its_own() {
    let transient = |effect, kind| {
        let e = Error::new(kind, "no").with_retry_after(3 * S);
        match Head::new(effect).backoff(e) {
            backoff::Error::Transient { retry_after, .. } => {
                assert_eq!(retry_after, Some(3 * S));
                true
            }
            backoff::Error::Permanent(_) => false,
        }
    };
    assert!(transient(Effect::AtMostOnce, ErrorKind::RateLimited));
    assert!(transient(Effect::Pure, ErrorKind::Timeout));
    assert!(!transient(Effect::AtMostOnce, ErrorKind::Timeout));
    assert!(!transient(Effect::Pure, ErrorKind::NotFound));
    let spent = Error::new(ErrorKind::RateLimited, "no").exhausted();
    assert!(matches!(Head::new(Effect::Pure).backoff(spent), backoff::Error::Permanent(_)));
}

/// Its own retry loop, over a call of ours.
#[test]
fn its_own_loop_stops_where_ours_would() {
    let tries = AtomicU32::new(0);
    let pay = || {
        tries.fetch_add(1, Ordering::Relaxed);
        let e = Error::new(ErrorKind::Timeout, "no answer");
        Err::<(), _>(Head::new(Effect::AtMostOnce).backoff(e))
    };
    assert!(matches!(
        backoff::retry(Constant::new(Duration::ZERO), pay),
        Err(backoff::Error::Permanent(_))
    ));
    assert_eq!(tries.load(Ordering::Relaxed), 1);
}
