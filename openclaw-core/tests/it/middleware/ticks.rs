//! The processor's counter as the clock of a breaker and of a rate limit.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use openclaw_core::{
    ErrorKind,
    middleware::{
        Quota, RateLimitLayer, Ticks,
        breaker::{BreakerLayer, State},
    },
};
use tokio::time::{Instant, advance};

use super::breaker::leaf::{Rig, ms, s};

fn one_a_minute() -> Quota {
    Quota::per_minute(NonZeroU32::MIN)
}

fn rig(open_wait: Duration) -> Rig {
    let layer = BreakerLayer::builder("crm").open_wait(open_wait).open_jitter(0.0);
    Rig::new(layer.ticks(Ticks::counter()).build().unwrap())
}

/// Waits by work: what the counter counts, no timer reaches.
fn until(done: impl Fn() -> bool) {
    let stands_still = 1_000_000_000_u32;
    assert!((0..stands_still).any(|_| done()), "the counter stands still");
}

#[tokio::test(start_paused = true)]
async fn the_counter_goes_by_itself() {
    let (counter, runtime) = (Ticks::counter(), Ticks::runtime());
    advance(s(3600)).await;
    assert_eq!(runtime.elapsed(), s(3600));
    assert!(counter.elapsed() < s(60), "paused time does not reach it");
    let before = counter.elapsed();
    until(|| counter.elapsed() > before + ms(1));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_waits_by_the_counter() {
    let rig = rig(ms(50));
    rig.fail(5).await;
    advance(s(3600)).await;
    // A slow machine may have let the 50 ms pass by now; the hour alone has not.
    let refused = rig.call().await;
    if let Err(e) = &refused {
        assert_eq!(e.kind(), ErrorKind::CircuitOpen);
        assert!(e.retry_after().is_some_and(|after| after <= ms(50)), "{e:?}");
    }
    until(|| !rig.handle.refuses());
    rig.succeed(3).await;
    assert_eq!(rig.handle.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_tells_of_moments_in_the_runtime_s_time() {
    let rig = rig(s(300));
    advance(s(100)).await;
    let before = Instant::now();
    rig.fail(5).await;
    let since = rig.handle.snapshot().since;
    let apart = since.max(before) - since.min(before);
    assert!(apart < s(60), "{apart:?}");
    let refuses = |after: Duration| rig.handle.would_refuse(Instant::now() + after);
    assert!(refuses(s(150)).is_some_and(|left| left > s(60) && left <= s(150)));
    assert_eq!(refuses(s(301)), None);
}

#[tokio::test(start_paused = true)]
async fn a_limit_by_the_counter_is_not_renewed_by_paused_time() {
    let layer = RateLimitLayer::new("crm", one_a_minute()).ticks(Ticks::counter());
    layer.check(&()).unwrap();
    advance(s(3600)).await;
    let refusal = layer.check(&()).unwrap_err();
    assert!(refusal.retry_after().is_some_and(|after| after > s(30) && after <= s(60)));
}

#[tokio::test(start_paused = true)]
async fn another_clock_keeps_the_settings_and_begins_anew() {
    let layer = RateLimitLayer::new("crm", one_a_minute()).gate(|()| None);
    layer.check(&()).unwrap();
    let layer = layer.ticks(Ticks::counter());
    layer.check(&()).expect("nothing is used up by this clock");
    let refusal = layer.check(&()).unwrap_err();
    assert_eq!(refusal.by(), "crm");
    let key: fn(&Arc<str>) -> Arc<str> = Arc::clone;
    let keyed = layer.per_key(key);
    keyed.check(&"a".into()).unwrap();
    advance(s(3600)).await;
    keyed.check(&"a".into()).expect_err("the clock goes along");
}
