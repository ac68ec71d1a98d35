//! Our layers around a leaf.

use std::{convert::Infallible, num::NonZeroU32, time::Duration};

use openclaw_core::{
    Effect, ErrorKind,
    middleware::{
        ConcurrencyLayer, LiftLayer, Quota, RateLimitLayer, RetryLayer, TimeoutLayer,
        breaker::{BreakerLayer, Window},
    },
    policy::{Assessment, Failure, Fault, Head, Policy, policy},
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
const MINUTE: Duration = Duration::from_secs(60);

fn plenty() -> Quota {
    Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap_or(NonZeroU32::MAX))
}

pub(crate) trait Ours: Service<u64, Response = u64, Error = Lifted> + Clone + Send {}

impl<S: Service<u64, Response = u64, Error = Lifted> + Clone + Send> Ours for S {}

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

pub(crate) fn open_breaker() -> impl Ours {
    let layer = BreakerLayer::new("peer");
    layer.handle().force_open();
    ServiceBuilder::new().layer(layer.policy(by())).service(bare(false))
}

pub(crate) fn limiter(pending: bool) -> impl Ours {
    let layer = RateLimitLayer::new("peer", plenty()).policy(by());
    ServiceBuilder::new().layer(layer).service(bare(pending))
}

pub(crate) fn keyed_limiter(keys: u64) -> impl Ours {
    let layer = RateLimitLayer::new("peer", plenty()).policy(by());
    // Times that are never over: no key is forgotten while it is measured.
    let quota = Quota::new(NonZeroU32::MAX, Duration::from_secs(4_294_967));
    layer.set_quota(Some(quota));
    let layer = layer
        .per_key_of(move |n: &u64| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % keys, 1_000_000);
    ServiceBuilder::new().layer(layer).service(bare(false))
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

/// What a refusal of the breaker must look like.
pub(crate) fn is_refused(outcome: &Result<u64, Lifted>) -> bool {
    matches!(outcome, Err(e) if e.assess().fault == Some(ErrorKind::CircuitOpen))
}
