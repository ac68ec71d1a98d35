//! A gateway of the child behind every wrapper, and the ends that the parent's orders go to.

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Env, Error,
    gateway::{Gateway, GatewayConfig, Replica, ReplicaConfig},
    store::{SharedStore, StateStore},
};
use openclaw_testkit::env::SeededRng;
use tokio::sync::mpsc;

use crate::{
    broken::{self, BrokenChannel},
    channel::{Delivered, LinkChannel},
    child::Birth,
    fleet::LEASE,
    life::Outcome,
    link::Link,
    skills::{Clerk, LinkSkill},
    traps::{TrapChannel, TrapSkill, TrapStore, Traps},
    wire::{Line, Remote},
};

/// One gateway.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) gateway: Running,
    pub(crate) traps: Arc<Traps>,
    plain: mpsc::Sender<Delivered>,
    keyed: mpsc::Sender<Delivered>,
}

/// The gateway, alone or one of several.
#[derive(Clone, Debug)]
pub(crate) enum Running {
    Alone(Gateway),
    Replica(Replica),
}

impl Running {
    /// Replies that the run before left on their way.
    pub(crate) fn in_doubt(&self) -> usize {
        match self {
            Self::Alone(gateway) => gateway.recovered().in_doubt,
            Self::Replica(_) => 0,
        }
    }

    pub(crate) async fn drain(&self, deadline: Duration) -> Result<(), Error> {
        match self {
            Self::Alone(gateway) => gateway.drain(deadline).await,
            Self::Replica(replica) => replica.drain(deadline).await,
        }
    }

    /// Waits until it takes no messages any more, and stops it. Replicas look after themselves.
    pub(crate) async fn ended(self) {
        if let Self::Alone(gateway) = self {
            gateway.ended().await;
            // What it leaves is another gateway's by now.
            drop(gateway.drain(Duration::from_secs(1)).await);
        }
    }
}

impl Head {
    pub(crate) async fn start(
        birth: &Birth,
        seed: u64,
        env: Env,
        store: SharedStore,
        link: Arc<Link>,
    ) -> Outcome<Self> {
        let traps = Traps::new(Arc::clone(&link));
        let store = TrapStore::new(store, Arc::clone(&traps), SeededRng::new(seed));
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
        Ok(Self { gateway, traps, plain, keyed })
    }

    pub(crate) async fn deliver(&self, (message, text): Delivered) {
        let inbox = match message.line() {
            Line::Plain => &self.plain,
            Line::Keyed => &self.keyed,
        };
        // A closed inbox is a draining gateway's: the message is not acknowledged.
        drop(inbox.send((message, text)).await);
    }
}
