//! A store that is watched, and broken on purpose.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::store::{
    Commit, Entry, Key, MemoryStore, Page, ScanQuery, Snapshot, StateStore, StoreCapabilities,
    StoreError, Txn, TxnId,
};
use openclaw_testkit::env::SeededRng;

use super::{Event, Power, Trace, trace::rows_of};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not applied, and the caller is told.
    Refuse,
    /// Applied, and nobody knows.
    LoseAnswer,
    /// Not applied, and nobody knows.
    LoseRequest,
    /// The process dies before it is applied.
    CutBefore,
    /// The process dies once it is applied.
    CutAfter,
}

#[derive(Debug, Default)]
struct Plan {
    /// Label, matches to come, fault.
    once: Vec<(&'static str, u32, Fault)>,
    /// Label, fault.
    always: Vec<(&'static str, Fault)>,
    chaos: Option<(SeededRng, f64)>,
    /// Commits until the process dies.
    fuse: Option<(u64, Fault)>,
    down: bool,
    deaf: bool,
    /// From the next commit of this label on, this many reads fail.
    deaf_for: Option<(&'static str, usize)>,
    /// So many reads fail.
    missed: usize,
    slow: Option<(&'static str, Duration)>,
}

/// A [`MemoryStore`] behind the plug of one process.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    rows: MemoryStore,
    trace: Trace,
    power: Power,
    plan: Arc<Mutex<Plan>>,
    applied: Arc<AtomicU64>,
}

impl Probe {
    pub(crate) fn new(rows: MemoryStore, trace: Trace, power: Power) -> Self {
        Self { rows, trace, power, plan: Arc::default(), applied: Arc::default() }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Breaks the n-th commit of this label from now, counted from 1.
    pub(crate) fn at(&self, label: &'static str, nth: u32, fault: Fault) {
        self.plan().once.push((label, nth, fault));
    }

    /// Breaks every commit of this label, until [`Probe::heal`].
    pub(crate) fn every(&self, label: &'static str, fault: Fault) {
        self.plan().always.push((label, fault));
    }

    /// Answers nothing but `Unavailable`, until [`Probe::heal`].
    pub(crate) fn down(&self) {
        self.plan().down = true;
    }

    /// Answers no read, until [`Probe::heal`].
    pub(crate) fn deaf(&self) {
        self.plan().deaf = true;
    }

    /// Answers none of so many reads behind the next commit of this label.
    pub(crate) fn deaf_for(&self, label: &'static str, reads: usize) {
        self.plan().deaf_for = Some((label, reads));
    }

    /// Takes this long for a commit of this label, until [`Probe::heal`].
    pub(crate) fn slow(&self, label: &'static str, by: Duration) {
        self.plan().slow = Some((label, by));
    }

    /// Breaks commits and reads with this probability, until [`Probe::heal`].
    pub(crate) fn chaos(&self, rng: SeededRng, p: f64) {
        self.plan().chaos = Some((rng, p));
    }

    /// Dies at the n-th commit from now.
    pub(crate) fn fuse(&self, n: u64, fault: Fault) {
        self.plan().fuse = Some((n, fault));
    }

    /// Works again.
    pub(crate) fn heal(&self) {
        *self.plan() = Plan::default();
    }

    /// How many commits of this process were applied.
    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    fn read(&self) -> Result<(), StoreError> {
        let mut plan = self.plan();
        let missed = plan.missed > 0;
        plan.missed = plan.missed.saturating_sub(1);
        let unlucky = plan.chaos.as_ref().is_some_and(|(rng, p)| rng.chance(*p));
        if plan.down || plan.deaf || missed || unlucky {
            return Err(StoreError::Unavailable("the test says so".to_owned()));
        }
        Ok(())
    }

    async fn apply(&self, txn: Txn) -> Result<Commit, StoreError> {
        let (label, rows) = (txn.label, rows_of(&txn));
        let outcome = self.rows.commit(txn).await;
        match &outcome {
            Ok(Commit::Applied(_)) => {
                self.applied.fetch_add(1, Ordering::Relaxed);
                self.trace.push(Event::Commit { label, rows });
            }
            Ok(Commit::Conflict(_)) => self.trace.push(Event::Conflict { label }),
            Err(_) => {}
        }
        outcome
    }

    async fn die(&self) -> ! {
        self.power.cut();
        loop {
            self.power.gate().await;
        }
    }
}

impl Plan {
    fn fault(&mut self, label: &'static str) -> Option<Fault> {
        if let Some((_, reads)) = self.deaf_for.take_if(|(l, _)| *l == label) {
            self.missed = reads;
        }
        if let Some((n, fault)) = &mut self.fuse {
            *n = n.saturating_sub(1);
            if *n == 0 {
                return Some(*fault);
            }
        }
        for (_, nth, _) in self.once.iter_mut().filter(|(l, ..)| *l == label) {
            *nth -= 1;
        }
        if let Some(hit) = self.once.iter().position(|(_, nth, _)| *nth == 0) {
            return Some(self.once.swap_remove(hit).2);
        }
        if let Some((_, fault)) = self.always.iter().find(|(l, _)| *l == label) {
            return Some(*fault);
        }
        let (rng, p) = self.chaos.as_ref()?;
        let ways = [Fault::Refuse, Fault::LoseAnswer, Fault::LoseRequest];
        if rng.chance(*p) { rng.pick(&ways).copied() } else { None }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for Probe {
    fn capabilities(&self) -> StoreCapabilities {
        self.rows.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.power.gate().await;
        self.read()?;
        self.rows.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.power.gate().await;
        self.read()?;
        self.rows.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.power.gate().await;
        let slow = self.plan().slow.filter(|(label, _)| *label == txn.label);
        if let Some((_, by)) = slow {
            tokio::time::sleep(by).await;
            self.power.gate().await;
        }
        let (down, fault) = {
            let mut plan = self.plan();
            (plan.down, plan.fault(txn.label))
        };
        if down {
            return Err(StoreError::Unavailable("the test says so".to_owned()));
        }
        match fault {
            None => self.apply(txn).await,
            Some(Fault::Refuse) => Err(StoreError::Unavailable("the test says so".to_owned())),
            Some(Fault::LoseRequest) => Err(StoreError::OutcomeUnknown(TxnId::new(1))),
            Some(Fault::LoseAnswer) => {
                self.apply(txn).await?;
                Err(StoreError::OutcomeUnknown(TxnId::new(1)))
            }
            Some(Fault::CutBefore) => self.die().await,
            Some(Fault::CutAfter) => {
                self.apply(txn).await?;
                self.die().await
            }
        }
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit(txn).await);
        }
        outcomes
    }
}
