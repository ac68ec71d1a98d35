//! Histories: whatever clients ask side by side, some order of it explains what they hear.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openclaw_core::store::{
    Commit, Entry, Guard, Key, Op, ScanQuery, StateStore, StoreError, Txn, Version,
};
use tokio::{runtime::Handle, task::yield_now};

use super::{
    super::run::{abandon, together},
    steps::{group, nth, shown, txn},
};
use crate::{
    env::SeededRng,
    fault::{Fault, FaultStore, Plan},
    history::Recorder,
};

const SEEDS: u64 = 6;
const CLIENTS: u64 = 4;
const CALLS: u64 = 12;
const ROWS: u64 = 4;

/// Random guarded transactions, sums, reads and scans of several clients have one order.
pub async fn histories_are_linearizable(store: &dyn StateStore) {
    for seed in 0..SEEDS {
        let run = Run::new("history", seed);
        together((0..CLIENTS).map(|id| run.client(store, id).asks(CALLS))).await;
        run.ends(store).await;
    }
}

/// The same when clients are threads.
pub async fn histories_between_threads_are_linearizable(store: Arc<dyn StateStore>) {
    for seed in 0..SEEDS / 2 {
        let run = Run::new("threads", seed);
        let threads: Vec<_> = (0..CLIENTS)
            .map(|id| {
                let (store, run, here) = (Arc::clone(&store), run.clone(), Handle::current());
                let ask = move || here.block_on(run.client(&*store, id).asks(CALLS));
                tokio::task::spawn_blocking(ask)
            })
            .collect();
        for thread in threads {
            thread.await.expect("a thread");
        }
        run.ends(&*store).await;
    }
}

/// The same when answers and requests are lost: such a commit ran at some moment, or never.
pub async fn histories_with_lost_answers_are_linearizable(store: Arc<dyn StateStore>) {
    for seed in 0..SEEDS {
        let plan = Plan::seeded(SeededRng::new(seed));
        plan.chance("commit", Fault::LoseAnswer, 0.15);
        plan.chance("commit", Fault::LoseRequest, 0.1);
        plan.chance("read", Fault::Fail, 0.05);
        let run = Run::new("lost", seed);
        let lossy = FaultStore::new(Arc::clone(&store), plan);
        together((0..CLIENTS).map(|id| run.client(&lossy, id).asks(CALLS))).await;
        run.ends(&*store).await;
    }
}

/// The same when callers give up: what they dropped is applied whole, late, or never.
pub async fn histories_with_dropped_commits_are_linearizable(store: &dyn StateStore) {
    for seed in 0..SEEDS {
        let run = Run::new("dropped", seed);
        let clients = (0..CLIENTS).map(|id| {
            let client = run.client(store, id);
            Client { drops: true, ..client }.asks(CALLS)
        });
        together(clients).await;
        run.ends(store).await;
    }
}

/// Transfers between rows, and the reads beside them, have one order: nobody saw half of one.
pub async fn a_cross_key_transfer_history_is_linearizable(store: &dyn StateStore) {
    for seed in 0..SEEDS {
        let run = Run::new("bank", seed);
        let open = run.rows.iter().map(|row| Op::put(row.clone(), "100"));
        run.client(store, CLIENTS).commit(txn().ops(open)).await;
        together((0..CLIENTS).map(|id| run.client(store, id).transfers(CALLS / 2))).await;
        let last = run.ends(store).await;
        let sum: u64 = last.iter().flatten().map(balance).sum();
        assert_eq!(sum, ROWS * 100, "money was made or lost, seed {seed}");
    }
}

fn balance(entry: &Entry) -> u64 {
    shown(entry).parse().expect("a balance")
}

/// Clients of one seed, on rows of their own.
#[derive(Clone)]
struct Run {
    name: &'static str,
    seed: u64,
    rows: Vec<Key>,
    recorder: Recorder,
}

impl Run {
    fn new(name: &'static str, seed: u64) -> Self {
        let rows = (0..ROWS).map(|n| nth(&format!("{name} {seed}"), n)).collect();
        Self { name, seed, rows, recorder: Recorder::default() }
    }

    fn client<'a>(&'a self, store: &'a dyn StateStore, id: u64) -> Client<'a> {
        let rng = SeededRng::new(self.seed * 1_000 + id);
        Client { run: self, store, id, rng, seen: BTreeMap::new(), drops: false, asked: 0 }
    }

    /// A last look, and the check of all that was heard.
    async fn ends(&self, store: &dyn StateStore) -> Vec<Option<Entry>> {
        let call = self.recorder.reads(CLIENTS + 1, &self.rows);
        let last = store.get_many(&self.rows).await.map(|read| read.value);
        call.read(&last);
        if let Err(anomaly) = self.recorder.history().check() {
            panic!("{} history of seed {}: {anomaly}", self.name, self.seed);
        }
        last.expect("a read")
    }
}

/// One client: it asks what its seed decides, by the versions that it has seen.
struct Client<'a> {
    run: &'a Run,
    store: &'a dyn StateStore,
    id: u64,
    rng: SeededRng,
    seen: BTreeMap<Key, Version>,
    /// It gives up some of its commits.
    drops: bool,
    asked: u64,
}

impl Client<'_> {
    async fn asks(mut self, calls: u64) {
        for _ in 0..calls {
            self.waits().await;
            match self.rng.below(10) {
                0..3 => self.reads().await,
                3 => self.scans().await,
                _ => {
                    let txn = self.random();
                    self.commit(txn).await;
                }
            }
        }
    }

    async fn transfers(mut self, times: u64) {
        for _ in 0..times {
            let (from, to) = (self.row(), self.row());
            let read = self.read(&[from.clone(), to.clone()]).await;
            let Some([Some(a), Some(b)]) = read.as_deref() else { panic!("an account is gone") };
            if from == to {
                continue;
            }
            let amount = self.rng.below(50).min(balance(a));
            let (left, more) = (balance(a) - amount, balance(b) + amount);
            let step = txn()
                .guard(Guard::VersionIs(from.clone(), a.version))
                .guard(Guard::VersionIs(to.clone(), b.version))
                .op(Op::put(from, left.to_string()))
                .op(Op::put(to, more.to_string()));
            self.commit(step).await;
        }
    }

    /// One or two guards, one or two operations; also a guard on a row that is not written.
    fn random(&mut self) -> Txn {
        let mut step = txn();
        for _ in 0..=self.rng.below(2) {
            step = step.guard(self.guard());
        }
        for _ in 0..=self.rng.below(2) {
            step = step.op(self.op());
        }
        step
    }

    /// Mostly one that holds if nothing has happened meanwhile.
    fn guard(&self) -> Guard {
        let row = self.row();
        match self.seen.get(&row) {
            Some(version) => Guard::VersionIs(row, *version),
            None if self.rng.chance(0.7) => Guard::Absent(row),
            None => Guard::Exists(row),
        }
    }

    fn op(&mut self) -> Op {
        // The last row is for sums, the others for texts.
        self.asked += 1;
        let texts = self.run.rows.get(1..).unwrap_or_default();
        let row = self.rng.pick(texts).cloned().unwrap_or_else(|| self.row());
        match (self.rng.below(5), self.run.rows.first()) {
            (0, Some(sum)) => {
                let delta = i64::try_from(self.rng.below(5)).unwrap_or_default() - 1;
                Op::Add { key: sum.clone(), delta, bound: Some(0..=6), ttl: None }
            }
            (1, _) => Op::delete(row),
            _ => Op::put(row, format!("{}.{}", self.id, self.asked)),
        }
    }

    fn row(&self) -> Key {
        self.rng.pick(&self.run.rows).cloned().expect("a row")
    }

    /// Lets others come in between.
    async fn waits(&self) {
        for _ in 0..self.rng.below(4) {
            yield_now().await;
        }
    }

    async fn commit(&mut self, txn: Txn) {
        let call = self.run.recorder.commits(self.id, &txn);
        self.waits().await;
        let outcome = if self.drops && self.rng.chance(0.3) {
            const LIMIT: Duration = Duration::from_secs(5);
            let polls = usize::try_from(self.rng.below(3)).unwrap_or_default();
            // Dropped: the call stays open for good.
            let Some(outcome) = abandon(self.store.commit(txn), polls, LIMIT).await else { return };
            outcome
        } else {
            self.store.commit(txn).await
        };
        self.waits().await;
        if let Ok(Commit::Conflict(lost)) = &outcome
            && let Some(entry) = &lost.current
        {
            assert!(entry.version > Version::default(), "a row that has no version");
        }
        call.committed(&outcome);
    }

    async fn reads(&mut self) {
        let rows: Vec<Key> = (0..=self.rng.below(ROWS)).map(|_| self.row()).collect();
        self.read(&rows).await;
    }

    async fn read(&mut self, rows: &[Key]) -> Option<Vec<Option<Entry>>> {
        let call = self.run.recorder.reads(self.id, rows);
        self.waits().await;
        let read = self.store.get_many(rows).await.map(|read| read.value);
        self.waits().await;
        call.read(&read);
        for (row, entry) in rows.iter().zip(read.iter().flatten()) {
            self.sees(row, entry.as_ref());
        }
        read.ok()
    }

    /// A scan of all rows is a read of all rows.
    async fn scans(&mut self) {
        let rows = &self.run.rows;
        let call = self.run.recorder.reads(self.id, rows);
        self.waits().await;
        let all = ScanQuery::new(group(&format!("{} {}", self.run.name, self.run.seed)));
        let page = self.store.scan(all).await.map(|page| page.value.rows);
        self.waits().await;
        let found = |rows: &[(Key, Entry)], key: &Key| {
            rows.iter().find(|(found, _)| found == key).map(|(_, entry)| entry.clone())
        };
        let read: Result<_, StoreError> =
            page.map(|page| rows.iter().map(|key| found(&page, key)).collect());
        call.read(&read);
    }

    fn sees(&mut self, row: &Key, entry: Option<&Entry>) {
        match entry {
            Some(entry) => drop(self.seen.insert(row.clone(), entry.version)),
            None => drop(self.seen.remove(row)),
        }
    }
}
