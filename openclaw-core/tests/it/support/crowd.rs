//! The people of a seeded run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use openclaw_core::{Envelope, MessageId};
use openclaw_testkit::platform::Ticket;

use super::World;

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
