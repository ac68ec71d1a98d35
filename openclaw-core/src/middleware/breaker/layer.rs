//! The layer, and how it is made.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    config::{BreakerConfig, OnCancel, Window},
    handle::BreakerHandle,
    one::One,
    registry::{Breakers, PerKey},
    service::Breaker,
};
use crate::{Env, Result, Rng, SystemRng, middleware::Ticks, policy::ByHead};

/// Refuses calls to a service that fails, until it has had time to recover.
///
/// It opens at so many failures in a row, or at a rate of failed or slow calls in a window.
/// While it is open it refuses at once, with `CIRCUIT_OPEN` and the time until it tries again,
/// and never touches the inner service. Then it lets a few calls through, and their rate
/// decides whether it closes, or opens for twice as long.
///
/// All services that one layer makes share one breaker; with [`per_key`](BreakerLayer::per_key)
/// one for each key. Put it inside the retry, so that it sees every attempt, and around the
/// attempt timeout, so that silence counts.
///
/// | setting | unit | default | resilience4j calls it |
/// |---|---|---|---|
/// | `enabled` | | on | – |
/// | `window` | calls or time | none | `slidingWindowType`, `slidingWindowSize` |
/// | `failure_rate` | part of 1 | 0.5 | `failureRateThreshold` |
/// | `slow_call_duration` | time | none | `slowCallDurationThreshold` |
/// | `slow_call_rate` | part of 1 | 1 | `slowCallRateThreshold` |
/// | `consecutive_failures` | calls | 5 | – |
/// | `minimum_calls` | calls | 10 | `minimumNumberOfCalls` |
/// | `open_wait` | time | 60 s | `waitDurationInOpenState` |
/// | `max_open_wait` | time | 5 min | – |
/// | `open_jitter` | part of 1 | 0.1 | – |
/// | `half_open_permits` | calls | 3 | `permittedNumberOfCallsInHalfOpenState` |
/// | `half_open_wait` | time | 60 s | `maxWaitDurationInHalfOpenState` |
/// | `on_cancel` | | failure if slow | – |
///
/// What counts as a failure is the policy's to say: [`Assessment::is_failure`]. A call that is
/// dropped is counted as [`OnCancel`] says: by default when it was slow, which nothing is unless
/// `slow_call_duration` is set, or when the deadline of its request was over. An outcome counts
/// only in the generation that let the call in: what was called before a change of state moves
/// nothing behind it.
///
/// The pattern is Michael Nygard's ("Release It!", 2007).
///
/// [`Assessment::is_failure`]: crate::policy::Assessment::is_failure
///
/// ```
/// use openclaw_core::{
///     Effect, ErrorKind, Reason, Refusal,
///     middleware::{breaker::{BreakerLayer, State}, LiftLayer},
///     policy::{Assessment, Failure, Head, policy},
/// };
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> openclaw_core::Result<()> {
/// // A foreign service that is down: from a number to a number, with an error of its own.
/// let by = policy(
///     |_: &u32| Head::new(Effect::Pure),
///     |outcome: Result<&u32, &Failure<&str>>| match outcome {
///         Ok(_) => Assessment::SUCCESS,
///         Err(_) => Assessment::fault(ErrorKind::Unavailable),
///     },
/// );
/// let breaker = BreakerLayer::builder("shop").consecutive_failures(2).build()?.policy(by);
/// let handle = breaker.handle();
/// let mut shop = ServiceBuilder::new()
///     .layer(breaker)
///     .layer(LiftLayer::new())
///     .service(service_fn(async |_: u32| Err::<u32, _>("down")));
///
/// for _ in 0..2 {
///     let failed = shop.ready().await.unwrap().call(1).await;
///     assert!(matches!(failed, Err(Failure::Inner { .. })));
/// }
/// assert_eq!(handle.state(), State::Open);
/// match shop.ready().await.unwrap().call(1).await {
///     Err(Failure::Refused(refusal)) => {
///         assert_eq!((refusal.reason(), refusal.by()), (Reason::CircuitOpen, "shop"));
///         assert!(refusal.retry_after().is_some_and(|after| after.as_secs() >= 50));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BreakerLayer<P = ByHead, W = One> {
    policy: P,
    ways: W,
    seed: u64,
    max_keys: usize,
}

impl BreakerLayer {
    /// A breaker with the default settings; refusals bear its name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::builder(name).made()
    }

    /// A breaker with settings of its own.
    pub fn builder(name: impl Into<Arc<str>>) -> BreakerBuilder {
        BreakerBuilder {
            name: name.into(),
            config: BreakerConfig::default(),
            seed: None,
            ticks: None,
            max_keys: 10_000,
        }
    }
}

impl<P, W> BreakerLayer<P, W> {
    /// Reads requests and outcomes by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> BreakerLayer<Q, W> {
        let Self { ways, seed, max_keys, .. } = self;
        BreakerLayer { policy, ways, seed, max_keys }
    }
}

impl<P> BreakerLayer<P> {
    /// Watches the breaker and steers it.
    #[must_use]
    pub fn handle(&self) -> BreakerHandle {
        self.ways.handle()
    }

    /// A breaker for each key; the keys for which there is no room share this one.
    ///
    /// A key's breaker is made at its first call, and goes when it is as good as new and
    /// another key needs the room; [`Breakers`] says more.
    ///
    /// ```
    /// use openclaw_core::{
    ///     Call, Context, Error, TenantId,
    ///     middleware::breaker::BreakerLayer,
    ///     skill::SkillManifest,
    /// };
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // One tenant's failures are not another's.
    /// let layer = BreakerLayer::new("crm")
    ///     .per_key(|call: &Call<()>| call.context().tenant().clone());
    /// let breakers = layer.breakers();
    /// let crm = ServiceBuilder::new().layer(layer).service_fn(async |_: Call<()>| Ok::<_, Error>(()));
    ///
    /// let (acme, other) = (TenantId::new("acme")?, TenantId::new("other")?);
    /// let manifest = SkillManifest::new("crm".parse()?, "1.0.0");
    /// let call = Call::skill(Context::new(acme.clone()), &manifest, Default::default());
    /// crm.oneshot(call.map(|_| ())).await?;
    /// assert!(breakers.get(&acme).is_some());
    /// assert!(breakers.get(&other).is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn per_key<Req, K, F>(self, key: F) -> BreakerLayer<P, PerKey<K, F>>
    where
        F: Fn(&Req) -> K,
        K: Eq + Hash,
    {
        let Self { policy, ways, seed, max_keys } = self;
        let breakers = Arc::new(Breakers::new(ways, seed, max_keys));
        BreakerLayer { policy, ways: PerKey { breakers, key }, seed, max_keys }
    }
}

impl<P, K, F> BreakerLayer<P, PerKey<K, F>> {
    /// The breakers of all keys.
    #[must_use]
    pub fn breakers(&self) -> Arc<Breakers<K>> {
        Arc::clone(&self.ways.breakers)
    }
}

impl<S, P: Clone, W: Clone> Layer<S> for BreakerLayer<P, W> {
    type Service = Breaker<S, P, W>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker::new(inner, self.policy.clone(), self.ways.clone())
    }
}

impl<P, W: fmt::Debug> fmt::Debug for BreakerLayer<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("ways", &self.ways).finish_non_exhaustive()
    }
}

/// Makes a [`BreakerLayer`]; what is not set has its default.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::middleware::breaker::{BreakerLayer, Window};
///
/// let layer = BreakerLayer::builder("crm")
///     .window(Window::Time(Duration::from_secs(60)))
///     .failure_rate(0.2)
///     .build()?;
/// let refused = BreakerLayer::builder("crm").minimum_calls(0).build();
/// assert!(refused.unwrap_err().to_string().contains("minimum_calls: it is at least 1"));
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct BreakerBuilder {
    name: Arc<str>,
    config: BreakerConfig,
    seed: Option<u64>,
    ticks: Option<Ticks>,
    max_keys: usize,
}

impl BreakerBuilder {
    /// Sets all settings at once.
    pub fn config(mut self, config: BreakerConfig) -> Self {
        self.config = config;
        self
    }

    /// Whether it is there at all; a reload may change that. On.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.config.enabled = enabled;
        self
    }

    /// The calls that rates are taken over. None: only failures in a row count.
    pub const fn window(mut self, window: Window) -> Self {
        self.config.window = Some(window);
        self
    }

    /// The part of failed calls in the window that opens it. 0.5.
    pub const fn failure_rate(mut self, rate: f64) -> Self {
        self.config.failure_rate = rate;
        self
    }

    /// From when on a call is slow. None: no call is.
    pub const fn slow_call_duration(mut self, slow: Duration) -> Self {
        self.config.slow_call_duration = Some(slow);
        self
    }

    /// The part of slow calls in the window that opens it. 1.
    pub const fn slow_call_rate(mut self, rate: f64) -> Self {
        self.config.slow_call_rate = rate;
        self
    }

    /// Failures in a row that open it; `None` looks at rates only. 5.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.config.consecutive_failures = failures.into();
        self
    }

    /// Calls in the window below which no rate counts. 10.
    pub const fn minimum_calls(mut self, calls: u32) -> Self {
        self.config.minimum_calls = calls;
        self
    }

    /// How long it stays open the first time. 60 s.
    pub const fn open_wait(mut self, wait: Duration) -> Self {
        self.config.open_wait = wait;
        self
    }

    /// The longest it stays open. 5 min.
    pub const fn max_open_wait(mut self, wait: Duration) -> Self {
        self.config.max_open_wait = wait;
        self
    }

    /// The part of a wait by which chance moves it. 0.1.
    pub const fn open_jitter(mut self, part: f64) -> Self {
        self.config.open_jitter = part;
        self
    }

    /// Calls that are let through to try. 3.
    pub const fn half_open_permits(mut self, permits: u32) -> Self {
        self.config.half_open_permits = permits;
        self
    }

    /// How long a trial may take; `None` waits for its calls for ever. 60 s.
    pub fn half_open_wait(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.config.half_open_wait = wait.into();
        self
    }

    /// What a call means that nobody waited for. A failure if slow.
    pub const fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.config.on_cancel = on_cancel;
        self
    }

    /// Keys that are told apart, where there is a breaker for each. 10,000.
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Takes chance from this environment, so that a seed replays it.
    pub fn env(self, env: &Env) -> Self {
        self.seed(env.next_u64())
    }

    /// Seeds the jitter. By the machine's entropy.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Reads this clock. The runtime's.
    pub fn ticks(mut self, ticks: Ticks) -> Self {
        self.ticks = Some(ticks);
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`BreakerConfig::check`].
    pub fn build(self) -> Result<BreakerLayer> {
        self.config.check()?;
        Ok(self.made())
    }

    fn made(self) -> BreakerLayer {
        let Self { name, config, seed, ticks, max_keys } = self;
        let seed = seed.unwrap_or_else(|| SystemRng::default().next_u64());
        let ways = One::new(name, config, seed, &ticks.unwrap_or_default());
        BreakerLayer { policy: ByHead, ways, seed, max_keys }
    }
}
