//! `RequestQueue`: what a host holds of a queue.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{sync::Notify, time::Instant};
use tower_service::Service;

use super::{Job, JobId, book::Book, run};
use crate::{
    Call, Digest, Effect, Effects, Env, Error, ErrorKind, Happened, IdempotencyKey, MessageId,
    Reason, Refusal, Result, TenantId, Timestamp,
    channel::Reconcile,
    middleware::Delays,
    records::{
        Budgets, EffectRecord, EffectState, Event,
        audit::{AuditAction, AuditEntry},
        claims::Claims,
        commit::Known,
        jobs::{self, JobRow},
    },
    skill::SkillAnswer,
    store::{SharedStore, StoreTime},
    words::flag::Flag,
};

/// A durable queue in front of a service: `submit` now, `result` later.
///
/// A submitted call is in the store before its id is out. [`run`](Self::run) makes the calls, in
/// the order of their due dates, at the pace of the service's own limits: a call that one of them
/// refuses goes back to its turn, and its tenant's others wait with it. A failed call goes back
/// with a due date, never before the Retry-After of the remote. Nothing sleeps in memory.
///
/// | behind a crash, a lost answer or a dropped `run` | by the same rules as the ledger |
/// |---|---|
/// | `Pure`, `AtLeastOnce`, `Keyed` within its retention | runs again, with the same key |
/// | `Reconcilable` | its owner is asked, else parked |
/// | `AtMostOnce`, `Keyed` behind its retention | parked, for [`decide`](Self::decide) |
///
/// A job is marked as sent before the service is called: let the service's limits refuse, not
/// wait, or a crash during the wait counts as doubt. Each job has one owner, by a lease that is
/// renewed while it runs. Leases, turns and deadlines go by the store's clock: several processes may
/// run one queue, however far their own are off. The call's key is its own, or made of the job's
/// id; under one of its own it is one job of its tenant in this queue, however often it is
/// submitted. Tenant, trust label, trace and deadline go along, and the payer; the principal and
/// the cancellation do not. An error that an inner retry has exhausted is final.
///
/// With [budgets](RequestQueueBuilder::budgets) a job reserves when it is marked as sent. An attempt
/// that surely did nothing gives it back, a doubt keeps it, and the end spends it, as in the ledger:
/// what the call [says](Call::spent), else all of it.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Effect, Env, Error, TenantId, middleware::RequestQueue,
///     skill::{SkillAnswer, SkillManifest}, store::MemoryStore,
/// };
/// use serde_json::{Value, json};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let store = Arc::new(MemoryStore::new(env.clock()));
/// let crm = service_fn(async |call: Call<Arc<Value>>| {
///     Ok::<_, Error>(SkillAnswer::done(json!({ "found": call.payload()["name"] })))
/// });
/// let queue = RequestQueue::builder("crm", store, env, crm).build();
///
/// let acme = TenantId::new("acme")?;
/// let manifest = SkillManifest::new("crm.find".parse()?, "1.0.0").effect(Effect::Pure);
/// let input = Arc::new(json!({ "name": "Ada" }));
/// let job = queue.submit(Call::skill(Context::new(acme.clone()), &manifest, input)).await?;
///
/// let host = async {
///     let answer = queue.wait(&acme, job).await;
///     queue.drain();
///     answer
/// };
/// let (answer, ()) = tokio::join!(host, queue.run());
/// assert_eq!(answer?, SkillAnswer::done(json!({ "found": "Ada" })));
/// # Ok(()) }
/// ```
pub struct RequestQueue<S> {
    book: Arc<Book>,
    stop: Arc<Flag>,
    service: S,
}

impl<S: Clone> Clone for RequestQueue<S> {
    fn clone(&self) -> Self {
        let (book, stop) = (Arc::clone(&self.book), Arc::clone(&self.stop));
        Self { book, stop, service: self.service.clone() }
    }
}

impl<S> fmt::Debug for RequestQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestQueue").field("name", &self.book.name).finish_non_exhaustive()
    }
}

/// Sets up a [`RequestQueue`].
#[derive(Debug)]
#[must_use = "end it with `build`"]
pub struct RequestQueueBuilder<S> {
    book: Book,
    service: S,
}

impl<S> RequestQueue<S> {
    /// Starts a queue of this name in this store, in front of this service.
    ///
    /// The name is the queue's identity: who uses it again after a restart finds the jobs.
    pub fn builder(
        name: impl Into<Arc<str>>,
        store: SharedStore,
        env: Env,
        service: S,
    ) -> RequestQueueBuilder<S> {
        let second = Duration::from_secs(1);
        let claims = Claims::new(Arc::clone(&store), env.clone(), Budgets::default());
        let book = Book {
            name: name.into(),
            store,
            time: StoreTime::new(env.clone()),
            env,
            claims,
            depth: 10_000,
            in_flight: 16,
            attempts: 5,
            delays: Delays::exponential(second, 2.0, 300 * second),
            lease: 30 * second,
            time_limit: 300 * second,
            retention: 86_400 * second,
            poll: second,
            reconcile: None,
            stirred: Notify::new(),
            ended: Notify::new(),
        };
        RequestQueueBuilder { book, service }
    }
}

impl<S: Send + Sync> RequestQueue<S> {
    /// Takes a call in; it is durable when its id is here.
    ///
    /// A call that comes again under its own key is the job that it was, until the result is
    /// forgotten.
    ///
    /// # Errors
    /// [`Reason::KeyReused`] when the key was another request's, [`Reason::Overloaded`] when the
    /// queue is full, [`Reason::DeadlineTooNear`] behind the call's deadline, `UNSUPPORTED` for an effect that the context withholds, or the store's error.
    pub async fn submit(&self, call: Call<Arc<Value>>) -> Result<JobId> {
        let book = &self.book;
        let id = book.env.next_id();
        let tenant = call.context().tenant().clone();
        book.tell(&tenant, id).await?;
        let row = self.row(&call, id, book.time.now())?;
        let entry = AuditEntry::new(book.env.now(), AuditAction::EffectClaimed, id, call.target())
            .because(format!("queue {}", book.name));
        let txn = jobs::submit(&tenant, id, &row, book.depth, &entry)?;
        let full = jobs::full(&txn);
        match book.commit(txn).await? {
            Known::Applied(_) => {
                book.stirred.notify_one();
                Ok(JobId(id))
            }
            Known::Lost { guard, .. } if guard == full => {
                let refusal = Refusal::new(Reason::Overloaded, Arc::clone(&book.name));
                Err(refusal.with_detail("the queue is full").into())
            }
            Known::Lost { guard: jobs::KNOWN, .. } => self.known(&tenant, &row).await,
            Known::Lost { .. } => Err(conflict("the job's id is taken", JobId(id))),
        }
    }

    /// The job that was made under the key of this one, of the same request.
    async fn known(&self, tenant: &TenantId, row: &JobRow) -> Result<JobId> {
        let book = &self.book;
        match book.known(tenant, &row.key).await? {
            Some(job) if job.row.call.fingerprint == row.call.fingerprint => Ok(JobId(job.id)),
            Some(_) => Err(Refusal::new(Reason::KeyReused, Arc::clone(&book.name)).into()),
            None => Err(Error::new(ErrorKind::Unavailable, "the key is forgotten just now")
                .with("queue", &book.name)
                .with_happened(Happened::No)),
        }
    }

    fn row(&self, call: &Call<Arc<Value>>, id: MessageId, now: Timestamp) -> Result<JobRow> {
        let context = call.context();
        let withheld = context.effects() == Effects::Withheld;
        if withheld && call.effect() != Effect::Pure {
            return Err(Error::new(ErrorKind::Unsupported, "effects are withheld in this run")
                .with("target", call.target())
                .with_happened(Happened::No));
        }
        let left = context.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Refusal::new(Reason::DeadlineTooNear, Arc::clone(&self.book.name)).into());
        }
        let key = match call.key() {
            Some(key) => key.clone(),
            None => IdempotencyKey::of(id, "job")
                .map_err(|e| Error::new(ErrorKind::Unclassified, e.to_string()))?,
        };
        let request = Arc::clone(call.payload());
        let arguments = Digest::of_json("openclaw.arguments", &request);
        let parts = [call.target().as_bytes(), arguments.as_bytes()];
        let fingerprint = Digest::of("openclaw.request", parts).short();
        Ok(JobRow {
            queue: Arc::clone(&self.book.name),
            call: EffectRecord {
                target: call.target().into(),
                fingerprint,
                request,
                effect: call.effect(),
                approval: None,
                version: None,
                state: EffectState::NEW,
                breach: None,
                costs: Vec::new(),
            },
            key,
            trust: context.trust(),
            trace: context.trace().cloned(),
            withheld,
            submitted_at: now,
            until: left.map(|left| now.after(left)),
            due: now,
            place: now,
            owner: None,
            failed: 0,
            costs: Vec::new(),
            payer: context.payer().cloned(),
            pause: Duration::ZERO,
        })
    }

    /// The job as it stands.
    ///
    /// # Errors
    /// `NOT_FOUND` when the tenant has no such job, or its result is forgotten; the store's error.
    pub async fn show(&self, tenant: &TenantId, job: JobId) -> Result<Job> {
        self.read(tenant, job).await.map(Job::of)
    }

    async fn read(&self, tenant: &TenantId, job: JobId) -> Result<jobs::Job> {
        self.book.read(tenant, job.0).await?.ok_or_else(|| self.book.missing(job.0))
    }

    /// What came of the job; `None` while it is not finished.
    ///
    /// # Errors
    /// As [`show`](Self::show), and as [`Job::result`].
    pub async fn result(&self, tenant: &TenantId, job: JobId) -> Result<Option<SkillAnswer>> {
        self.show(tenant, job).await?.result()
    }

    /// Waits until the job is finished. Dropping the wait leaves the job as it is.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub async fn wait(&self, tenant: &TenantId, job: JobId) -> Result<SkillAnswer> {
        loop {
            // Registered before the look: an end in between is not missed.
            let ended = self.book.ended.notified();
            if let Some(answer) = self.result(tenant, job).await? {
                return Ok(answer);
            }
            tokio::select! {
                biased;
                () = ended => {}
                () = tokio::time::sleep(self.book.poll) => {}
            }
        }
    }

    /// Takes a job out that is surely not sent. It ends as `CANCELLED`.
    ///
    /// # Errors
    /// `NOT_FOUND`; `CONFLICT` when it is running, in doubt or finished; the store's error.
    pub async fn cancel(&self, tenant: &TenantId, job: JobId) -> Result<()> {
        let found = self.read(tenant, job).await?;
        if !matches!(found.row.call.state, EffectState::Claimed { .. }) {
            return Err(conflict("a job that is under way, in doubt or finished stays", job));
        }
        let why =
            Error::new(ErrorKind::Cancelled, "the job was cancelled").with_happened(Happened::No);
        self.moved(&found, Event::Failed(Arc::new(why)), "cancel").await
    }

    /// Says of a parked job whether it happened: with this answer, or not at all.
    ///
    /// What did not happen goes back into the queue, with its attempts.
    ///
    /// # Errors
    /// `NOT_FOUND`; `CONFLICT` when it is not parked; the store's error.
    pub async fn decide(
        &self,
        tenant: &TenantId,
        job: JobId,
        answer: Option<SkillAnswer>,
    ) -> Result<()> {
        let found = self.read(tenant, job).await?;
        if !matches!(found.row.call.state, EffectState::Parked { .. }) {
            return Err(conflict("only a parked job is decided", job));
        }
        self.moved(&found, Event::Decided(answer), "decide").await
    }

    async fn moved(&self, from: &jobs::Job, event: Event, label: &'static str) -> Result<()> {
        let now = self.book.time.now();
        let call = from.row.call.after(event)?;
        let row = JobRow {
            call,
            owner: None,
            failed: 0,
            pause: Duration::ZERO,
            due: now,
            place: now,
            ..from.row.clone()
        };
        let moved = self.book.step(label, from, &row).await?;
        moved.map(drop).ok_or_else(|| conflict("the job has just moved on", JobId(from.id)))
    }

    /// The tenant's jobs behind this one, oldest first, at most `limit`; of all its queues.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn list(
        &self,
        tenant: &TenantId,
        after: Option<JobId>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Job>> {
        let found = self.book.list(tenant, after.map(|job| job.0), limit).await?;
        Ok(found.into_iter().map(Job::of).collect())
    }

    /// Lets [`run`](Self::run) end when the jobs in hand are finished; the others stay queued.
    ///
    /// It holds for all clones of this queue, and for good.
    pub fn drain(&self) {
        self.stop.raise();
    }
}

impl<S> RequestQueue<S>
where
    S: Service<Call<Arc<Value>>, Response = SkillAnswer> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Error> + Send,
{
    /// Makes the calls until [`drain`](Self::drain). The host owns this future.
    ///
    /// Dropped, it takes the calls in hand with it: their leases run out, and the effect of each
    /// decides then. A store that does not answer is asked again.
    pub async fn run(&self) {
        run::run(&self.book, &self.service, &self.stop).await;
    }
}

fn conflict(why: &'static str, job: JobId) -> Error {
    Error::new(ErrorKind::Conflict, why).with("job", job).with_happened(Happened::No)
}

impl<S> RequestQueueBuilder<S> {
    /// The most jobs that are not finished, parked ones included. 10,000.
    pub const fn depth(mut self, jobs: u32) -> Self {
        self.book.depth = jobs;
        self
    }

    /// The most calls at once in this process; 0 is taken as 1. 16.
    pub const fn in_flight(mut self, calls: usize) -> Self {
        self.book.in_flight = if calls == 0 { 1 } else { calls };
        self
    }

    /// The most attempts at a job; what the process's own limits refuse is none; 0 is taken as 1. 5.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.book.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The pauses between attempts. 1 s, doubled up to 5 min, full jitter.
    ///
    /// A source of your own counts as no pause: its pauses don't outlive the process.
    pub fn delays(mut self, delays: Delays) -> Self {
        self.book.delays = delays;
        self
    }

    /// How long a job stays with a process that is gone. 30 s, at least 3 ms.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.book.lease = lease.max(Duration::from_millis(3));
        self
    }

    /// The longest one attempt may take. 5 min.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.book.time_limit = limit;
        self
    }

    /// How long results are kept. 24 h.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.book.retention = retention;
        self
    }

    /// How often to look for what other processes did. 1 s, at least 1 ms.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.book.poll = poll.max(Duration::from_millis(1));
        self
    }

    /// Asks here what became of `Reconcilable` calls in doubt. Without it they are parked.
    pub fn reconcile(mut self, hook: impl Reconcile + 'static) -> Self {
        self.book.reconcile = Some(Arc::new(hook));
        self
    }

    /// Has each job reserve what it is expected to cost, in the commit that marks it as sent. None.
    ///
    /// A job whose budget is spent keeps its turn, and is looked at again each minute, or when the
    /// budget renews; others go on. One for which there will never be room ends with the refusal.
    /// What is behind the queue has no budgets of its own then, or each call is paid twice.
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        let Book { store, env, .. } = &self.book;
        self.book.claims = Claims::new(Arc::clone(store), env.clone(), budgets);
        self
    }

    /// The queue. It does nothing before [`RequestQueue::run`].
    #[must_use]
    pub fn build(self) -> RequestQueue<S> {
        let Self { book, service } = self;
        RequestQueue { book: Arc::new(book), stop: Arc::default(), service }
    }
}
