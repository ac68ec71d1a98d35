//! Waiting as the other side says, up to a bound.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Reason, Refusal, TenantId,
    middleware::{Delays, RetryLayer},
    skill::SkillManifest,
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);

/// Asks a remote that says when to come back, and answers the second try.
async fn ask(layer: &RetryLayer, e: impl Fn() -> Error + Sync) -> (Result<u32, Error>, Duration) {
    let tries = AtomicU32::new(0);
    let leaf = service_fn(|_: Call<()>| {
        let n = tries.fetch_add(1, Ordering::Relaxed) + 1;
        std::future::ready(if n == 1 { Err(e()) } else { Ok(n) })
    });
    let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(Effect::Pure);
    let context = Context::new(TenantId::new("acme").unwrap());
    let call = Call::skill(context, &manifest, Default::default()).map(|_| ());
    let began = Instant::now();
    let answer = ServiceBuilder::new().layer(layer).service(leaf).oneshot(call).await;
    (answer, began.elapsed())
}

fn busy(after: Duration) -> impl Fn() -> Error {
    move || Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(after)
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_bound_is_returned_at_once() {
    let layer = RetryLayer::new(Delays::none());
    let (answer, took) = ask(&layer, busy(300 * S)).await;
    assert_eq!((answer.unwrap(), took), (2, 300 * S), "five minutes are waited for");
    for after in [301 * S, 4_000_000_000 * S, Duration::MAX] {
        let (answer, took) = ask(&layer, busy(after)).await;
        let e = answer.unwrap_err();
        assert_eq!((e.retry_after(), took), (Some(after), Duration::ZERO));
        assert!(!e.is_exhausted(), "who has the time may come back");
    }
    assert_eq!(layer.snapshot().given_up.time, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_beyond_the_bound_is_returned_at_once() {
    let layer = RetryLayer::new(Delays::none()).wait_for_refusals(1);
    let refuse =
        |after| move || Refusal::new(Reason::RateLimited, "crm").with_retry_after(after).into();
    assert_eq!(ask(&layer, refuse(300 * S)).await.1, 300 * S);
    let (answer, took) = ask(&layer, refuse(301 * S)).await;
    assert_eq!((answer.unwrap_err().retry_after(), took), (Some(301 * S), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_for_the_others_word_and_changes_at_run_time() {
    let hour = 3_600 * S;
    let layer = RetryLayer::new(Delays::constant(hour));
    assert_eq!(ask(&layer, busy(S)).await.1, hour, "a pause of its own");
    let patient = RetryLayer::new(Delays::none()).longest_wait(hour);
    assert_eq!(ask(&patient, busy(hour)).await.1, hour);
    patient.set_longest_wait(S);
    assert_eq!(ask(&patient, busy(hour)).await.1, Duration::ZERO);
}
