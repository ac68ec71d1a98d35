//! What the peers' layers can't do, as programs that do not compile.
//!
//! Beside each stands the same program with our layer. It compiles and holds: so it is the
//! ability that is missing, and not a word of the program.

/// P11: tower's rate limit can't be shared, and knows no keys.
///
/// Shared by tower's, a limit needs a `Buffer`: a task and a queue.
///
/// ```compile_fail,E0277
/// use std::{convert::Infallible, time::Duration};
/// use tower::{Layer, limit::RateLimitLayer, service_fn};
///
/// fn shared(_: impl Clone) {}
///
/// let layer = RateLimitLayer::new(1, Duration::from_secs(1));
/// shared(layer.layer(service_fn(async |n: u64| Ok::<_, Infallible>(n))));
/// ```
///
/// ```
/// use std::{convert::Infallible, num::NonZeroU32};
/// use openclaw_core::middleware::{Quota, RateLimitLayer};
/// use tower::{Layer, service_fn};
///
/// fn shared(_: impl Clone) {}
///
/// let layer = RateLimitLayer::new("peer", Quota::per_second(NonZeroU32::MIN));
/// shared(layer.layer(service_fn(async |n: u64| Ok::<_, Infallible>(n))));
/// ```
///
/// One limit for each key:
///
/// ```compile_fail,E0599
/// use std::time::Duration;
/// use tower::limit::RateLimitLayer;
///
/// let layer = RateLimitLayer::new(1, Duration::from_secs(1)).per_key(|key: &u64| *key);
/// ```
///
/// ```
/// use std::num::NonZeroU32;
/// use openclaw_core::middleware::{Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::new("peer", Quota::per_second(NonZeroU32::MIN))
///     .per_key(|key: &u64| *key);
/// assert!(layer.check(&1).is_ok());
/// assert!(layer.check(&1).is_err());
/// assert!(layer.check(&2).is_ok());
/// ```
pub mod p11_a_limit_is_shared_and_knows_keys {}

/// P12: tower-resilience's refusal has no time in it, its limit no keys, its pauses no advice.
///
/// When to come back:
///
/// ```compile_fail,E0599
/// use tower_resilience_ratelimiter::RateLimiterServiceError;
///
/// let after = |refused: RateLimiterServiceError<()>| refused.retry_after();
/// ```
///
/// ```
/// use openclaw_core::Refusal;
///
/// let after = |refused: Refusal| refused.retry_after();
/// ```
///
/// One limit for each key:
///
/// ```compile_fail,E0599
/// use tower_resilience_ratelimiter::RateLimiterLayer;
///
/// let layer = RateLimiterLayer::builder().per_key(|key: &u64| *key);
/// ```
///
/// ```
/// use std::num::NonZeroU32;
/// use openclaw_core::middleware::{Quota, RateLimitLayer};
///
/// let layer = RateLimitLayer::new("peer", Quota::per_second(NonZeroU32::MIN))
///     .per_key(|key: &u64| *key);
/// ```
///
/// A pause that the other side asked for, from what it answered:
///
/// ```compile_fail,E0061
/// use std::{sync::Arc, time::Duration};
/// use tower_resilience_retry::{FixedInterval, RetryPolicy};
///
/// let pauses = FixedInterval::new(Duration::from_secs(1));
/// let policy = RetryPolicy::<(), ()>::new(Arc::new(pauses));
/// let pause = policy.next_backoff(1, Some(Duration::from_secs(30)));
/// ```
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{ErrorKind, policy::Assessment};
///
/// let pause = Some(Duration::from_secs(30));
/// let means = Assessment::fault(ErrorKind::RateLimited).with_retry_after(pause);
/// assert_eq!(means.retry_after, pause);
/// ```
///
/// Whether a call may be made twice at all:
///
/// ```compile_fail,E0599
/// use tower_resilience_retry::RetryLayer;
///
/// let layer = RetryLayer::<(), (), ()>::builder().idempotent(|(): &()| false);
/// ```
///
/// ```
/// use openclaw_core::{Effect, policy::Head};
///
/// assert!(!Head::new(Effect::AtMostOnce).may_repeat(std::time::Duration::ZERO));
/// ```
pub mod p12_a_refusal_says_when_and_a_retry_listens {}
