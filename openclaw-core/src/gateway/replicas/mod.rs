//! Replicas: several processes that share the conversations of one store.
//!
//! Each partition has a gateway of its own, in the replica that owns it: an owner that dies, is
//! paused past its lease or gives a partition away loses that gateway, and the next owner starts
//! one that recovers what is there. The fence of a partition is in every commit of its gateway.
//!
//! ```text
//! real channel → front → door → the partition's gateway            (ours)
//!                      ↘ ticket in the store → its owner's door    (somebody else's)
//! ```

mod front;
mod lease;
mod member;
mod order;
mod post;
mod shard;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use self::{
    front::Relayed,
    lease::{Lease, LeasedStore},
    order::Order,
    shard::{Door, ShardChannel},
};
use super::{Gateway, GatewayBuilder, builder::Parts, in_time, tasks::Tasks};
use crate::{
    ChannelId, Error, ErrorKind, MessageId, Result, TenantId,
    channel::Channel,
    records::{
        Accounts, AuditLog, DeadLetters, Ledger, commit,
        live::{Live, live_key},
        partitions::{Fences, check_finished, partition_of},
        replicas,
    },
    store::{Key, Version},
    words::flag::Flag,
};

/// The shortest lease.
const SHORTEST: Duration = Duration::from_millis(100);

/// How a replica lives with the others.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::gateway::ReplicaConfig;
///
/// let config = ReplicaConfig::named("blue-1").lease(Duration::from_secs(3));
/// assert_eq!(config.lease, Duration::from_secs(3));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// What operators call it.
    pub name: Arc<str>,
    /// How long it may be silent before others take its partitions over. 6 s.
    ///
    /// It renews its lease six times in this span. A replica that was paused for longer, or did
    /// not reach the store for so long, drops its work: its partitions are somebody else's.
    pub lease: Duration,
    /// How often it looks for messages that other replicas left, and for answers. 25 ms.
    pub poll: Duration,
    /// How long work on a partition may go on before it is given away unfinished. 5 s.
    pub hand_over: Duration,
}

impl ReplicaConfig {
    /// The usual times under this name.
    #[must_use]
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            lease: Duration::from_secs(6),
            poll: Duration::from_millis(25),
            hand_over: Duration::from_secs(5),
        }
    }

    /// Sets how long it may be silent.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }
}

/// One of several gateways on one store, each with its share of the conversations.
///
/// The store must be open to all of them: Postgres, Redis, or SQLite on one box. The bounds of
/// [`GatewayConfig`](super::GatewayConfig) hold for each of the 16 partitions. A message that
/// comes in at the wrong replica waits in the store for the owner of its conversation, and is
/// acknowledged once that one has admitted it; the reply goes out through the owner's channel of
/// the same name, so a channel that answers on the connection of the question has to be routed
/// by conversation.
///
/// ```
/// use openclaw_core::{AgentId, Env, agent::{Answer, agent_fn}};
/// use openclaw_core::gateway::{Gateway, ReplicaConfig};
/// use openclaw_core::store::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = Env::system();
/// let echo = agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
/// let replica = Gateway::builder(env.clone(), MemoryStore::new(env.clock()))
///     .agent(echo)
///     .start_replica(ReplicaConfig::named("blue-1"))
///     .await?;
/// replica.drain(std::time::Duration::from_secs(5)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Replica(Arc<Core>);

/// What all parts of a replica share.
struct Core {
    parts: Parts,
    config: ReplicaConfig,
    /// Whose messages the relay carries, over all memberships of this process.
    from: u64,
    numbers: AtomicU64,
    lease: Arc<Lease>,
    shards: Mutex<BTreeMap<u16, Shard>>,
    doors: Mutex<BTreeMap<(u16, ChannelId), (Door, Version)>>,
    /// What has to come again at our doors.
    order: Arc<Mutex<Order>>,
    /// Messages that wait for other replicas, by number.
    relayed: Mutex<BTreeMap<u64, Relayed>>,
    /// Tickets of others that are in a gateway of ours.
    taken: Arc<Mutex<BTreeSet<Key>>>,
    stopping: Flag,
    /// The membership that a drain ends.
    member: Mutex<Option<u64>>,
    tasks: Tasks,
    /// Verdicts on their way to their senders.
    tells: Tasks,
}

/// A partition of ours.
#[derive(Clone)]
struct Shard {
    fences: Fences,
    fence: Version,
    /// `None` while it recovers.
    gateway: Option<Gateway>,
    /// It is being given away.
    leaving: bool,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("name", &self.0.config.name)
            .field("partitions", &self.partitions())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GatewayBuilder {
    /// Joins the replicas of this store, and answers its share of the conversations.
    ///
    /// # Errors
    /// As [`GatewayBuilder::start`]; `VALIDATION_ERROR` for a lease under 100 ms, or no poll time.
    pub async fn start_replica(self, config: ReplicaConfig) -> Result<Replica> {
        if config.lease < SHORTEST || config.poll.is_zero() {
            let why = "a replica needs a lease of 100 ms at least, and a time between two polls";
            return Err(Error::new(ErrorKind::ValidationError, why).with("name", &config.name));
        }
        let parts = self.check()?;
        check_finished(&parts.store).await?;
        Replica::join(parts, config).await
    }
}

impl Replica {
    async fn join(parts: Parts, config: ReplicaConfig) -> Result<Self> {
        let core = Arc::new(Core {
            from: parts.env.next_u64(),
            parts,
            config,
            numbers: AtomicU64::new(0),
            lease: Lease::new(),
            shards: Mutex::default(),
            doors: Mutex::default(),
            order: Arc::default(),
            relayed: Mutex::default(),
            taken: Arc::default(),
            stopping: Flag::default(),
            member: Mutex::default(),
            tells: Tasks::default(),
            tasks: Tasks::default(),
        });
        let member = member::join(&core).await?;
        core.tasks.spawn(member::live(Arc::clone(&core), member));
        core.tasks.spawn(post::carry(Arc::clone(&core)));
        for channel in core.parts.channels.values() {
            core.tasks.spawn(front::pull(Arc::clone(&core), Arc::clone(channel)));
        }
        Ok(Self(core))
    }

    /// What operators call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// The partitions whose conversations are answered here, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<u16> {
        let shards = lock(&self.0.shards);
        shards.iter().filter(|(_, shard)| shard.gateway.is_some()).map(|(n, _)| *n).collect()
    }

    /// The gateway that a message belongs to: for orders, and to wait for its end.
    ///
    /// # Errors
    /// `NOT_FOUND` when nobody knows the message as open or as a letter; `UNAVAILABLE`, naming
    /// the replica to ask, when its conversation is not answered here.
    pub async fn gateway_of(&self, tenant: &TenantId, id: MessageId) -> Result<Gateway> {
        let store = &self.0.parts.store;
        let place = match commit::read::<Live>(&**store, &live_key(tenant, id)).await? {
            Some((live, _)) => Some(live.place().clone()),
            None => self.dead_letters(tenant).place(id).await?,
        };
        let missing =
            || Error::new(ErrorKind::NotFound, "there is no such message").with("message", id);
        let partition = partition_of(tenant, &place.ok_or_else(missing)?);
        let here = lock(&self.0.shards).get(&partition).and_then(|shard| shard.gateway.clone());
        if let Some(gateway) = here {
            return Ok(gateway);
        }
        let view = replicas::View::read(store).await?;
        let owner = view.owner(partition).and_then(|id| view.members.get(&id));
        let e = Error::new(ErrorKind::Unavailable, "another replica answers this conversation");
        Err(match owner {
            Some(owner) => e.with("replica", &owner.name),
            None => e.with("replica", "none yet"),
        })
    }

    /// The dead and the parked letters of a tenant.
    #[must_use]
    pub fn dead_letters(&self, tenant: &TenantId) -> DeadLetters {
        DeadLetters::new(Arc::clone(&self.0.parts.store), tenant.clone())
    }

    /// The audit trail of a tenant.
    #[must_use]
    pub fn audit(&self, tenant: &TenantId) -> AuditLog {
        AuditLog::new(Arc::clone(&self.0.parts.store), tenant.clone())
    }

    /// The effect ledger of a tenant.
    #[must_use]
    pub fn ledger(&self, tenant: &TenantId) -> Ledger {
        Ledger::new(Arc::clone(&self.0.parts.store), tenant.clone())
    }

    /// What a tenant has spent and reserved, and what an operator may change about it.
    #[must_use]
    pub fn accounts(&self, tenant: &TenantId) -> Accounts {
        let Parts { store, env, budgets, .. } = &self.0.parts;
        budgets.accounts(Arc::clone(store), env.clone(), tenant.clone())
    }

    /// Takes no more messages, finishes what is on hand, gives its partitions away, and stops.
    ///
    /// What is not finished by the deadline stays durable: the next owner goes on with it.
    ///
    /// # Errors
    /// `TIMEOUT` when something was left; the replica is stopped all the same.
    pub async fn drain(&self, deadline: Duration) -> Result<()> {
        let core = &self.0;
        let (end, half) = (in_time(deadline), in_time(deadline / 2));
        core.stopping.raise();
        // The other half is for what is here.
        while !lock(&core.relayed).is_empty() && Instant::now() < half {
            tokio::time::sleep(core.config.poll).await;
        }
        let shards: Vec<u16> = lock(&core.shards).keys().copied().collect();
        let mut leaving = JoinSet::new();
        for partition in shards {
            let core = Arc::clone(core);
            let left = end.saturating_duration_since(Instant::now());
            // The last tenth is for the store, to be told that the partition is free.
            leaving.spawn(async move { core.give_away(partition, left * 9 / 10).await });
        }
        let mut outcome = Ok(());
        while !leaving.is_empty() {
            match timeout_at(end, leaving.join_next()).await {
                Ok(Some(Ok(Err(e)))) => outcome = Err(e),
                Ok(_) => {}
                Err(_) => {
                    // Its lease ends by itself.
                    let why = "not every partition could be given away in time";
                    outcome = Err(Error::new(ErrorKind::Timeout, why));
                    leaving.shutdown().await;
                }
            }
        }
        // What was not given away works no more, either.
        let kept: Vec<u16> = lock(&core.shards).keys().copied().collect();
        for partition in kept {
            core.drop_shard(partition).await;
        }
        core.tasks.stop().await;
        drop(timeout_at(end, core.tells.ended()).await);
        lock(&core.relayed).clear();
        let member = lock(&core.member).take();
        if let Some(id) = member {
            // Unheard, its lease ends by itself.
            drop(timeout_at(end, replicas::leave(&core.parts.store, id)).await);
        }
        outcome
    }
}

impl Core {
    /// The door to the gateway of a partition and its fence, when it is ours.
    fn door(&self, partition: u16, channel: &ChannelId) -> Option<(Door, Version)> {
        lock(&self.doors).get(&(partition, channel.clone())).cloned()
    }

    /// Waits, or until the replica stops; true when it stops.
    async fn pause(&self, span: Duration) -> bool {
        timeout(span, self.stopping.wait()).await.is_ok()
    }

    /// Starts the gateway of a partition that was just taken.
    async fn open(self: &Arc<Self>, partition: u16, fences: Fences, fence: Version) {
        let mut doors = Vec::new();
        let mut parts = self.parts.clone();
        let (inner, lease) = (parts.store, Arc::clone(&self.lease));
        parts.store = Arc::new(LeasedStore { inner, lease });
        for (id, channel) in &mut parts.channels {
            let (shard, door) = ShardChannel::new(Arc::clone(channel));
            *channel = Arc::new(shard) as Arc<dyn Channel>;
            doors.push(((partition, id.clone()), (door, fence)));
        }
        match Gateway::open(parts, fences.clone()).await {
            Ok(gateway) => {
                if self.keep(partition, fence, &gateway) {
                    lock(&self.doors).extend(doors);
                } else {
                    gateway.abandon().await;
                }
            }
            Err(e) => {
                tracing::error!(partition, error = %e, "a partition can't be recovered");
                self.forget(partition, fence);
                // Somebody else may be luckier; an error here says that nobody is.
                replicas::release(&self.parts.store, partition, &fences).await.ok();
            }
        }
    }

    /// Keeps the gateway of a partition; false when that was lost while it recovered.
    fn keep(&self, partition: u16, fence: Version, gateway: &Gateway) -> bool {
        let mut shards = lock(&self.shards);
        let shard = shards.get_mut(&partition).filter(|shard| shard.fence == fence);
        shard.map(|shard| shard.gateway = Some(gateway.clone())).is_some()
    }

    /// Finishes what is on hand in a partition, and gives it away.
    async fn give_away(&self, partition: u16, span: Duration) -> Result<()> {
        self.close_doors(partition);
        let shard = lock(&self.shards).get(&partition).cloned();
        let Some(Shard { fences, fence, gateway, .. }) = shard else { return Ok(()) };
        let mut left = Ok(());
        if let Some(gateway) = gateway {
            let end = in_time(span);
            // What is in the doorway comes in first: nothing may overtake it elsewhere.
            drop(timeout(span, gateway.ended()).await);
            left = gateway.drain(end.saturating_duration_since(Instant::now())).await;
        }
        let released = replicas::release(&self.parts.store, partition, &fences).await;
        self.forget(partition, fence);
        left.and(released)
    }

    /// Forgets the gateway of a partition, unless that was taken anew meanwhile.
    fn forget(&self, partition: u16, fence: Version) {
        let mut shards = lock(&self.shards);
        if shards.get(&partition).is_some_and(|shard| shard.fence == fence) {
            shards.remove(&partition);
        }
    }

    /// Drops a partition that is somebody else's by now, or will be when its lease ends.
    async fn drop_shard(&self, partition: u16) {
        self.close_doors(partition);
        let shard = lock(&self.shards).remove(&partition);
        if let Some(gateway) = shard.and_then(|shard| shard.gateway) {
            gateway.abandon().await;
        }
    }

    fn close_doors(&self, partition: u16) {
        lock(&self.doors).retain(|(n, _), _| *n != partition);
    }
}
