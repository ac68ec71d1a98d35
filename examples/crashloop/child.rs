//! The child: a gateway on a durable store, behind every wrapper, until the parent kills it.

use std::{error::Error as StdError, num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Env, Error, ErrorKind, TenantId,
    gateway::{Gateway, GatewayConfig, Replica, ReplicaConfig},
    records::{DeadLetters, EffectState, Ledger},
    store::{SharedStore, StateStore},
};
use openclaw_testkit::env::SeededRng;
use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};

use crate::{
    broken::{self, Break, BrokenChannel},
    channel::{Delivered, LinkChannel},
    engine,
    fleet::LEASE,
    link::Link,
    skills::{Clerk, LinkSkill},
    traps::{TrapChannel, TrapSkill, TrapStore, Traps},
    wire::{Down, Line, Name, Remote, TENANT, Up, named},
};

/// What the parent tells a child on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) store: String,
    pub(crate) seed: u64,
    pub(crate) broken: Option<Break>,
    /// Its name among others on the same store.
    pub(crate) replica: Option<String>,
}

type Outcome<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// A running gateway and the ends that the parent's orders go to.
struct Child {
    gateway: Running,
    tenant: TenantId,
    link: Arc<Link>,
    traps: Arc<Traps>,
    plain: mpsc::Sender<Delivered>,
    keyed: mpsc::Sender<Delivered>,
}

/// The gateway, alone or one of several.
#[derive(Clone, Debug)]
enum Running {
    Alone(Gateway),
    Replica(Replica),
}

impl Running {
    fn dead_letters(&self, tenant: &TenantId) -> DeadLetters {
        match self {
            Self::Alone(gateway) => gateway.dead_letters(tenant),
            Self::Replica(replica) => replica.dead_letters(tenant),
        }
    }

    /// Replies that the run before left on their way.
    fn in_doubt(&self) -> usize {
        match self {
            Self::Alone(gateway) => gateway.recovered().in_doubt,
            Self::Replica(_) => 0,
        }
    }

    async fn drain(&self, deadline: Duration) -> Result<(), Error> {
        match self {
            Self::Alone(gateway) => gateway.drain(deadline).await,
            Self::Replica(replica) => replica.drain(deadline).await,
        }
    }
}

/// Runs until the parent is gone, or has seen the end of the drain.
pub(crate) async fn run(port: u16, birth: Birth) -> Outcome<()> {
    let (link, mut orders) = Link::connect(port).await?;
    let env = Env::system();
    let tenant = TenantId::new(TENANT)?;
    let store = engine::open(&birth.store, env.clock()).await?;
    let effects = left_dispatching(Arc::clone(&store), &tenant).await?;
    let child = Child::start(&birth, env, store, tenant, link).await?;
    let in_doubt = effects + child.gateway.in_doubt();
    child.link.say(Up::Hello { in_doubt }).await;

    let mut drain = JoinSet::new();
    let mut look = tokio::time::interval(Duration::from_millis(50));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = 0;
    loop {
        tokio::select! {
            order = orders.next() => match order {
                Some(order) => child.obey(order, &mut drain).await,
                None => return Ok(()),
            },
            _ = look.tick() => child.show_letters(&mut shown).await?,
            Some(ended) = drain.join_next() => {
                child.link.say(Up::Drained { problem: ended? }).await;
            }
        }
    }
}

impl Child {
    async fn start(
        birth: &Birth,
        env: Env,
        store: SharedStore,
        tenant: TenantId,
        link: Arc<Link>,
    ) -> Outcome<Self> {
        let traps = Traps::new(Arc::clone(&link));
        let dice = SeededRng::new(birth.seed);
        let store = TrapStore::new(store, Arc::clone(&traps), dice);
        let store: Arc<dyn StateStore> = broken::store(store, birth.broken);
        let mut builder = Gateway::builder(env.clone(), store).agent(Clerk::new(env)?);
        for remote in Remote::ALL {
            let skill = LinkSkill::new(remote, Arc::clone(&link))?;
            builder = builder.skill(TrapSkill::new(skill, Arc::clone(&traps)));
        }
        let [plain, keyed] = Line::BOTH.map(|line| LinkChannel::new(line, Arc::clone(&link)));
        let ((plain_channel, plain), (keyed_channel, keyed)) = (plain?, keyed?);
        for channel in [plain_channel, keyed_channel] {
            let channel = TrapChannel::new(channel, Arc::clone(&traps));
            builder = builder.channel(BrokenChannel::new(channel, birth.broken));
        }
        let mut config = GatewayConfig::default();
        config.turn_pause = Duration::from_millis(50);
        config.send_pause = Duration::from_millis(50);
        config.seal_every = Duration::from_millis(300);
        let builder = builder.config(config);
        let gateway = match &birth.replica {
            None => Running::Alone(builder.start().await?),
            Some(name) => {
                let config = ReplicaConfig::named(name.as_str()).lease(LEASE);
                Running::Replica(builder.start_replica(config).await?)
            }
        };
        Ok(Self { gateway, tenant, link, traps, plain, keyed })
    }

    /// Tells when there are other letters than at the last look.
    async fn show_letters(&self, shown: &mut usize) -> Outcome<()> {
        let messages = match letters(&self.gateway.dead_letters(&self.tenant)).await {
            // A store that is away for a while has nothing new to show.
            Err(e) if e.kind() == ErrorKind::Unavailable => return Ok(()),
            messages => messages?,
        };
        if messages.len() != *shown {
            *shown = messages.len();
            self.link.say(Up::Letters { messages }).await;
        }
        Ok(())
    }

    async fn obey(&self, order: Down, drain: &mut JoinSet<Option<String>>) {
        match order {
            Down::Deliver { message, text } => {
                let inbox = match message.line() {
                    Line::Plain => &self.plain,
                    Line::Keyed => &self.keyed,
                };
                // A closed inbox is a draining gateway's: the message is not acknowledged.
                drop(inbox.send((message, text)).await);
            }
            Down::Answer { number, serial } => self.link.answer(number, serial),
            Down::Set { trap } => self.traps.set(trap),
            Down::Drain => {
                let gateway = self.gateway.clone();
                drain.spawn(async move {
                    let drained = gateway.drain(Duration::from_secs(20)).await;
                    drained.err().map(|e| e.to_string())
                });
            }
        }
    }
}

/// Effects that the run before left on their way, of messages that still have to end.
async fn left_dispatching(store: SharedStore, tenant: &TenantId) -> Outcome<usize> {
    let letters = DeadLetters::new(Arc::clone(&store), tenant.clone());
    let parked = letters.parked(None, ALL).await?;
    let effects = Ledger::new(store, tenant.clone()).all().await?;
    let open = effects.iter().filter(|(turn, _, effect)| {
        matches!(effect.state, EffectState::Dispatching { .. })
            && !parked.iter().any(|letter| letter.id == *turn)
    });
    Ok(open.count())
}

/// More letters than there are messages.
pub(crate) const ALL: NonZeroUsize = NonZeroUsize::MAX;

/// The messages of all letters.
async fn letters(letters: &DeadLetters) -> Result<Vec<Name>, Error> {
    let mut all = letters.parked(None, ALL).await?;
    all.extend(letters.list(None, ALL).await?);
    Ok(all.iter().filter_map(|letter| named(&letter.content.to_text())).collect())
}
