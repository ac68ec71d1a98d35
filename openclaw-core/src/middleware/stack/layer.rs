//! The layers of a stack, in their order, and what their settings do to them.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    Span, Switch,
    settings::{
        BreakerSettings, ConcurrencySettings, JitterSetting, RateSettings, RetrySettings, Settings,
    },
};
use crate::{
    Call, TenantId,
    middleware::{
        Concurrency, ConcurrencyLayer, ConcurrencySnapshot, Delays, Jitter, PerKey, Quota,
        RateLimit, RateLimitLayer, RateLimitSnapshot, Retry, RetryLayer, RetrySnapshot, Timeout,
        TimeoutLayer,
        breaker::{
            Breaker, BreakerConfig, BreakerHandle, BreakerLayer, Breakers, PerKey as BreakerPerKey,
            Window,
        },
    },
    policy::ByHead,
};

/// Tells the tenant of a call.
type TenantOf<P> = fn(&Call<P>) -> TenantId;

type Limit<P> = RateLimitLayer<ByHead, PerKey<TenantId, TenantOf<P>>>;
type Breaking<P> = BreakerLayer<ByHead, BreakerPerKey<TenantId, TenantOf<P>>>;

/// A service inside a whole stack; made by [`StackLayer`].
pub type Stacked<S, P> = Timeout<
    Retry<
        RateLimit<
            Concurrency<Breaker<Timeout<S>, ByHead, BreakerPerKey<TenantId, TenantOf<P>>>>,
            ByHead,
            PerKey<TenantId, TenantOf<P>>,
        >,
    >,
>;

/// Total timeout, retry, rate limit, concurrency limit, breaker and attempt timeout, in this
/// order.
///
/// Made by [`Resilience`](super::Resilience). Every layer is there, and one that is off lets
/// everything pass: so settings change at run time. Only a rate limit that is off still heeds
/// what the other side says of its own limit. Rate limit and breaker are kept by tenant; the
/// concurrency limit and the retry budget belong to the integration. A call that would wait for a place
/// or find none hears of an open breaker at once.
#[derive(Debug)]
pub struct StackLayer<P: 'static>(Arc<Parts<P>>);

impl<P: 'static> Clone for StackLayer<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Parts<P: 'static> {
    total: TimeoutLayer,
    retry: RetryLayer,
    rate_limit: Limit<P>,
    concurrency: ConcurrencyLayer,
    breaker: Breaking<P>,
    breakers: Arc<Breakers<TenantId>>,
    attempt: TimeoutLayer,
}

/// How the layers of a stack are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StackSnapshot {
    /// The retry.
    pub retry: RetrySnapshot,
    /// The rate limit, over all tenants.
    pub rate_limit: RateLimitSnapshot,
    /// The concurrency limit.
    pub concurrency: ConcurrencySnapshot,
    /// Tenants with a breaker of their own.
    pub breakers: usize,
}

/// More keys than this share one breaker, and one limit unless `keys` says otherwise.
const TENANTS: usize = 100_000;

fn tenant<P>(call: &Call<P>) -> TenantId {
    call.context().tenant().clone()
}

impl<P: 'static> StackLayer<P> {
    /// A stack of these settings; the names of its layers begin with `name`.
    ///
    /// The settings were checked. Chance is the machine's without a seed.
    pub(super) fn new(name: &Arc<str>, settings: &Settings, seed: Option<u64>) -> Self {
        let keys = settings.rate_limit.as_ref().and_then(Switch::on).and_then(|rate| rate.keys);
        let mut breaker = BreakerLayer::builder(Arc::clone(name)).max_keys(TENANTS);
        let mut retry = RetryLayer::default();
        if let Some(seed) = seed {
            (breaker, retry) = (breaker.seed(seed), retry.seed(seed));
        }
        let breaker = breaker.build().unwrap_or_else(|_| BreakerLayer::new(Arc::clone(name)));
        let breaker = breaker.per_key(tenant::<P> as TenantOf<P>);
        let any = Quota::per_second(NonZeroU32::MAX);
        let breakers = breaker.breakers();
        let gate = Arc::clone(&breakers);
        let parts = Parts {
            total: TimeoutLayer::total(Arc::clone(name), Duration::MAX),
            retry,
            rate_limit: RateLimitLayer::new(Arc::clone(name), any)
                .per_key_of(tenant::<P> as TenantOf<P>, keys.unwrap_or(TENANTS))
                .gate(move |tenant| gate.refusal(tenant)),
            concurrency: ConcurrencyLayer::new(Arc::clone(name), usize::MAX),
            breakers,
            breaker,
            attempt: TimeoutLayer::attempt(Arc::clone(name), Duration::MAX),
        };
        parts.apply(settings);
        Self(Arc::new(parts))
    }

    /// Takes other settings; windows, tokens, permits and open breakers stay as they are.
    pub(super) fn apply(&self, settings: &Settings) {
        self.0.apply(settings);
    }

    /// The breaker of a tenant, when it has one.
    #[must_use]
    pub fn breaker(&self, tenant: &TenantId) -> Option<BreakerHandle> {
        self.0.breakers.get(tenant)
    }

    /// The concurrency limit.
    #[must_use]
    pub fn concurrency(&self) -> &ConcurrencyLayer {
        &self.0.concurrency
    }

    /// The retry.
    #[must_use]
    pub fn retry(&self) -> &RetryLayer {
        &self.0.retry
    }

    /// How the layers are doing.
    #[must_use]
    pub fn snapshot(&self) -> StackSnapshot {
        StackSnapshot {
            retry: self.0.retry.snapshot(),
            rate_limit: self.0.rate_limit.snapshot(),
            concurrency: self.0.concurrency.snapshot(),
            breakers: self.0.breakers.len(),
        }
    }
}

impl<P: 'static> Parts<P> {
    fn apply(&self, settings: &Settings) {
        let span = |part: &Option<Switch<Span>>| {
            part.as_ref().and_then(Switch::on).map(|span| Duration::from(*span))
        };
        self.total.set_limit(span(&settings.total_timeout));
        self.attempt.set_limit(span(&settings.attempt_timeout));
        self.apply_retry(settings.retry.as_ref().and_then(Switch::on));
        self.apply_rate(settings.rate_limit.as_ref().and_then(Switch::on));
        self.apply_concurrency(settings.concurrency.as_ref().and_then(Switch::on));
        self.apply_breaker(settings.breaker.as_ref().and_then(Switch::on));
    }

    fn apply_retry(&self, retry: Option<&RetrySettings>) {
        let Some(retry) = retry else { return self.retry.set_attempts(1) };
        let base = retry.base.map_or(Duration::from_secs(1), Duration::from);
        let cap = retry.cap.map_or(Duration::from_secs(32), Duration::from);
        let jitter = match retry.jitter.unwrap_or(JitterSetting::Full) {
            JitterSetting::Full => Jitter::Full,
            JitterSetting::Equal => Jitter::Equal,
            JitterSetting::Decorrelated => Jitter::Decorrelated,
            JitterSetting::None => Jitter::None,
        };
        let factor = retry.factor.unwrap_or(2.0);
        self.retry.set_delays(Delays::exponential(base, factor, cap).jitter(jitter));
        self.retry.set_attempts(retry.attempts.unwrap_or(3));
        self.retry.set_budget(retry.budget.unwrap_or(100));
    }

    fn apply_rate(&self, rate: Option<&RateSettings>) {
        let quota = rate.and_then(|rate| {
            let calls = NonZeroU32::new(rate.calls?)?;
            let quota = Quota::new(calls, rate.per?.into());
            Some(rate.burst.and_then(NonZeroU32::new).map_or(quota, |burst| quota.burst(burst)))
        });
        self.rate_limit.set_quota(quota);
        self.rate_limit.set_keys(rate.and_then(|rate| rate.keys).unwrap_or(TENANTS));
        let max_wait = rate.and_then(|rate| rate.max_wait).map(Duration::from);
        self.rate_limit.set_max_wait(max_wait.unwrap_or_default());
        let learns = rate.and_then(|rate| rate.learn).unwrap_or(true);
        self.rate_limit.set_learning(learns, Duration::from_secs(300));
    }

    fn apply_concurrency(&self, concurrency: Option<&ConcurrencySettings>) {
        let limit = concurrency.and_then(|c| c.limit).unwrap_or(usize::MAX);
        let from = concurrency.and_then(|c| c.adaptive_from).unwrap_or(limit);
        self.concurrency.set_limit(from..=limit);
        let max_wait = concurrency.and_then(|c| c.max_wait).map(Duration::from);
        self.concurrency.set_max_wait(max_wait.unwrap_or_default());
    }

    fn apply_breaker(&self, settings: Option<&BreakerSettings>) {
        let config = settings.map_or_else(off, breaker_config);
        if let Err(e) = self.breakers.reload(&config) {
            tracing::error!(error = %e, "a breaker keeps its old settings");
        }
    }
}

/// A breaker that is off.
fn off() -> BreakerConfig {
    BreakerConfig { enabled: false, ..BreakerConfig::default() }
}

/// The settings of a breaker; what is not set has its default.
pub(super) fn breaker_config(settings: &BreakerSettings) -> BreakerConfig {
    let base = BreakerConfig::default();
    let span = |span: Option<Span>, or: Duration| span.map_or(or, Duration::from);
    let window = match (settings.window_calls, settings.window_time) {
        (Some(calls), _) => Some(Window::Count(calls)),
        (None, Some(time)) => Some(Window::Time(time.into())),
        (None, None) => None,
    };
    let open_wait = span(settings.open_wait, base.open_wait);
    BreakerConfig {
        window,
        failure_rate: settings.failure_rate.unwrap_or(base.failure_rate),
        slow_call_duration: settings.slow_call.map(Duration::from),
        slow_call_rate: settings.slow_call_rate.unwrap_or(base.slow_call_rate),
        consecutive_failures: match settings.consecutive_failures {
            Some(0) => None,
            given => given.or(base.consecutive_failures),
        },
        minimum_calls: settings.minimum_calls.unwrap_or(base.minimum_calls),
        open_wait,
        max_open_wait: span(settings.max_open_wait, base.max_open_wait).max(open_wait),
        half_open_permits: settings.half_open_calls.unwrap_or(base.half_open_permits),
        ..base
    }
}

impl<S: Clone, P: 'static> Layer<S> for StackLayer<P> {
    type Service = Stacked<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let parts = &self.0;
        let breaking = parts.breaker.layer(parts.attempt.layer(inner));
        let limited = parts.rate_limit.layer(parts.concurrency.layer(breaking));
        parts.total.layer(parts.retry.layer(limited))
    }
}
