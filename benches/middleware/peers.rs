//! The peers' layers around the same leaf, set as alike as they can be.

use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

use failsafe::CircuitBreaker as _;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower::{
    Service, ServiceBuilder,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_timelimiter::TimeLimiterLayer;

use crate::drive::Leaf;

/// The versions in the lock file, as they are pinned in the manifest.
pub(crate) const VERSIONS: &str = "tower 0.5.3, tower-resilience-{circuitbreaker, ratelimiter, \
     retry, timelimiter} 0.14.0, governor 0.10.4, failsafe 1.3.0, recloser 1.4.0";

/// tower-resilience: a window of 100 calls at 50 %.
pub(crate) fn breaker(
    pending: bool,
) -> Option<impl Service<u64, Response = u64> + Clone + Send + Sync> {
    let layer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .build()
        .ok()?;
    Some(ServiceBuilder::new().layer(layer).service(Leaf { pending }))
}

/// tower-resilience, a window in time: every call of it is looked at on every call.
pub(crate) fn time_breaker() -> Option<impl Service<u64, Response = u64> + Clone + Send + Sync> {
    let layer = CircuitBreakerLayer::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_secs(3_600))
        .minimum_number_of_calls(10)
        .build()
        .ok()?;
    Some(ServiceBuilder::new().layer(layer).service(Leaf { pending: false }))
}

/// failsafe: a decision around a closure.
pub(crate) fn failsafe() -> impl Fn(u64) -> Option<u64> {
    let breaker = failsafe::Config::new().build();
    move |n| breaker.call(|| Ok::<_, Infallible>(n)).ok()
}

/// recloser: a decision around a closure.
pub(crate) fn recloser() -> impl Fn(u64) -> Option<u64> {
    let breaker = recloser::Recloser::default();
    move |n| breaker.call(|| Ok::<_, Infallible>(n)).ok()
}

/// tower-resilience: as many calls as we like.
pub(crate) fn limiter() -> Option<impl Service<u64, Response = u64> + Clone + Send + Sync> {
    let layer = RateLimiterLayer::builder()
        .limit_for_period(1_000_000_000)
        .refresh_period(Duration::from_secs(1))
        .timeout_duration(Duration::from_millis(1))
        .build()
        .ok()?;
    Some(ServiceBuilder::new().layer(layer).service(Leaf { pending: false }))
}

fn plenty() -> Quota {
    Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap_or(NonZeroU32::MAX))
}

/// governor, direct: no layer, only the decision.
pub(crate) fn governor() -> DefaultDirectRateLimiter {
    RateLimiter::direct(plenty())
}

/// governor, by key: no layer, only the decision.
pub(crate) fn governor_keyed() -> DefaultKeyedRateLimiter<Arc<str>> {
    RateLimiter::keyed(plenty())
}

/// Names of tenants, as keys.
pub(crate) fn keys() -> Vec<Arc<str>> {
    (0..crate::ours::KEYS).map(|n| format!("tenant-{n}").into()).collect()
}

/// Up to two retries, as tower wants it written.
#[derive(Clone, Debug)]
pub(crate) struct Twice {
    left: u32,
    budget: Arc<TpsBudget>,
}

impl Policy<u64, u64, Infallible> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut u64,
        outcome: &mut Result<u64, Infallible>,
    ) -> Option<Self::Future> {
        if outcome.is_ok() {
            self.budget.deposit();
            return None;
        }
        let again = self.left > 0 && self.budget.withdraw();
        self.left = self.left.saturating_sub(1);
        again.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// tower's retry, with its budget.
pub(crate) fn retry(pending: bool) -> impl Service<u64, Response = u64> + Clone + Send {
    let policy = Twice { left: 2, budget: Arc::default() };
    ServiceBuilder::new().retry(policy).service(Leaf { pending })
}

/// tower-resilience: retry, breaker and time limit, the three layers it recommends together.
pub(crate) fn stack(pending: bool) -> Option<impl Service<u64, Response = u64> + Clone> {
    let breaker = CircuitBreakerLayer::builder().sliding_window_size(100).build().ok()?;
    let limit = TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(60)).build();
    let retry =
        tower_resilience_retry::RetryLayer::<u64, u64, _>::builder().max_attempts(3).build();
    let service =
        ServiceBuilder::new().layer(retry).layer(breaker).layer(limit).service(Leaf { pending });
    Some(service)
}
