//! The people and the agent of a seeded run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use openclaw_core::{
    AgentId, Envelope, Error, ErrorKind, MessageId, Result,
    agent::{Agent, Answer, Turn},
};
use openclaw_testkit::{agent::ScriptedAgent, env::SeededRng, platform::Ticket};

use super::World;

/// An agent that fails or hangs now and then, while the storm lasts.
#[derive(Clone, Debug)]
pub(crate) struct Moody {
    pub(crate) script: ScriptedAgent,
    pub(crate) rng: SeededRng,
    pub(crate) storm: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Agent for Moody {
    fn id(&self) -> &AgentId {
        self.script.id()
    }

    async fn handle(&self, turn: Turn) -> Result<Answer> {
        if self.storm.load(Ordering::Relaxed) {
            match self.rng.below(40) {
                0..4 => return Err(Error::new(ErrorKind::ServerError, "a bad mood")),
                4 => std::future::pending().await,
                _ => {}
            }
        }
        self.script.handle(turn).await
    }
}

/// Who writes what: every message, offered until it is accepted.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) said: Vec<Envelope>,
    pub(crate) tickets: Mutex<BTreeMap<Ticket, usize>>,
    pub(crate) history: Mutex<Vec<Step>>,
}

/// One step of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Offered(usize),
    Accepted(usize, MessageId),
}

impl Crowd {
    pub(crate) fn offer(&self, world: &World, n: usize) {
        let ticket = world.platform.deliver(self.said[n].clone(), None);
        self.tickets.lock().unwrap().insert(ticket, n);
        self.history.lock().unwrap().push(Step::Offered(n));
    }

    pub(crate) fn history(&self) -> Vec<Step> {
        self.history.lock().unwrap().clone()
    }

    pub(crate) fn accepted(&self) -> BTreeMap<usize, BTreeSet<MessageId>> {
        let mut accepted: BTreeMap<usize, BTreeSet<MessageId>> = BTreeMap::new();
        for step in self.history() {
            if let Step::Accepted(n, id) = step {
                accepted.entry(n).or_default().insert(id);
            }
        }
        accepted
    }
}
