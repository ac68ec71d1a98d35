//! The ledger as two layers: one effect a key, across callers, processes and crashes.

mod codec;
mod course;
mod desk;
mod errand;
mod mark;
mod sweep;
#[cfg(test)]
mod threads;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

pub use self::{
    codec::{Json, Payload, Stored},
    mark::{Mark, MarkFuture, MarkLayer},
};
use self::{
    course::Course,
    desk::{Desk, Found},
};
pub(crate) use self::{
    course::recorded,
    errand::Errand,
    mark::{marked, may_send, unrecorded},
};
use crate::{
    Call, Digest, Effect, Env, Error, IdempotencyKey, MessageId, Reason, Refusal, Result, TenantId,
    channel::Reconcile,
    records::{
        Budgets, EffectRecord,
        claims::{Claims, Who},
    },
    store::SharedStore,
};

/// The name in refusals.
const NAME: &str = "ledger";

/// The lease of a claim without a deadline.
const LEASE: Duration = Duration::from_secs(30);

/// Makes the effect of a call once for its key: the outermost of the two ledger layers.
///
/// [`MarkLayer`] is the innermost; a stack has both or none. What is recorded is the same as in
/// a gateway, moved by the same machine: [`EffectState`](crate::records::EffectState).
///
/// A call that answers without coming to a mark is logged as an error, and is in doubt: its record
/// would say that it was surely not sent. So is one that ends with `Maybe`, until the layer has seen
/// a mark once; from then on it counts as cut off where it waited. So a
/// [`FallbackLayer`](super::FallbackLayer) stands outside of a ledger: an answer of its own has no mark.
///
/// | the key is | the call is answered by |
/// |---|---|
/// | new | one run, claimed before anything is sent |
/// | done, same request | the stored answer |
/// | failed for good, same request | the stored error, with `replayed=true` |
/// | another request's | [`Reason::KeyReused`]; nothing runs |
/// | in flight in this process | the outcome of that call; [`Reason::InProgress`] where the caller's own deadline is nearer |
/// | in flight elsewhere | [`Reason::InProgress`], with the rest of its lease as `retry_after` |
/// | claimed, surely not sent | another run |
/// | in doubt | another run (`AtLeastOnce`, `Keyed` in its retention), its owner (`Reconcilable`), or [`Reason::InDoubt`]: parked for a person |
///
/// A key belongs to a tenant, and names one target and one payload. `Pure` calls pass. Other
/// calls without a key are refused with [`Reason::NotRecorded`], and so is what the store can't
/// record: there is no way around a store that fails.
///
/// A claim has a lease: until the call's deadline and 5 s more, 30 s without a deadline, renewed
/// at a third. It is dated by the store's clock, whatever that of the process shows, and so is the
/// first try, from which the retention of a `Keyed` call counts. A caller that is dropped leaves its
/// record; the lease covers it against other processes. Who takes an expired lease over fences the
/// former holder: its late commit loses.
///
/// A finished record counts for the retention, 24 h; then it is as absent. The row itself goes at
/// a [sweep](LedgerLayer::sweep), or at that of a gateway with messages of the same tenant. A
/// parked one stays until somebody [decides](LedgerLayer::decide).
///
/// Errors: the stack's own, `APPROVAL_REQUIRED`, `VALIDATION_ERROR` for what can't be
/// written, `UNSUPPORTED` where effects are withheld, and the refusals above.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Env, Error, IdempotencyKey, TenantId,
///     middleware::{LedgerLayer, MarkLayer},
///     skill::{SkillAnswer, SkillManifest},
///     store::MemoryStore,
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let refunds = Arc::new(std::sync::atomic::AtomicU32::new(0));
/// let made = refunds.clone();
/// let service = ServiceBuilder::new()
///     .layer(LedgerLayer::new(Arc::new(MemoryStore::new(env.clock())), env))
///     .layer(MarkLayer::new())
///     .service(service_fn(move |_call: Call<Arc<serde_json::Value>>| {
///         let n = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         async move { Ok::<_, Error>(SkillAnswer::done(n.into())) }
///     }));
/// let manifest = SkillManifest::new("shop.refund".parse()?, "1.0.0");
/// let key = IdempotencyKey::builder("shop.refund").part("1042").build()?;
/// let call = Call::skill(Context::new(TenantId::new("acme")?), &manifest, Arc::default());
/// let first = service.clone().oneshot(call.clone().with_key(key.clone())).await?;
/// assert_eq!(service.oneshot(call.with_key(key)).await?, first);
/// assert_eq!(refunds.load(std::sync::atomic::Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
pub struct LedgerLayer<P, R> {
    shared: Arc<Shared<P, R>>,
    errand: Option<Arc<Errand>>,
}

/// Builds a [`LedgerLayer`].
pub struct LedgerBuilder<P, R> {
    settings: Settings<P>,
    store: SharedStore,
    env: Env,
    budgets: Budgets,
    owner: u64,
    in_flight: usize,
    recall: usize,
    answer: std::marker::PhantomData<fn() -> R>,
}

/// An approval for exactly one request, to be consumed by its claim.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Approved {
    /// The approval's id.
    pub id: Arc<str>,
    /// The digest of what is asked: [`Approval::digest_of`](crate::records::Approval::digest_of).
    pub digest: Digest,
}

impl Approved {
    /// This approval, for the request of this digest.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, digest: Digest) -> Self {
        Self { id: id.into(), digest }
    }
}

type Approvals<P> = Box<dyn Fn(&Call<P>) -> Option<Approved> + Send + Sync>;

struct Settings<P> {
    lease: Option<Duration>,
    retention: Duration,
    reconcile: Option<Arc<dyn Reconcile>>,
    patience: Duration,
    approvals: Option<Approvals<P>>,
}

struct Shared<P, R> {
    settings: Settings<P>,
    claims: Arc<Claims>,
    owner: u64,
    /// Tells the calls of this owner apart.
    calls: AtomicU64,
    desk: Desk<P, R>,
}

/// How full a ledger layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerSnapshot {
    /// Keys in flight in this process.
    pub in_flight: usize,
    /// Outcomes that are answered from memory.
    pub recalled: usize,
}

impl<P: Payload, R: Stored> LedgerLayer<P, R> {
    /// A ledger in this store, with every default.
    #[must_use]
    pub fn new(store: SharedStore, env: Env) -> Self {
        Self::builder(store, env).build()
    }

    /// Starts a ledger in this store.
    pub fn builder(store: SharedStore, env: Env) -> LedgerBuilder<P, R> {
        LedgerBuilder {
            owner: env.next_u64(),
            store,
            env,
            budgets: Budgets::default(),
            settings: Settings {
                lease: None,
                retention: Duration::from_secs(24 * 3600),
                reconcile: None,
                patience: Duration::from_secs(30),
                approvals: None,
            },
            in_flight: 65_536,
            recall: 1024,
            answer: std::marker::PhantomData,
        }
    }

    /// What is recorded under a key; `None` when nothing is, or when it counts no more.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn record(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
    ) -> Result<Option<EffectRecord>> {
        let place = self.shared.place(tenant, key, Arc::default(), LEASE);
        self.shared.claims.look(&place).await
    }

    /// Says what became of an effect in doubt, after a person has looked.
    ///
    /// `Some(answer)`: it happened, with this answer, which whoever asks again gets. `None`: it
    /// did not, and the next call makes it. `by` is the person, for the audit trail.
    ///
    /// # Errors
    /// `NOT_FOUND` when nothing is recorded under the key; `CONFLICT` when it is not in doubt, or
    /// is on its way, or has just moved on; the store's error.
    pub async fn decide(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
        answer: Option<R>,
        by: impl Into<Arc<str>>,
    ) -> Result<()> {
        let answer = answer.map(|answer| answer.store()).transpose()?;
        let place = self.shared.place(tenant, key, Arc::default(), LEASE);
        self.shared.claims.decide(place, answer, by.into()).await
    }

    /// Removes a tenant's records that count no more; how many there were.
    ///
    /// Approvals that were asked for outside a gateway go 30 days behind their time and are counted,
    /// too. So do, uncounted, windows of budgets 2 days behind their end. What a call had reserved
    /// that was dropped unsent is given back.
    /// To be called now and then, by one process. Each commit is small, and a pause of three times
    /// its length follows. A call that claims such a key meanwhile wins.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep(&self, tenant: &TenantId) -> Result<u64> {
        sweep::sweep(&self.shared.claims, tenant).await
    }

    /// The same ledger, for one call of a skill: claimed as far as rules and people allow it.
    pub(crate) fn on(&self, errand: Errand) -> Self {
        Self { errand: Some(Arc::new(errand)), ..self.clone() }
    }

    /// How full it is.
    #[must_use]
    pub fn snapshot(&self) -> LedgerSnapshot {
        let (in_flight, recalled) = self.shared.desk.len();
        LedgerSnapshot { in_flight, recalled }
    }
}

impl<P: Payload, R: Stored> LedgerBuilder<P, R> {
    /// Sets the lease of every claim. Until the deadline and 5 s more; 30 s without one.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = Some(lease);
        self
    }

    /// Sets how long a finished record counts. 24 h.
    #[must_use]
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Asks this owner about `Reconcilable` calls in doubt, for 30 s at most, and until the caller's
    /// deadline. Without one they are parked.
    #[must_use]
    pub fn reconcile(mut self, hook: impl Reconcile + 'static) -> Self {
        self.settings.reconcile = Some(Arc::new(hook));
        self
    }

    /// Has the claim consume the approval that this finds for a call. None.
    ///
    /// A key that is claimed already consumes nothing more.
    #[must_use]
    pub fn approvals(
        mut self,
        find: impl Fn(&Call<P>) -> Option<Approved> + Send + Sync + 'static,
    ) -> Self {
        self.settings.approvals = Some(Box::new(find));
        self
    }

    /// Has each claim reserve what its call is expected to cost. None.
    ///
    /// Over a limit a call is refused with [`Reason::BudgetSpent`].
    #[must_use]
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// Sets how many keys may be in flight at once; above it calls are
    /// [`Reason::Overloaded`]. 65,536.
    #[must_use]
    pub const fn in_flight(mut self, most: usize) -> Self {
        self.in_flight = most;
        self
    }

    /// Sets how many finished outcomes are answered from memory; at least 1. 1,024.
    #[must_use]
    pub const fn recall(mut self, most: usize) -> Self {
        self.recall = most;
        self
    }

    /// The layer.
    #[must_use]
    pub fn build(self) -> LedgerLayer<P, R> {
        let shared = Shared {
            settings: self.settings,
            claims: Arc::new(Claims::new(self.store, self.env, self.budgets)),
            owner: self.owner,
            calls: AtomicU64::new(0),
            desk: Desk::new(self.in_flight, self.recall),
        };
        LedgerLayer { shared: Arc::new(shared), errand: None }
    }
}

impl<P, R> Clone for LedgerLayer<P, R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), errand: self.errand.clone() }
    }
}

impl<P, R> fmt::Debug for LedgerLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerLayer")
            .field("lease", &self.shared.settings.lease)
            .field("retention", &self.shared.settings.retention)
            .finish_non_exhaustive()
    }
}

impl<P, R> fmt::Debug for LedgerBuilder<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerBuilder").finish_non_exhaustive()
    }
}

impl<S, P, R> Layer<S> for LedgerLayer<P, R> {
    type Service = Ledger<S, P, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Ledger { inner, layer: self.clone() }
    }
}

/// A service whose calls have one effect a key; made by [`LedgerLayer`].
pub struct Ledger<S, P, R> {
    inner: S,
    layer: LedgerLayer<P, R>,
}

impl<S: Clone, P, R> Clone for Ledger<S, P, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for Ledger<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, P, R> Service<Call<P>> for Ledger<S, P, R>
where
    S: Service<Call<P>, Response = R, Error = Error> + Clone + Send + 'static,
    S::Future: Send + 'static,
    P: Payload,
    R: Stored,
{
    type Response = R;
    type Error = Error;
    type Future = LedgerFuture<R>;

    /// Always: the inner service is made ready when it is known that it has to run.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<P>) -> Self::Future {
        let LedgerLayer { shared, errand } = &self.layer;
        if call.effect() == Effect::Pure && errand.is_none() {
            let (inner, claims) = (self.inner.clone(), Arc::clone(&shared.claims));
            let alone = call.others().is_none();
            return LedgerFuture::soon(async move {
                let context = call.context().clone();
                let who = Who {
                    tenant: context.tenant(),
                    payer: context.payer(),
                    message: MessageId::from_u128(0),
                    subject: Arc::clone(call.shared_target()),
                    fence: None,
                };
                let run = |call| course::plain(inner, call);
                claims.charged(who, alone, call, run).await
            });
        }
        let Some(id) = shared.desk.id(&call) else {
            let refusal = Refusal::new(Reason::NotRecorded, NAME);
            return LedgerFuture::now(Err(refusal.with_detail("the call has no key").into()));
        };
        match shared.desk.recall(&id, &call, || shared.claims.env().now()) {
            Some(Found::Ended(end)) => LedgerFuture::now(end.into_outcome()),
            Some(_) => LedgerFuture::now(Err(course::reused())),
            None => {
                let course = Course { shared: Arc::clone(shared), id, errand: errand.clone() };
                LedgerFuture::soon(course.run(self.inner.clone(), call))
            }
        }
    }
}

/// The answer to come of a [`Ledger`].
pub struct LedgerFuture<R>(Answer<R>);

enum Answer<R> {
    Here(Option<Result<R>>),
    Coming(Pin<Box<dyn Future<Output = Result<R>> + Send>>),
}

impl<R> LedgerFuture<R> {
    const fn now(outcome: Result<R>) -> Self {
        Self(Answer::Here(Some(outcome)))
    }

    fn soon(course: impl Future<Output = Result<R>> + Send + 'static) -> Self {
        Self(Answer::Coming(Box::pin(course)))
    }
}

impl<R> fmt::Debug for LedgerFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerFuture")
    }
}

// The answer is never pinned in place: it is moved out.
impl<R> Unpin for LedgerFuture<R> {}

impl<R> Future for LedgerFuture<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Here(outcome) => outcome.take().map_or(Poll::Pending, Poll::Ready),
            Answer::Coming(course) => course.as_mut().poll(cx),
        }
    }
}
