//! The gateway: the only room that knows all the traits.
//!
//! ```text
//! Source::next → admit (one commit) → settle → lane → agent ⇄ skills ⇄ ledger
//!     → one commit: turn, session, reply, audit → deliver (dispatch, send, done)
//! ```

mod admit;
mod approvals;
mod ask;
mod builder;
mod control;
mod deliver;
mod due;
mod effects;
mod hints;
mod intake;
mod lanes;
mod recover;
mod refusals;
mod replicas;
mod reply_job;
mod router;
mod seek;
mod status;
mod sweep;
mod tasks;
mod tries;
mod turns;
mod verdict;
mod versions;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use self::{
    builder::Parts,
    lanes::{Bounds, Lanes},
    refusals::Refusals,
    reply_job::ReplyJob,
    sweep::Began,
    tasks::Tasks,
    turns::Place,
};
pub use self::{
    builder::{AckPolicy, GatewayBuilder, GatewayConfig},
    recover::Recovered,
    replicas::{Replica, ReplicaConfig},
    router::{Route, Router},
    status::{Depths, GatewayHealth, MessageState, MessageStatus},
};
use crate::{
    AgentId, ChannelId, Env, Error, ErrorKind, MessageId, Result, TenantId, Timestamp,
    agent::Agent,
    channel::Channel,
    middleware::{skill_stack::Skills, stack::Resilience},
    records::{
        Accounts, AuditLog, Budgets, DeadLetters, Ledger,
        commit::{self, Known},
        partitions::Fences,
    },
    rules::Authorizer,
    store::{Applied, Key, SharedStore, StateStore, Txn},
    words::flag::Flag,
    words::planted::{Bug, planted},
};

/// The longest wait for a refusal of our own: limits change and breakers are reset meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A running gateway. Cheap to clone; every clone is the same gateway.
///
/// Dropping the last clone does not stop it: call [`Gateway::drain`].
///
/// ```
/// use openclaw_core::{AgentId, Env, agent::{Answer, agent_fn}, gateway::Gateway, store::MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let echo = agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
/// let gateway = Gateway::builder(env.clone(), MemoryStore::new(env.clock())).agent(echo).start().await?;
/// assert!(gateway.health().await.ready);
/// gateway.drain(std::time::Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
    recovered: Arc<Recovered>,
}

/// What waits for a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A deferred reply, its lane held.
    Reply,
    /// A turn, for an approval.
    Turn,
}

/// How soon somebody looks again who waits for a place.
const PLACE: Duration = Duration::from_millis(10);

/// When something is to be looked at, and what.
type DueEntry = (Timestamp, TenantId, MessageId, Due);

/// What every part of a gateway shares.
pub(crate) struct Inner {
    env: Env,
    store: SharedStore,
    fences: Fences,
    channels: BTreeMap<ChannelId, Arc<dyn Channel>>,
    acks: BTreeMap<ChannelId, AckPolicy>,
    agents: BTreeMap<AgentId, Arc<dyn Agent>>,
    skills: Skills,
    /// Which calls of skills are allowed, refused, or need a person's yes; all of them without it.
    authorizer: Option<Arc<dyn Authorizer>>,
    router: Router,
    config: GatewayConfig,
    /// The stacks around the calls of skills, the sends of channels and the turns of agents.
    resilience: Option<Resilience>,
    /// What the calls of skills may spend.
    budgets: Budgets,
    /// Messages that wait for an agent.
    turns: Mutex<Lanes<Place>>,
    /// Replies that wait to go out.
    replies: Mutex<Lanes<ReplyJob>>,
    /// How many replies were made: their order outlives a restart.
    replies_made: AtomicU64,
    /// Replies kept in the store until a date, their lanes busy; turns that wait for an approval.
    due: Mutex<BTreeSet<DueEntry>>,
    due_changed: Notify,
    /// Who wants to hear that a message is final.
    finals: Mutex<BTreeMap<MessageId, Arc<Flag>>>,
    tenants: Mutex<BTreeSet<TenantId>>,
    refusals: Mutex<Refusals>,
    /// Messages that may be durable: somebody looks for their rows.
    sought: Mutex<BTreeSet<MessageId>>,
    /// Told whenever a lane ends: credits may be there again, or all may be idle.
    progress: Notify,
    draining: Flag,
    fenced: AtomicBool,
    /// Channels that still have a source.
    intakes: AtomicUsize,
    /// Last commits and settlements that no lane waits for.
    closing: AtomicUsize,
    /// The ends at which senders are told: behind its own, a drain waits for each verdict.
    owed: Mutex<BTreeMap<u64, Arc<Flag>>>,
    /// Items that a drain left for the next start.
    left: AtomicUsize,
    /// When it began: the sweep's ages grow no faster than time has passed since.
    began: Began,
    tasks: Tasks,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("depths", &self.depths()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Gateway {
    /// Starts to compose a gateway over this store.
    pub fn builder(env: Env, store: impl StateStore) -> GatewayBuilder {
        GatewayBuilder::new(env, store)
    }

    /// Opens a gateway on the partitions of these fences.
    async fn open(parts: Parts, fences: Fences) -> Result<Self> {
        let Parts {
            env,
            store,
            channels,
            acks,
            agents,
            skills,
            authorizer,
            router,
            config,
            resilience,
            budgets,
        } = parts;
        let began = Began::now(&env);
        let inner = Arc::new(Inner {
            fences,
            turns: Mutex::new(Lanes::new(Bounds { depth: config.lane, running: config.turns })),
            replies: Mutex::new(Lanes::new(Bounds { depth: usize::MAX, running: config.sends })),
            env,
            store,
            channels,
            acks,
            agents,
            skills,
            authorizer,
            router,
            config,
            resilience,
            budgets,
            replies_made: AtomicU64::new(0),
            due: Mutex::default(),
            due_changed: Notify::new(),
            finals: Mutex::default(),
            tenants: Mutex::default(),
            refusals: Mutex::default(),
            sought: Mutex::default(),
            progress: Notify::new(),
            draining: Flag::default(),
            fenced: AtomicBool::new(false),
            intakes: AtomicUsize::new(0),
            closing: AtomicUsize::new(0),
            owed: Mutex::default(),
            left: AtomicUsize::new(0),
            began,
            tasks: Tasks::default(),
        });
        let recovered = recover::recover(&inner).await?;
        for channel in inner.channels.values() {
            inner.intakes.fetch_add(1, Ordering::Relaxed);
            inner.tasks.spawn(intake::intake(Arc::clone(&inner), Arc::clone(channel)));
        }
        inner.tasks.spawn(due::alarm(Arc::clone(&inner)));
        inner.tasks.spawn(control::sealer(Arc::clone(&inner)));
        inner.tasks.spawn(sweep::sweeper(Arc::clone(&inner)));
        Inner::start_turns(&inner);
        Inner::start_replies(&inner);
        Ok(Self { inner, recovered: Arc::new(recovered) })
    }

    /// Stops at once, because somebody else has taken over: nothing is finished, nothing kept.
    async fn abandon(&self) {
        self.inner.outlived();
        self.inner.tasks.stop().await;
    }

    /// What the start found of the run before.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// What is known of a message; `None` when there is no such message of this tenant.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn status(&self, tenant: &TenantId, id: MessageId) -> Result<Option<MessageStatus>> {
        status::look_up(&self.inner, tenant, id).await
    }

    /// Waits until a message is final: done, dead or parked. Put a timeout around it.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such message; the store does not answer.
    pub async fn settled(&self, tenant: &TenantId, id: MessageId) -> Result<MessageStatus> {
        loop {
            // Subscribed before the look: an end in between is not missed.
            let end = self.inner.watch_end(id);
            let missing =
                || Error::new(ErrorKind::NotFound, "there is no such message").with("message", id);
            let status = self.status(tenant, id).await?.ok_or_else(missing)?;
            if status.state.is_final() {
                return Ok(status);
            }
            end.wait().await;
        }
    }

    /// Waits until no channel has a source any more: a terminal at its end, a finished import.
    ///
    /// Never resolves while a channel listens, as an HTTP server does.
    pub async fn ended(&self) {
        loop {
            let progress = self.inner.progress.notified();
            if self.inner.intakes.load(Ordering::Relaxed) == 0 {
                return;
            }
            progress.await;
        }
    }

    /// How the gateway, its store and its channels are, within about a second a part.
    pub async fn health(&self) -> GatewayHealth {
        status::health(&self.inner).await
    }

    /// How much is on hand.
    #[must_use]
    pub fn depths(&self) -> Depths {
        self.inner.depths()
    }

    /// The dead and the parked letters of a tenant.
    #[must_use]
    pub fn dead_letters(&self, tenant: &TenantId) -> DeadLetters {
        DeadLetters::new(Arc::clone(&self.inner.store), tenant.clone())
    }

    /// The audit trail of a tenant.
    #[must_use]
    pub fn audit(&self, tenant: &TenantId) -> AuditLog {
        AuditLog::new(Arc::clone(&self.inner.store), tenant.clone())
    }

    /// The effect ledger of a tenant.
    #[must_use]
    pub fn ledger(&self, tenant: &TenantId) -> Ledger {
        Ledger::new(Arc::clone(&self.inner.store), tenant.clone())
    }

    /// What a tenant has spent and reserved, and what an operator may change about it.
    #[must_use]
    pub fn accounts(&self, tenant: &TenantId) -> Accounts {
        let Inner { store, env, budgets, .. } = &*self.inner;
        budgets.accounts(Arc::clone(store), env.clone(), tenant.clone())
    }
}

/// The end of so much time; thirty years when no clock can tell it.
fn in_time(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
}

/// A pause that doubles with each one before it, up to the longest.
fn doubled(first: Duration, before: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << before.min(16)).min(longest)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn depths(&self) -> Depths {
        Depths { turns: lock(&self.turns).depth(), replies: lock(&self.replies).depth() }
    }

    /// How many more messages may come in.
    fn credits(&self) -> usize {
        let Depths { turns, replies } = self.depths();
        self.config.pending.saturating_sub(turns + replies)
    }

    /// The place of the next reply among all replies.
    fn next_reply(&self) -> u64 {
        self.replies_made.fetch_add(1, Ordering::Relaxed)
    }

    fn is_draining(&self) -> bool {
        self.draining.is_up()
    }

    fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Commits a step that only a lost fence can refuse.
    async fn commit(&self, txn: Txn) -> Result<Applied> {
        match commit::commit(&*self.store, txn).await? {
            Known::Applied(applied) => Ok(applied),
            lost @ Known::Lost { .. } => Err(self.fenced(lost)),
        }
    }

    /// The error of a commit that lost where it must not: somebody else took over.
    fn fenced(&self, lost: Known) -> Error {
        if matches!(lost, Known::Lost { guard: 0, .. }) {
            self.outlived();
        }
        lost.or_fenced().err().unwrap_or_else(|| Error::new(ErrorKind::Conflict, "lost a commit"))
    }

    /// Another gateway has taken over: nothing more is begun here.
    fn outlived(&self) {
        self.fenced.store(true, Ordering::Relaxed);
        self.draining.raise();
    }

    /// Starts every turn that may start.
    fn start_turns(self: &Arc<Self>) {
        loop {
            let Some((lane, place)) = lock(&self.turns).take() else { return };
            self.tasks.spawn(turns::run(Arc::clone(self), lane, place));
        }
    }

    /// Starts every reply that may go out.
    fn start_replies(self: &Arc<Self>) {
        loop {
            let Some((lane, job)) = lock(&self.replies).take() else { return };
            self.tasks.spawn(deliver::run(Arc::clone(self), lane, job));
        }
    }

    /// Delivers the next reply in this task: a task a message is cheaper than two.
    async fn deliver_next(self: &Arc<Self>) {
        let next = lock(&self.replies).take();
        if let Some((lane, job)) = next {
            deliver::run(Arc::clone(self), lane, job).await;
        }
    }

    fn turn_ended(self: &Arc<Self>, lane: &Key) {
        lock(&self.turns).done(lane);
        self.start_turns();
        self.progress.notify_waiters();
    }

    fn reply_ended(self: &Arc<Self>, lane: &Key) {
        lock(&self.replies).done(lane);
        self.start_replies();
        self.progress.notify_waiters();
    }

    /// Gives a reserved room in a lane back.
    fn give_back(&self, lane: &Key) {
        lock(&self.turns).release(lane);
        self.progress.notify_waiters();
    }

    /// A turn that the drain left: nothing behind it may overtake it.
    fn turn_left(self: &Arc<Self>, lane: &Key) {
        lock(&self.turns).hold(lane);
        self.start_turns();
        self.leave_one();
    }

    /// A reply that the drain left: nothing behind it may overtake it.
    fn reply_left(self: &Arc<Self>, lane: &Key) {
        lock(&self.replies).hold(lane);
        self.start_replies();
        self.leave_one();
    }

    /// Counts an item that the drain left for the next start.
    fn leave_one(&self) {
        if !planted(Bug::DrainForgetsLeft) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
        self.progress.notify_waiters();
    }

    /// Work that no lane waits for, but a drain does.
    fn begin_closing(&self) {
        self.closing.fetch_add(1, Ordering::Relaxed);
    }

    fn end_closing(&self) {
        // Whoever sees it sees the ends that were told before it.
        self.closing.fetch_sub(1, Ordering::Release);
        self.progress.notify_waiters();
    }

    /// Notes a verdict that is told at this end; its number.
    fn owe(&self, end: &Arc<Flag>) -> u64 {
        let mut owed = lock(&self.owed);
        let number = owed.last_key_value().map_or(0, |(last, _)| last + 1);
        owed.insert(number, Arc::clone(end));
        number
    }

    /// A verdict was told.
    fn told(&self, number: u64) {
        lock(&self.owed).remove(&number);
        self.progress.notify_waiters();
    }

    /// Is there a verdict to be told of something that has ended?
    fn owes(&self) -> bool {
        lock(&self.owed).values().any(|end| end.is_up())
    }

    /// Tells whoever waits that a message is final.
    fn finished(&self, id: MessageId) {
        let end = lock(&self.finals).remove(&id);
        if let Some(end) = end {
            end.raise();
        }
    }

    fn watch_end(&self, id: MessageId) -> Arc<Flag> {
        let mut finals = lock(&self.finals);
        // Those who gave up waiting are cleared away now and then, not at each call.
        if finals.len().is_power_of_two() {
            finals.retain(|_, end| Arc::strong_count(end) > 1);
        }
        Arc::clone(finals.entry(id).or_default())
    }

    /// Waits with a lane held and its place free for another; true when the drain began.
    async fn step_aside<T>(
        self: &Arc<Self>,
        lanes: &Mutex<Lanes<T>>,
        lane: &Key,
        span: Duration,
    ) -> bool {
        // A drain counts it among what is left.
        self.begin_closing();
        lock(lanes).hold(lane);
        self.start_turns();
        self.start_replies();
        let stopped = self.pause(span).await;
        let stopped = self.come_back(lanes, lane, stopped).await;
        self.end_closing();
        stopped
    }

    /// Takes the next free place for the item of a held lane; true when the drain began.
    async fn come_back<T>(&self, lanes: &Mutex<Lanes<T>>, lane: &Key, stopped: bool) -> bool {
        let mut stopped = stopped;
        lock(lanes).want();
        while !lock(lanes).resume_wanted(lane, stopped) {
            stopped = self.pause(PLACE).await;
        }
        stopped
    }

    /// Waits for a span of tokio time, or until the drain begins; true when the drain began.
    async fn pause(&self, span: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.draining.wait() => true,
            () = tokio::time::sleep(span) => false,
        }
    }
}
