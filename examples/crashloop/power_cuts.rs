//! Cuts the power of the disk below a busy store, and looks at what is left.
//!
//! A SIGKILL says nothing about syncs: the kernel still has what was written. Here the disk is
//! ours, and a cut takes everything that was not synced, but for what a seed lets survive.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use openclaw_core::{
    Clock, Env, Rng,
    store::{
        Applied, Commit, Guard, Key, Op, Prefix, RedbStore, StateStore, StateStoreExt, StoreError,
        Txn, TxnId,
    },
};
use openclaw_testkit::{disk::FaultDisk, env::SeededRng};
use serde::Serialize;

/// Callers at once.
const CLIENTS: u64 = 8;

/// The power goes within this many operations of the disk.
const OPERATIONS: u64 = 400;

/// One disk lives for this many cuts.
const LIVES: u64 = 10;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// How often the power went.
    pub(crate) cuts: u64,
    /// Commits that were answered although no sync had begun and ended since they were asked.
    pub(crate) acks_without_sync: u64,
    /// Commits that were answered and are gone.
    pub(crate) lost: u64,
    /// Transactions of which one part is there and the other is not.
    pub(crate) half: u64,
    /// Commits that were refused and are there all the same.
    pub(crate) refused_but_there: u64,
    /// Versions or times that were not behind those given out before the cut.
    pub(crate) went_back: u64,
    /// Disks that did not open again.
    pub(crate) unopened: u64,
    /// Commits that were answered.
    pub(crate) acknowledged: u64,
    /// Commits of which nobody may guess the outcome.
    pub(crate) unknown: u64,
}

impl Report {
    /// Did the store keep its word?
    pub(crate) fn holds(&self) -> bool {
        let broken = self.acks_without_sync
            + self.lost
            + self.half
            + self.refused_but_there
            + self.went_back
            + self.unopened;
        broken == 0 && self.cuts > 0 && self.acknowledged > self.cuts
    }

    /// The report as one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "power cuts              {:>8}", self.cuts)?;
        writeln!(f, "acknowledged            {:>8}", self.acknowledged)?;
        writeln!(f, "  without a sync        {:>8}", self.acks_without_sync)?;
        writeln!(f, "  lost                  {:>8}", self.lost)?;
        writeln!(f, "half there              {:>8}", self.half)?;
        writeln!(f, "refused, but there      {:>8}", self.refused_but_there)?;
        writeln!(f, "version or time back    {:>8}", self.went_back)?;
        writeln!(f, "did not open again      {:>8}", self.unopened)?;
        writeln!(f, "unknown to the caller   {:>8}", self.unknown)
    }
}

/// Cuts the power this often; `break_sync` makes the disk lie about its syncs.
pub(crate) async fn run(cuts: u64, break_sync: bool, seed: u64) -> Report {
    let rng = SeededRng::new(seed);
    let mut report = Report { cuts, ..Report::default() };
    let mut life = Life::new(break_sync);
    for cut in 0..cuts {
        if cut % LIVES == 0 {
            life = Life::new(break_sync);
        }
        life.until_the_power_goes(&rng).await;
        if !life.look(&rng, &mut report).await {
            life = Life::new(break_sync);
        }
    }
    report
}

/// A disk from its making on, and what callers were told about it.
struct Life {
    disk: FaultDisk,
    clock: Arc<dyn Clock>,
    break_sync: bool,
    told: Arc<Mutex<Told>>,
}

/// What callers know.
#[derive(Debug, Default)]
struct Told {
    next: u64,
    applied: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    latest: Option<Applied>,
    /// Since the last look.
    new: u64,
    unknown: u64,
    without_sync: u64,
}

impl Life {
    fn new(break_sync: bool) -> Self {
        let clock = Env::system().clock();
        Self { disk: FaultDisk::new(), clock, break_sync, told: Arc::default() }
    }

    fn open(&self, disk: &FaultDisk) -> Result<RedbStore, StoreError> {
        // A small cache: pages reach the disk before their commit, too.
        let builder = RedbStore::builder().cache(1 << 16).disk(disk.clone());
        builder.open("the fault disk", Arc::clone(&self.clock))
    }

    /// Lets callers commit until the power goes at a random operation of the disk.
    async fn until_the_power_goes(&mut self, rng: &SeededRng) {
        if self.break_sync {
            self.disk.break_sync();
        }
        self.disk.lose_power(1 + rng.below(OPERATIONS));
        // It may go while the store opens, too.
        if let Ok(store) = self.open(&self.disk) {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let (store, disk) = (store.clone(), self.disk.clone());
                    tokio::spawn(client(store, disk, Arc::clone(&self.told), rng.split()))
                })
                .collect();
            for client in clients {
                // A client that panicked shows up as an answer that is missing.
                drop(client.await);
            }
        }
        self.disk = self.disk.cut(rng.next_u64());
    }

    /// Compares what is left with what was told; false when nothing can be read any more.
    async fn look(&self, rng: &SeededRng, report: &mut Report) -> bool {
        // On a copy: the next life begins from the cut itself, not from a clean close.
        let copy = self.disk.cut(rng.next_u64());
        let found = async {
            let store = self.open(&copy)?;
            let rows = numbers(&store, table()).await?;
            let lines = numbers(&store, log()).await?;
            let last = applied(store.commit(step(u64::MAX)).await?);
            Ok::<_, StoreError>((rows, lines, last))
        };
        let found = found.await;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        report.acknowledged += std::mem::take(&mut told.new);
        report.unknown += std::mem::take(&mut told.unknown);
        report.acks_without_sync += std::mem::take(&mut told.without_sync);
        let Ok((rows, lines, last)) = found else {
            report.unopened += 1;
            report.lost += told.applied.len() as u64;
            return false;
        };
        let whole = |n: &&u64| rows.contains(n) && lines.contains(n);
        report.lost += told.applied.iter().filter(|n| !whole(n)).count() as u64;
        report.half += rows.symmetric_difference(&lines).count() as u64;
        report.refused_but_there += told.refused.intersection(&rows).count() as u64;
        let back = told.latest.as_ref().is_some_and(|seen| {
            last.as_ref().is_none_or(|l| l.version <= seen.version || l.as_of < seen.as_of)
        });
        report.went_back += u64::from(back);
        true
    }
}

impl Told {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes an answer; false when it was an error.
    fn note(&mut self, n: u64, answer: Result<Commit, StoreError>, synced: bool) -> bool {
        match answer {
            Ok(commit) => {
                self.new += 1;
                self.without_sync += u64::from(!synced);
                if let Some(applied) = applied(commit) {
                    self.applied.insert(n);
                    if self.latest.as_ref().is_none_or(|seen| seen.version < applied.version) {
                        self.latest = Some(applied);
                    }
                }
                return true;
            }
            Err(StoreError::OutcomeUnknown(_)) => self.unknown += 1,
            Err(_) => drop(self.refused.insert(n)),
        }
        false
    }
}

/// Commits step after step until the store answers an error.
async fn client(store: RedbStore, disk: FaultDisk, told: Arc<Mutex<Told>>, rng: SeededRng) {
    let told = || told.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let n = told().next();
        let (answer, synced) = ask(&store, &disk, n).await;
        if !told().note(n, answer, synced) {
            return;
        }
        for _ in 0..rng.below(4) {
            tokio::task::yield_now().await;
        }
    }
}

/// Commits a step, and tells whether a sync began and ended well before the answer.
async fn ask(
    store: &impl StateStore,
    disk: &FaultDisk,
    n: u64,
) -> (Result<Commit, StoreError>, bool) {
    let begun = disk.counts().syncs_begun;
    let answer = store.commit(step(n)).await;
    // The sync after those that had begun is the first that can carry this commit.
    (answer, disk.counts().syncs > begun)
}

/// A step as admission takes it: nobody was here, a row, a line in the log.
fn step(n: u64) -> Txn {
    let (key, value) = (Key::system("row").number(n).build(), n.to_be_bytes().to_vec());
    Txn::new("admit")
        .with_id(TxnId::new(n))
        .guard(Guard::Absent(key.clone()))
        .op(Op::put(key, value.clone()))
        .op(Op::append(log(), value))
}

fn table() -> Prefix {
    Key::system("row").prefix()
}

fn log() -> Prefix {
    Key::system("log").prefix()
}

fn applied(commit: Commit) -> Option<Applied> {
    match commit {
        Commit::Applied(applied) => Some(applied),
        Commit::Conflict(_) => None,
    }
}

async fn numbers(store: &RedbStore, prefix: Prefix) -> Result<BTreeSet<u64>, StoreError> {
    let rows = store.scan_all(prefix).await?;
    let number = |value: &[u8]| value.try_into().map(u64::from_be_bytes).unwrap_or_default();
    Ok(rows.iter().map(|(_, row)| number(&row.value)).collect())
}

#[cfg(test)]
mod tests {
    use openclaw_core::store::MemoryStore;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_acknowledged_is_lost_at_a_power_cut() {
        let report = run(40, false, 1).await;
        assert!(report.holds(), "{report:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_disk_that_lies_about_its_syncs_is_caught() {
        let report = run(10, true, 1).await;
        assert!(report.lost > 0 && !report.holds(), "{report:?}");
    }

    #[tokio::test]
    async fn a_store_that_answers_before_it_syncs_is_caught() {
        let store = MemoryStore::new(Env::system().clock());
        let mut told = Told::default();
        let (answer, synced) = ask(&store, &FaultDisk::new(), 1).await;
        assert!(told.note(1, answer, synced));
        assert_eq!((told.new, told.without_sync), (1, 1));
    }
}
