//! Our layers around a leaf.

use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

use openclaw_core::{
    Effect, ErrorKind,
    middleware::{
        ConcurrencyLayer, LiftLayer, PerKey, Quota, RateLimitLayer, RetryLayer, Ticks,
        TimeoutLayer,
        breaker::{BreakerLayer, State, Window},
    },
    policy::{Assessment, ByHead, Failure, Fault, Head, Policy, policy},
};
use tower::{Service, ServiceBuilder};

use crate::drive::Leaf;

type Lifted = Failure<Infallible>;

/// Whoever asks reads only; an odd answer would be a failure, and none is.
pub(crate) fn by() -> impl Policy<u64, u64, Lifted> + Copy {
    policy(
        |_: &u64| Head::new(Effect::Pure),
        |outcome: Result<&u64, &Lifted>| {
            outcome.map_or_else(Fault::assess, |_| Assessment::SUCCESS)
        },
    )
}

/// A minute, which no call here takes.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

fn plenty() -> Quota {
    Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap_or(NonZeroU32::MAX))
}

pub(crate) trait Ours:
    Service<u64, Response = u64, Error = Lifted> + Clone + Send + Sync
{
}

impl<S: Service<u64, Response = u64, Error = Lifted> + Clone + Send + Sync> Ours for S {}

pub(crate) fn bare(pending: bool) -> impl Ours {
    ServiceBuilder::new().layer(LiftLayer::new()).service(Leaf { pending })
}

pub(crate) fn breaker(pending: bool) -> impl Ours {
    let layer = BreakerLayer::new("peer").policy(by());
    ServiceBuilder::new().layer(layer).service(bare(pending))
}

/// Of the same kind as the peer's: the last 100 calls.
pub(crate) fn breaker_of(window: Window) -> impl Ours {
    let layer = BreakerLayer::builder("peer").window(window).build();
    let layer = layer.unwrap_or_else(|_| BreakerLayer::new("peer")).policy(by());
    ServiceBuilder::new().layer(layer).service(bare(false))
}

/// Open because it failed, as a breaker is: it knows when it will try again.
pub(crate) fn open_breaker(ticks: Ticks) -> impl Ours {
    let failing = policy(
        |_: &u64| Head::new(Effect::Pure),
        |_: Result<&u64, &Lifted>| Assessment::fault(ErrorKind::Unavailable),
    );
    let layer = BreakerLayer::builder("peer").ticks(ticks).build();
    let layer = layer.unwrap_or_else(|_| BreakerLayer::new("peer"));
    let mut fails = ServiceBuilder::new().layer(layer.clone().policy(failing)).service(bare(false));
    for n in 0..5 {
        crate::drive::call(&mut fails, n);
    }
    assert_eq!(layer.handle().snapshot().state, State::Open);
    ServiceBuilder::new().layer(layer.policy(by())).service(bare(false))
}

pub(crate) fn limiter(pending: bool) -> impl Ours {
    let layer = RateLimitLayer::new("peer", plenty()).policy(by());
    ServiceBuilder::new().layer(layer).service(bare(pending))
}

/// Keys of the keyed limits.
pub(crate) const KEYS: u64 = 100_000;

/// Spreads numbers, so that no key is next to the one before.
pub(crate) const fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// The decision alone, as the peer has no layer.
pub(crate) fn decision(ticks: Ticks) -> RateLimitLayer {
    RateLimitLayer::new("peer", plenty()).ticks(ticks)
}

type ByName = RateLimitLayer<ByHead, PerKey<Arc<str>, fn(&Arc<str>) -> Arc<str>>>;

/// The decision alone, by key.
pub(crate) fn keyed_decision(ticks: Ticks) -> ByName {
    let key: fn(&Arc<str>) -> Arc<str> = Arc::clone;
    RateLimitLayer::new("peer", plenty()).ticks(ticks).per_key_of(key, 1_000_000)
}

pub(crate) fn retry(pending: bool) -> impl Ours {
    ServiceBuilder::new().layer(RetryLayer::default().policy(by())).service(bare(pending))
}

pub(crate) fn timeout(pending: bool) -> impl Ours {
    let layer = TimeoutLayer::attempt("peer", MINUTE).policy(by());
    ServiceBuilder::new().layer(layer).service(bare(pending))
}

/// The layers of [`core6`], outermost first.
pub(crate) const CORE6: [&str; 6] =
    ["total timeout", "retry", "rate limit", "concurrency", "breaker", "attempt timeout"];

pub(crate) fn core6(pending: bool) -> impl Ours {
    ServiceBuilder::new()
        .layer(TimeoutLayer::total("peer", MINUTE).policy(by()))
        .layer(RetryLayer::default().policy(by()))
        .layer(RateLimitLayer::new("peer", plenty()).policy(by()))
        .layer(ConcurrencyLayer::new("peer", 1_000).policy(by()))
        .layer(BreakerLayer::new("peer").policy(by()))
        .layer(TimeoutLayer::attempt("peer", MINUTE).policy(by()))
        .service(bare(pending))
}
