//! The child: a gateway on a durable store, behind every wrapper, until the parent kills it.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Env, Error, ErrorKind, TenantId,
    records::{DeadLetters, EffectState, Ledger},
    store::SharedStore,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    broken::Break,
    engine,
    head::Head,
    life::Outcome,
    link::Link,
    wire::{Down, Name, TENANT, Up, named},
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

/// A store and the gateway on it; for a while two.
struct Child {
    birth: Birth,
    env: Env,
    store: SharedStore,
    tenant: TenantId,
    link: Arc<Link>,
    /// The one that was taken over, while it is here, and the one that has the store.
    heads: Vec<Head>,
    /// Half of the conversations come in at the first one's door, or find it closed.
    two_doors: bool,
    /// What takes its time, and what is told behind it.
    tasks: JoinSet<Up>,
}

/// Runs until the parent is gone, or has seen the end of the drain.
pub(crate) async fn run(port: u16, birth: Birth) -> Outcome<()> {
    let (link, mut orders) = Link::connect(port).await?;
    let env = Env::system();
    let tenant = TenantId::new(TENANT)?;
    let store = engine::open(&birth.store, env.clock()).await?;
    let effects = left_dispatching(Arc::clone(&store), &tenant).await?;
    let (heads, tasks) = (Vec::new(), JoinSet::new());
    let mut child = Child { birth, env, store, tenant, link, heads, two_doors: false, tasks };
    child.begin(effects).await?;

    let mut look = tokio::time::interval(Duration::from_millis(50));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = 0;
    loop {
        tokio::select! {
            order = orders.next() => match order {
                Some(order) => child.obey(order).await?,
                None => return Ok(()),
            },
            _ = look.tick() => child.show_letters(&mut shown).await?,
            Some(ended) = child.tasks.join_next() => child.ended(ended?).await,
        }
    }
}

impl Child {
    /// Begins a gateway, which has the store from here on.
    async fn begin(&mut self, effects: usize) -> Outcome<()> {
        let seed = self.birth.seed.wrapping_add(self.heads.len() as u64);
        let (env, store) = (self.env.clone(), Arc::clone(&self.store));
        let head = Head::start(&self.birth, seed, env, store, Arc::clone(&self.link)).await?;
        let in_doubt = effects + head.gateway.in_doubt();
        self.heads.push(head);
        self.link.say(Up::Hello { in_doubt }).await;
        Ok(())
    }

    /// Tells when there are other letters than at the last look.
    async fn show_letters(&self, shown: &mut usize) -> Outcome<()> {
        let all = DeadLetters::new(Arc::clone(&self.store), self.tenant.clone());
        let messages = match letters(&all).await {
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

    async fn obey(&mut self, order: Down) -> Outcome<()> {
        match order {
            Down::Deliver { message, text } => {
                // A conversation keeps its door: behind a closed one nothing is acknowledged.
                let old = self.two_doors && message.chat.is_multiple_of(2);
                let gone = old && self.heads.len() < 2;
                let head = if old { self.heads.first() } else { self.heads.last() };
                if let Some(head) = head.filter(|_| !gone) {
                    head.deliver((message, text)).await;
                }
            }
            Down::Answer { number, serial } => self.link.answer(number, serial),
            Down::Set { trap } => self.heads.iter().for_each(|head| head.traps.set(trap)),
            Down::Overtake => {
                if let Some(head) = self.heads.first() {
                    let ended = head.gateway.clone().ended();
                    self.tasks.spawn(async move {
                        ended.await;
                        Up::Fenced
                    });
                }
                self.begin(0).await?;
            }
            Down::Thaw => {
                self.two_doors = true;
                self.heads.iter().for_each(|head| head.traps.thaw());
            }
            Down::Close => self.two_doors = false,
            Down::Drain => {
                let Some(gateway) = self.heads.last().map(|head| head.gateway.clone()) else {
                    return Ok(());
                };
                self.tasks.spawn(async move {
                    let drained = gateway.drain(Duration::from_secs(20)).await;
                    Up::Drained { problem: drained.err().map(|e| e.to_string()) }
                });
            }
        }
        Ok(())
    }

    /// Something that took its time has come to its end.
    async fn ended(&mut self, told: Up) {
        if matches!(told, Up::Fenced) {
            self.heads.remove(0);
        }
        self.link.say(told).await;
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
