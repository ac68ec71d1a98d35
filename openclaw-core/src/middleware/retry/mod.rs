//! Tries again, where that is safe.

mod budget;
mod decide;
mod delays;
mod future;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    budget::Budget,
    delays::{DelaySource, Delays, Jitter},
    future::RetryFuture,
};
use crate::{
    Rng, SystemRng,
    policy::{Assessment, ByHead, Policy},
};

/// Tries a failed call again, where that is safe and there is time.
///
/// | | default | |
/// |---|---|---|
/// | attempts | 3 | tries in all, the first one included |
/// | pauses | 1 s, doubling to 32 s, full jitter | never shorter than the other side's Retry-After |
/// | budget | 100 tokens | see [`Budget`] |
///
/// Only transient faults are tried again. Behind a try that *may* have happened, only a call
/// that may be repeated is: `Pure`, `AtLeastOnce`, or `Keyed` with a key inside its retention.
/// When the next try would come behind the deadline it gives up at once, and returns the outcome
/// with its Retry-After. When the tries or the budget are spent the outcome is marked exhausted:
/// an outer retry does not multiply them. A refusal of our own layers is returned as it is; it
/// costs neither a try nor budget.
///
/// The request is cloned once a try. The service is cloned, too: the future makes the later
/// tries on it, and readies it before each.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use openclaw_core::{
///     Call, Context, Effect, Error, ErrorKind, TenantId, middleware::RetryLayer,
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let flaky = service_fn(async |call: Call<Arc<serde_json::Value>>| match call.context().attempt() {
///     1 => Err(Error::new(ErrorKind::Timeout, "no answer")),
///     _ => Ok(SkillAnswer::Done(Arc::clone(call.payload()))),
/// });
/// let service = ServiceBuilder::new().layer(RetryLayer::default()).service(flaky);
/// let call = |effect| {
///     let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0").effect(effect);
///     Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default())
/// };
/// service.clone().oneshot(call(Effect::Pure)).await?;
/// let e = service.oneshot(call(Effect::AtMostOnce)).await.unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::Timeout, "it may have happened");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer<P = ByHead> {
    shared: Arc<Shared>,
    policy: P,
}

/// What all tries of a layer share.
pub(crate) struct Shared {
    attempts: AtomicU32,
    waits: AtomicU32,
    delays: Mutex<Delays>,
    budget: Option<Budget>,
    /// Every draw takes the next number, whichever clone draws.
    dice: AtomicU64,
    again: AtomicU64,
    given_up: AtomicU64,
}

/// How a retry is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Tries behind a failed one.
    pub retries: u64,
    /// Calls that were given up although they could have been tried again.
    pub given_up: u64,
    /// Tokens of the budget; `None` without one.
    pub budget: Option<f64>,
}

impl RetryLayer {
    /// Three tries with these pauses.
    #[must_use]
    pub fn new(delays: Delays) -> Self {
        Self {
            shared: Arc::new(Shared {
                attempts: AtomicU32::new(3),
                waits: AtomicU32::new(0),
                delays: Mutex::new(delays),
                budget: Some(Budget::default()),
                dice: AtomicU64::new(SystemRng.next_u64()),
                again: AtomicU64::new(0),
                given_up: AtomicU64::new(0),
            }),
            policy: ByHead,
        }
    }

    /// For tools: one call and three retries, from 500 ms.
    #[must_use]
    pub fn tools() -> Self {
        let (first, cap) = (Duration::from_millis(500), Duration::from_secs(32));
        Self::new(Delays::exponential(first, 2.0, cap)).attempts(4)
    }

    /// For agents: three tries, 1 to 5 s apart.
    #[must_use]
    pub fn agents() -> Self {
        let (first, cap) = (Duration::from_secs(1), Duration::from_secs(5));
        Self::new(Delays::exponential(first, 5.0, cap).jitter(Jitter::Decorrelated))
    }

    /// For deliveries: five tries, from 1 s.
    #[must_use]
    pub fn delivery() -> Self {
        Self::default().attempts(5)
    }

    /// For HTTP clients: six retries behind 1, 2, 4 … 32 s.
    #[must_use]
    pub fn clients() -> Self {
        Self::default().attempts(7)
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(Delays::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(32)))
    }
}

impl<P> RetryLayer<P> {
    /// Reads requests and outcomes by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> RetryLayer<Q> {
        RetryLayer { shared: self.shared, policy }
    }

    /// Tries in all, the first one included; 0 is taken as 1.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        self.set_attempts(attempts);
        self
    }

    /// Waits up to this often a call when a layer inside refuses and says when to come back.
    ///
    /// Such a wait costs neither a try nor budget. None unless set.
    #[must_use]
    pub fn wait_for_refusals(self, times: u32) -> Self {
        self.shared.waits.store(times, Ordering::Relaxed);
        self
    }

    /// Makes the pauses repeatable.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.shared.dice.store(seed, Ordering::Relaxed);
        self
    }

    /// Shares this budget with other layers; `None` retries without one.
    #[must_use]
    pub fn budget(self, budget: Option<Budget>) -> Self {
        let old = &self.shared;
        let shared = Shared {
            attempts: AtomicU32::new(old.attempts()),
            waits: AtomicU32::new(old.waits()),
            delays: Mutex::new(old.delays()),
            budget,
            dice: AtomicU64::new(old.dice.load(Ordering::Relaxed)),
            again: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), policy: self.policy }
    }

    /// Changes the tries in all, for calls that begin from now on; 0 is taken as 1.
    pub fn set_attempts(&self, attempts: u32) {
        self.shared.attempts.store(attempts.max(1), Ordering::Relaxed);
    }

    /// Changes the pauses that begin from now on. The budget keeps what it has.
    pub fn set_delays(&self, delays: Delays) {
        *self.shared.delays.lock().unwrap_or_else(PoisonError::into_inner) = delays;
    }

    /// The budget, when there is one.
    #[must_use]
    pub fn spending(&self) -> Option<&Budget> {
        self.shared.budget.as_ref()
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        RetrySnapshot {
            retries: self.shared.again.load(Ordering::Relaxed),
            given_up: self.shared.given_up.load(Ordering::Relaxed),
            budget: self.shared.budget.as_ref().map(Budget::left),
        }
    }
}

impl Shared {
    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    fn waits(&self) -> u32 {
        self.waits.load(Ordering::Relaxed)
    }

    fn delays(&self) -> Delays {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn went_well(&self) {
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
    }

    fn withdraw(&self, throttled: bool) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.withdraw(throttled))
    }

    /// The pause behind this many failures; `None` when a source has no more.
    fn pause(
        &self,
        failed: u32,
        last: Duration,
        source: &mut Option<Box<dyn FnMut() -> Option<Duration> + Send>>,
    ) -> Option<Duration> {
        let delays = self.delays();
        if source.is_none() {
            *source = delays.begin();
        }
        match source {
            Some(next) => next(),
            None => Some(delays.pause(failed, last, self.draw())),
        }
    }

    /// The next 64 random bits: SplitMix64 (Steele, Lea, Flood, 2014), on one counter.
    fn draw(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.dice.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn tries_again(&self, tries: u32, pause: Duration, means: &Assessment) {
        self.again.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(tries, pause_ms = pause.as_millis(), fault = ?means.fault, "trying again");
    }

    fn gave_up(&self, why: &'static str, means: &Assessment) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(fault = ?means.fault, "gave up: {why}");
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("attempts", &self.attempts())
            .field("delays", &self.delays())
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry { inner, shared: Arc::clone(&self.shared), policy: self.policy.clone() }
    }
}

/// A service that tries again; made by [`RetryLayer`].
#[derive(Clone)]
pub struct Retry<S, P = ByHead> {
    inner: S,
    shared: Arc<Shared>,
    policy: P,
}

impl<S: fmt::Debug, P> fmt::Debug for Retry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("shared", &self.shared).field("inner", &self.inner).finish()
    }
}

impl<S, P, Req> Service<Req> for Retry<S, P>
where
    S: Service<Req> + Clone,
    P: Policy<Req, S::Response, S::Error>,
    Req: Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RetryFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let head = self.policy.head(&request);
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        let once = self.shared.attempts() <= 1 && self.shared.waits() == 0;
        let spare = (!once).then(|| request.clone());
        let first = ready.call(request);
        let (policy, shared) = (self.policy.clone(), Arc::clone(&self.shared));
        RetryFuture::new(ready, policy, shared, spare, head, first)
    }
}
