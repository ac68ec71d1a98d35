//! Tries again, where that is safe.

#[cfg(feature = "backoff")]
mod backoff;
mod budget;
mod decide;
mod delays;
mod future;
mod presets;
mod shared;
mod snapshot;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    budget::Budget,
    delays::{DelaySource, Delays, Jitter},
    future::RetryFuture,
    snapshot::{GivenUp, RetrySnapshot},
};
use self::{future::Terms, shared::Shared};
use crate::policy::{ByHead, Policy};

/// Tries a failed call again, where that is safe and there is time.
///
/// | | default | |
/// |---|---|---|
/// | attempts | 3 | tries in all, the first one included |
/// | pauses | 1 s, doubling to 32 s, full jitter | never shorter than the other side's Retry-After |
/// | longest wait | 5 min | for a Retry-After; behind a longer one it gives up |
/// | budget | 100 tokens | see [`Budget`] |
///
/// Only transient faults are tried again, and once a try *may* have happened, only a call that
/// may be repeated: `Pure`, `AtLeastOnce`, or `Keyed` with a key that is still inside its
/// retention when the pause before the next try ends. What layers inside wait after that, for a place
/// or a permit, is not counted: leave room for it in the retention.
///
#[doc = include_str!("table.md")]
///
/// When the next try would come behind the deadline, or the other side asks for a longer wait than
/// the longest, it gives up at once, and returns the outcome with its Retry-After. When the tries or the budget are spent the outcome is marked exhausted:
/// an outer retry does not multiply them. A refusal of our own layers is returned as it is; it
/// costs neither a try nor budget. It emits an event for each retry (debug) and each call that it
/// gives up (warn), none for a success.
///
/// The setters that take `&self` change a layer at work: clones share them, and so do all
/// services that were made. Those that take `self` make a layer of its own.
///
/// The request is cloned once a try. Each later try is made on a clone
/// of the service, which is readied before it.
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

impl RetryLayer {
    /// Three tries with these pauses.
    #[must_use]
    pub fn new(delays: Delays) -> Self {
        Self { shared: Arc::new(Shared::new(delays)), policy: ByHead }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(Delays::default())
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
        self.remade(|shared| shared.set_attempts(attempts))
    }

    /// Begins no try later than this behind the first one, whatever the deadline allows.
    ///
    /// Without end unless set.
    #[must_use]
    pub fn within(self, total: Duration) -> Self {
        self.remade(|shared| shared.set_within(Some(total)))
    }

    /// Waits up to this often a call when a layer inside refuses and says when to come back.
    ///
    /// Such a wait costs neither a try nor budget. None unless set.
    #[must_use]
    pub fn wait_for_refusals(self, times: u32) -> Self {
        self.remade(|shared| shared.set_waits(times))
    }

    /// Waits for nobody's Retry-After that is longer than this: the call returns at once then.
    ///
    /// 5 min unless set. It bounds what others ask for, not the pauses of its own.
    #[must_use]
    pub fn longest_wait(self, longest: Duration) -> Self {
        self.remade(|shared| shared.set_longest_wait(longest))
    }

    /// Makes the pauses repeatable.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.remade(|shared| shared.set_seed(seed))
    }

    /// Shares this budget with other layers; `None` retries without one.
    #[must_use]
    pub fn budget(self, budget: Option<Budget>) -> Self {
        self.remade(|shared| shared.share_budget(budget))
    }

    /// Changes the tries in all, for calls that begin from now on; 0 is taken as 1.
    pub fn set_attempts(&self, attempts: u32) {
        self.shared.set_attempts(attempts);
    }

    /// Changes the time for all tries, for calls that begin from now on.
    pub fn set_within(&self, total: Option<Duration>) {
        self.shared.set_within(total);
    }

    /// Changes how often refusals are waited for, for calls that begin from now on.
    pub fn set_wait_for_refusals(&self, times: u32) {
        self.shared.set_waits(times);
    }

    /// Changes the longest wait for a Retry-After, for waits that begin from now on.
    pub fn set_longest_wait(&self, longest: Duration) {
        self.shared.set_longest_wait(longest);
    }

    /// Changes the pauses that begin from now on. The budget keeps what it has.
    pub fn set_delays(&self, delays: Delays) {
        self.shared.set_delays(delays);
    }

    /// Changes the most tokens of the budget, for all who share it; 0 retries without one.
    ///
    /// What is left stays, as far as it fits.
    pub fn set_budget(&self, tokens: u32) {
        self.shared.set_budget(tokens);
    }

    /// The budget, when there is one.
    #[must_use]
    pub fn spending(&self) -> Option<&Budget> {
        self.shared.budget()
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        self.shared.snapshot()
    }

    /// A layer of its own: clones that were made before keep their settings.
    fn remade(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = self.shared.fork();
        change(&mut shared);
        Self { shared: Arc::new(shared), policy: self.policy }
    }
}

impl<S: Clone, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let spare = Spare { service: inner.clone(), shared: Arc::clone(&self.shared) };
        Retry { inner, spare: Arc::new(spare), policy: self.policy.clone() }
    }
}

/// What later tries are made on: one reference to count, however many layers are inside.
pub(crate) struct Spare<S> {
    service: S,
    shared: Arc<Shared>,
}

/// A service that tries again; made by [`RetryLayer`].
#[derive(Clone)]
pub struct Retry<S, P = ByHead> {
    inner: S,
    spare: Arc<Spare<S>>,
    policy: P,
}

impl<S: fmt::Debug, P> fmt::Debug for Retry<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("shared", &self.spare.shared)
            .field("inner", &self.inner)
            .finish()
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
        let terms = Terms::new(&self.spare.shared, &self.policy.head(&request));
        let spare = terms.may_go_on().then(|| request.clone());
        let first = self.inner.call(request);
        RetryFuture::new(Arc::clone(&self.spare), self.policy.clone(), spare, terms, first)
    }
}
