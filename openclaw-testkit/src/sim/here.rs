//! One process of a run, as everything inside it knows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Fault,
    mark::{row, tried},
    plan::Ending,
    scene::Scene,
};
use crate::fault::Power;

/// One process. Clones are the same process.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) scene: Arc<Scene>,
    /// Its number: a later one takes over.
    pub(super) process: u32,
    pub(super) power: Power,
    ending: Option<Ending>,
    commits: Arc<AtomicU64>,
    effects: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
}

impl Here {
    pub(super) fn new(scene: Arc<Scene>, process: u32, ending: Option<Ending>) -> Self {
        let (commits, effects) = (Arc::default(), Arc::default());
        let stopping = Arc::default();
        Self { scene, process, power: Power::on(), ending, commits, effects, stopping }
    }

    /// It is told to stop, or another one has taken over.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.process < self.scene.books().owner
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn next_commit(&self) -> u64 {
        self.commits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Is this commit its last one, and is it applied?
    pub(super) fn dies_at_commit(&self, commit: u64) -> Option<bool> {
        match self.ending {
            Some(Ending::AtCommit { n, applied }) if n == commit && self.scene.dice.storming() => {
                self.scene.marks.hit(Fault::KillAtCommit.name());
                Some(applied)
            }
            _ => None,
        }
    }

    /// Is the commit of a rollout its last one, and is it applied?
    pub(super) fn dies_at_rollout(&self) -> Option<bool> {
        let Scene { dice, marks, .. } = &*self.scene;
        // With an even chance it would die at each of them: an operator would get nowhere.
        let death = dice.below(Fault::KillAtCommit, 4);
        if death > 1 || !dice.strikes(Fault::KillAtCommit) {
            return None;
        }
        marks.hit(tried::DIED);
        Some(death == 1)
    }

    /// Is this effect its last one, and is it done?
    pub(super) fn dies_at_effect(&self) -> Option<bool> {
        let effect = self.effects.fetch_add(1, Ordering::Relaxed) + 1;
        match self.ending {
            Some(Ending::AtEffect { n, done }) if n == effect && self.scene.dice.storming() => {
                self.scene.marks.hit(Fault::KillAtEffect.name());
                self.scene.marks.hit(if done { row::C3 } else { row::C2 });
                Some(done)
            }
            _ => None,
        }
    }
}

/// Something foreign that a process waits for, and no longer than was agreed.
#[derive(Debug)]
pub(super) struct Held {
    here: Here,
    since: Instant,
    most: Duration,
    what: String,
}

impl Held {
    pub(super) fn new(here: &Here, most: Duration, what: &str) -> Self {
        Self { here: here.clone(), since: Instant::now(), most, what: what.to_owned() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        if waited > self.most + Duration::from_millis(50) && !self.here.power.is_cut() {
            let (what, most) = (&self.what, self.most);
            self.here.scene.violate(format!("{what} was waited for {waited:?}, and not {most:?}"));
        }
    }
}
