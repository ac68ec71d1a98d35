//! The scene of a run: everything that outlives the processes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openclaw_core::{ChannelId, Clock, store::MemoryStore};

use super::{
    Marks,
    board::Board,
    books::Books,
    clock::JumpyClock,
    fault::Dice,
    inbound::Inbound,
    plan::{Facts, Plan, Saying},
    remotes::Remotes,
    rolled::Rolled,
    second::Second,
};
use crate::env::{EPOCH, PausedClock, SeededRng};

/// Everything that outlives the processes of a run.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) marks: Marks,
    pub(super) dice: Dice,
    /// The machine's clock; the store has one of its own.
    pub(super) clock: JumpyClock,
    /// What is durable.
    pub(super) rows: MemoryStore,
    pub(super) lines: BTreeMap<ChannelId, Line>,
    pub(super) remotes: Remotes,
    pub(super) second: Second,
    sayings: BTreeMap<u32, Saying>,
    /// Delays and other small things.
    pub(super) rng: SeededRng,
    books: Mutex<Books>,
    rolled: Mutex<Rolled>,
}

/// A platform: its people and its board.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) facts: Facts,
    pub(super) inbound: Inbound,
    pub(super) board: Board,
}

impl Scene {
    /// Sets the scene; inside the runtime whose time is paused.
    pub(super) fn set(plan: Plan, marks: Marks) -> Arc<Self> {
        let rng = SeededRng::new(plan.seed ^ 0x5343_454e);
        let steady = PausedClock::new(EPOCH);
        let lines = plan.channels.iter().map(|facts| {
            let line = Line {
                facts: facts.clone(),
                inbound: Inbound::default(),
                board: Board::new(facts.capabilities.post),
            };
            (facts.id.clone(), line)
        });
        Arc::new(Self {
            lines: lines.collect(),
            dice: Dice::new(plan.seed, &plan.faults, marks.clone()),
            clock: JumpyClock::new(steady.clone()),
            rows: MemoryStore::new(Arc::new(steady)),
            remotes: Remotes::default(),
            second: Second::new(plan.seed),
            books: Mutex::default(),
            rolled: Mutex::default(),
            sayings: plan.sayings.iter().chain(&plan.recalls).map(|s| (s.n, s.clone())).collect(),
            rng,
            marks,
            plan,
        })
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rolled(&self) -> MutexGuard<'_, Rolled> {
        self.rolled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violate(&self, what: String) {
        self.books().violate(what);
    }

    /// The message of this number.
    pub(super) fn saying(&self, n: u32) -> Option<&Saying> {
        self.sayings.get(&n)
    }

    pub(super) fn now(&self) -> openclaw_core::Timestamp {
        self.clock.now()
    }
}
