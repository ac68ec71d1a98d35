//! Makes no more calls in a time than a quota allows.

mod future;
mod gcra;
mod handle;
mod line;
mod meter;
mod place;
mod shared;
#[cfg(test)]
mod threads;
mod words;

use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    future::RateLimitFuture,
    gcra::Quota,
    handle::RateLimitHandle,
    meter::{Direct, Meter, Numbers, PerKey},
    shared::RateLimitSnapshot,
};
use self::{
    future::{Place, State},
    shared::Shared,
};
use crate::{
    Refusal,
    middleware::Ticks,
    policy::{Advice, ByHead, Policy},
};

/// Keys that are told apart unless said otherwise.
const KEYS: usize = 100_000;

/// Makes no more calls in a time than a quota allows; the rest waits, or is refused.
///
/// | setting | default | |
/// |---|---|---|
/// | quota | – | [`Quota`]: calls in a time, and how many at once (as many, unless said) |
/// | keys | one limit for all calls | [`per_key`](Self::per_key): one a tenant, a credential, an address; 100,000 keys |
/// | longest wait | zero: refused at once | [`wait`](Self::wait): places are given in the order of the calls |
/// | advice | heeded, for 5 min at most | [`learn`](Self::learn) |
/// | gate | none | [`gate`](Self::gate): a call that is refused further in waits for no place |
///
/// A place is taken when the service is called. A wait ends at the deadline of the request at
/// the latest: a call whose place lies behind it is refused at once, with the time until its
/// place as `retry_after`. A call that is dropped while it waits gives its place back, when
/// nobody has taken a later one and the quota is the same.
///
/// What the other side says of its own limit
/// ([`Policy::advice`](crate::policy::Policy::advice), or a Retry-After of a throttled or
/// unavailable one) tightens the limit of that key, and never loosens it. Nothing left, or a
/// Retry-After, is silence: calls that wait go on behind it in their order, within their longest
/// wait; none is put off by more than the silence. What ends at once says nothing. Calls that are left are spread over the time until the reset; a burst of the
/// same length as before stays possible.
///
/// It stands inside the retry, so that each attempt counts, and outside the breaker.
///
/// ```
/// use std::{num::NonZeroU32, sync::Arc};
/// use openclaw_core::{
///     Call, Context, Error, ErrorKind, TenantId, middleware::{Quota, RateLimitLayer},
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = NonZeroU32::MIN;
/// let layer = RateLimitLayer::new("crm", Quota::per_second(one))
///     .per_key(|call: &Call<Arc<serde_json::Value>>| call.context().tenant().clone());
/// let service = ServiceBuilder::new().layer(layer).service(service_fn(
///     async |call: Call<Arc<serde_json::Value>>| {
///         Ok::<_, Error>(SkillAnswer::Done(Arc::clone(call.payload())))
///     },
/// ));
/// let call = |tenant: &str| {
///     let manifest = SkillManifest::new("crm.find".parse().unwrap(), "1.0.0");
///     Call::skill(Context::new(TenantId::new(tenant).unwrap()), &manifest, Arc::default())
/// };
/// service.clone().oneshot(call("acme")).await?;
/// let e = service.clone().oneshot(call("acme")).await.unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::RateLimited);
/// assert_eq!(e.retry_after().map(|d| d.as_millis()), Some(1_000));
/// service.oneshot(call("globex")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RateLimitLayer<P = ByHead, M: Numbers = Direct> {
    shared: Arc<Shared<M>>,
    policy: P,
}

impl<P: Clone, M: Numbers> Clone for RateLimitLayer<P, M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), policy: self.policy.clone() }
    }
}

impl RateLimitLayer {
    /// One limit for all calls; what is over it is refused.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, quota: Quota) -> Self {
        Self { shared: Arc::new(Shared::new(name.into(), quota)), policy: ByHead }
    }
}

impl<P> RateLimitLayer<P> {
    /// Reads this clock instead of the runtime's. It begins anew: what was used up is forgotten.
    #[must_use]
    pub fn ticks(self, ticks: Ticks) -> Self {
        Self { shared: Arc::new(self.shared.by_ticks(ticks)), policy: self.policy }
    }

    /// One limit a key, for 100,000 keys.
    #[must_use]
    pub fn per_key<Req, K, F>(self, key: F) -> RateLimitLayer<P, PerKey<K, F>>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        F: Fn(&Req) -> K + Send + Sync + 'static,
    {
        self.per_key_of(key, KEYS)
    }

    /// One limit a key, for so many keys; the rest shares one more.
    #[must_use]
    pub fn per_key_of<Req, K, F>(self, key: F, keys: usize) -> RateLimitLayer<P, PerKey<K, F>>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        F: Fn(&Req) -> K + Send + Sync + 'static,
    {
        let meter = PerKey::new(key, keys, self.shared.rule());
        RateLimitLayer { shared: Arc::new(self.shared.by_key(meter)), policy: self.policy }
    }
}

impl<P, M: Numbers> RateLimitLayer<P, M> {
    /// Reads requests and outcomes by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> RateLimitLayer<Q, M> {
        RateLimitLayer { shared: self.shared, policy }
    }

    /// Lets calls wait for their place, this long at most; zero refuses at once.
    ///
    /// Clones and handles that were made before go on as they do, at the same limit.
    #[must_use]
    pub fn wait(self, max: Duration) -> Self {
        self.forked(|shared| shared.set_max_wait(max))
    }

    /// Asks this, by key, before a call waits for its place or is refused for want of one.
    ///
    /// What it says is the answer of the call, and its place is given back: a call has nothing to
    /// wait for while a breaker further in refuses it. Who waits asks again when its turn comes.
    /// Clones and handles that were made before do not ask.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use openclaw_core::{
    ///     Reason, middleware::{Quota, RateLimitLayer, breaker::BreakerLayer},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let breaker = BreakerLayer::new("crm").handle();
    /// let crm = breaker.clone();
    /// let limit = RateLimitLayer::new("crm", Quota::per_second(NonZeroU32::MIN))
    ///     .gate(move |()| crm.refusal());
    /// limit.check(&()).expect("the first");
    /// assert_eq!(limit.check(&()).unwrap_err().reason(), Reason::RateLimited);
    /// breaker.force_open();
    /// assert_eq!(limit.check(&()).unwrap_err().reason(), Reason::CircuitOpen);
    /// # }
    /// ```
    #[must_use]
    pub fn gate(self, gate: impl Fn(&M::Key) -> Option<Refusal> + Send + Sync + 'static) -> Self {
        self.forked(|shared| shared.set_gate(Arc::new(gate)))
    }

    /// Says whether the other side's advice tightens the limit, and for how long at most.
    ///
    /// Clones and handles that were made before go on as they do, at the same limit.
    #[must_use]
    pub fn learn(self, learns: bool, longest: Duration) -> Self {
        self.forked(|shared| shared.set_learning(learns, longest))
    }

    /// Settings of its own, and the same limit.
    fn forked(self, change: impl FnOnce(&mut Shared<M>)) -> Self {
        let mut shared = self.shared.fork();
        change(&mut shared);
        Self { shared: Arc::new(shared), policy: self.policy }
    }

    /// Changes the longest wait of calls that come from now on.
    pub fn set_max_wait(&self, max: Duration) {
        self.shared.set_max_wait(max);
    }

    /// Changes whether advice counts, and for how long at most.
    pub fn set_learning(&self, learns: bool, longest: Duration) {
        self.shared.set_learning(learns, longest);
    }
}

impl<P, M: Numbers> RateLimitLayer<P, M> {
    /// Changes the quota from now on; `None` is no limit, and forgets what was used up.
    ///
    /// Calls that were made count under the next quota, too, and come back at its pace; no more
    /// are missing than it allows at once. Calls that wait keep their places, and silence that
    /// the other side has asked for ends when it would have.
    pub fn set_quota(&self, quota: Option<Quota>) {
        self.shared.set_quota(quota);
    }

    /// Lets nothing pass for this long, as far as the longest block goes.
    ///
    /// With keys: those that are on hand, and those that find no room.
    pub fn block(&self, span: Duration) {
        self.shared.tighten_all(Advice::new(0, span));
    }

    /// Lets nothing of this key pass for this long, as far as the longest block goes.
    pub fn block_key(&self, key: &M::Key, span: Duration) {
        self.shared.tighten(key, Advice::new(0, span));
    }

    /// How long a call of this key would wait if it came now; it takes no place.
    #[must_use]
    pub fn peek(&self, key: &M::Key) -> Duration {
        self.shared.peek(key, self.shared.now())
    }

    /// Takes a place of this key without a call, if there is one at once.
    ///
    /// # Errors
    /// The refusal that a call would have met.
    #[inline]
    pub fn check(&self, key: &M::Key) -> Result<(), Refusal> {
        let now = self.shared.now();
        self.shared.reserve(key, now, now).map(|_| ())
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> RateLimitSnapshot {
        self.shared.snapshot()
    }

    /// A handle without the types of the layer.
    #[must_use]
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(Arc::clone(&self.shared))
    }
}

impl<P, K, F> RateLimitLayer<P, PerKey<K, F>>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Send + Sync + 'static,
{
    /// Changes how many keys are told apart, in whole shards: each of the up to 64 has one.
    ///
    /// Keys that are on hand stay until their time is over, also where there is room for fewer.
    pub fn set_keys(&self, keys: usize) {
        self.shared.meter().set_keys(keys);
    }
}

impl<S, P: Clone, M: Numbers> Layer<S> for RateLimitLayer<P, M> {
    type Service = RateLimit<S, P, M>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit { inner, shared: Arc::clone(&self.shared), policy: self.policy.clone() }
    }
}

/// A service that keeps to a quota; made by [`RateLimitLayer`].
pub struct RateLimit<S, P = ByHead, M: Numbers = Direct> {
    inner: S,
    shared: Arc<Shared<M>>,
    policy: P,
}

impl<S: Clone, P: Clone, M: Numbers> Clone for RateLimit<S, P, M> {
    fn clone(&self) -> Self {
        let (inner, policy) = (self.inner.clone(), self.policy.clone());
        Self { inner, shared: Arc::clone(&self.shared), policy }
    }
}

impl<S: fmt::Debug, P, M: Numbers> fmt::Debug for RateLimit<S, P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("shared", &self.shared)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, P, M, Req> Service<Req> for RateLimit<S, P, M>
where
    S: Service<Req> + Clone,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
    M: Meter<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RateLimitFuture<S, P, M, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (policy, shared) = (self.policy.clone(), Arc::clone(&self.shared));
        let deadline = self.policy.head(&request).deadline;
        let key = shared.meter().key(&request);
        let at = shared.now();
        let last = shared.last(at, deadline);
        match shared.reserve(&key, at, last) {
            Err(refusal) => {
                self.unready();
                let state = State::Refused { refusal: Some(refusal) };
                RateLimitFuture::new(policy, Place::none(shared), state)
            }
            Ok(taken) if taken.slot.wait == 0 => {
                let place = Place { shared, key: Some(key), waits: None, last };
                let state = State::Calling { future: self.inner.call(request) };
                RateLimitFuture::new(policy, place, state)
            }
            Ok(taken) => {
                self.unready();
                shared.joined_the_queue();
                let refusal = shared.refused_further_in(&key);
                let mut place = Place { shared, key: Some(key), waits: Some(taken), last };
                if refusal.is_some() {
                    place.give_up();
                    return RateLimitFuture::new(policy, place, State::Refused { refusal });
                }
                let rest = Some((self.inner.clone(), request));
                let sleep = sleep(Duration::from_nanos(taken.slot.wait));
                RateLimitFuture::new(policy, place, State::Waiting { sleep, rest })
            }
        }
    }
}

impl<S: Clone, P, M: Numbers> RateLimit<S, P, M> {
    /// Gives up the readiness that was asked for: nobody may hold room further in while they wait.
    fn unready(&mut self) {
        self.inner = self.inner.clone();
    }
}
