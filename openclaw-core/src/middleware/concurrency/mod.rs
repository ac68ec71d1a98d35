//! Keeps the number of calls in flight in bounds.

mod future;
mod permits;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

pub use self::{future::ConcurrencyFuture, permits::ConcurrencySnapshot};
use self::{
    future::State,
    permits::{Permits, Terms},
};
use crate::{
    Refusal,
    policy::{ByHead, Policy},
};

/// Keeps the number of calls in flight in bounds: a bulkhead.
///
/// | | default | |
/// |---|---|---|
/// | limit | given | [`adaptive`](Self::adaptive): finds it, between two bounds |
/// | longest wait | none: refused at once | [`wait`](Self::wait): permits are given in the order of the calls |
///
/// A permit is held until the answer is here or the call is dropped. A wait ends at the deadline
/// of the request at the latest. The refusal is `OVERLOADED`, and nothing was sent.
///
/// An adaptive limit starts at its upper bound. A round of successes while it is in use adds one;
/// a timeout, throttling or overload of the other side takes a tenth, once a round: outcomes of calls
/// that began before the last time take no more.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Error, ErrorKind, TenantId, middleware::ConcurrencyLayer,
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut service = ServiceBuilder::new()
///     .layer(ConcurrencyLayer::new("crm", 1))
///     .service(service_fn(async |call: Call<Arc<serde_json::Value>>| {
///         Ok::<_, Error>(SkillAnswer::Done(Arc::clone(call.payload())))
///     }));
/// let call = || {
///     let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
///     Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default())
/// };
/// let first = service.call(call());
/// let e = service.call(call()).await.unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::Overloaded);
/// drop(first);
/// service.call(call()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer<P = ByHead> {
    terms: Arc<Terms>,
    policy: P,
}

impl ConcurrencyLayer {
    /// At most so many calls in flight; 0 is taken as 1.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, limit: usize) -> Self {
        Self::adaptive(name, limit..=limit)
    }

    /// A limit between two bounds that follows what the other side can take.
    #[must_use]
    pub fn adaptive(name: impl Into<Arc<str>>, bounds: RangeInclusive<usize>) -> Self {
        let permits = Arc::new(Permits::new(name.into(), bounds));
        Self { terms: Arc::new(Terms::new(permits, Duration::ZERO)), policy: ByHead }
    }
}

impl<P> ConcurrencyLayer<P> {
    /// Reads requests and outcomes by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> ConcurrencyLayer<Q> {
        ConcurrencyLayer { terms: self.terms, policy }
    }

    /// Lets calls wait for a permit, this long at most; zero refuses at once.
    ///
    /// Clones that were made before go on as they do, with the same permits.
    #[must_use]
    pub fn wait(self, max: Duration) -> Self {
        let terms = Terms::new(Arc::clone(&self.terms.permits), max);
        Self { terms: Arc::new(terms), policy: self.policy }
    }

    /// Changes the longest wait of calls that come from now on.
    pub fn set_max_wait(&self, max: Duration) {
        self.terms.set_max_wait(max);
    }

    /// Changes the bounds; equal ones are a fixed limit. Calls in flight go on.
    ///
    /// An adaptive limit keeps what it has found, within the new bounds; a limit that was fixed
    /// has found nothing, and starts at the upper one.
    pub fn set_limit(&self, bounds: RangeInclusive<usize>) {
        self.terms.permits.resize(bounds);
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> ConcurrencySnapshot {
        self.terms.permits.snapshot()
    }
}

impl<S, P: Clone> Layer<S> for ConcurrencyLayer<P> {
    type Service = Concurrency<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency { inner, terms: Arc::clone(&self.terms), policy: self.policy.clone() }
    }
}

/// A service with so many calls in flight; made by [`ConcurrencyLayer`].
#[derive(Clone)]
pub struct Concurrency<S, P = ByHead> {
    inner: S,
    terms: Arc<Terms>,
    policy: P,
}

impl<S: fmt::Debug, P> fmt::Debug for Concurrency<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.terms.permits.snapshot();
        f.debug_struct("Concurrency").field("permits", &seen).field("inner", &self.inner).finish()
    }
}

impl<S, P, Req> Service<Req> for Concurrency<S, P>
where
    S: Service<Req> + Clone,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ConcurrencyFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let policy = self.policy.clone();
        let permits = &self.terms.permits;
        if let Some(permit) = permits.take() {
            let state = State::Calling { future: self.inner.call(request) };
            return ConcurrencyFuture::new(policy, Some(permit), state);
        }
        // Nobody may hold room further in while they wait: readiness is asked for again behind it.
        self.inner = self.inner.clone();
        let mut max = self.terms.max_wait();
        let now = Instant::now();
        if let Some(deadline) = self.policy.head(&request).deadline {
            max = max.min(deadline.saturating_duration_since(now));
        }
        let until = now.checked_add(max).filter(|_| !max.is_zero());
        let Some(until) = until else {
            let state = State::Refused { refusal: Some(permits.refuse()) };
            return ConcurrencyFuture::new(policy, None, state);
        };
        let next = Box::pin(Arc::clone(permits).next());
        let rest = Some((self.inner.clone(), request));
        let (sleep, permits) = (sleep_until(until), Arc::clone(permits));
        ConcurrencyFuture::new(policy, None, State::Waiting { next, sleep, rest, permits })
    }
}
