//! `RedbStore`: what the store contract says, on a real file and on a disk that fails.

mod faults;
mod files;
mod model;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openclaw_core::{
    Clock, Timestamp,
    store::{
        Commit, Guard, Key, Op, RedbStore, ScanQuery, StateStore, StateStoreExt, StoreError, Txn,
        TxnId, Version,
    },
};
use openclaw_testkit::{
    disk::FaultDisk,
    env::{EPOCH, ManualClock, SeededRng},
};

use crate::steps::{Outcome, admit, applied, key, log, lost, number, poll, steps, together};

/// A store on a disk and a clock that the test holds.
struct Bench {
    disk: FaultDisk,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self { disk: FaultDisk::new(), clock: ManualClock::new(EPOCH) }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn open(&self) -> RedbStore {
        self.try_open().expect("the disk is fine")
    }

    fn try_open(&self) -> Result<RedbStore, StoreError> {
        let builder = RedbStore::builder().cache(1 << 20).disk(self.disk.clone());
        builder.open("test.redb", self.clock())
    }

    /// The same, on what power loss leaves of the disk.
    fn cut(&self, seed: u64) -> Self {
        Self { disk: self.disk.cut(seed), clock: self.clock.clone() }
    }
}

/// Opens a file that was just closed.
///
/// Another test may start a process at this moment: between fork and exec the child holds every
/// file lock of this process.
pub(crate) fn open_again(path: &std::path::Path, clock: &Arc<dyn Clock>) -> RedbStore {
    for _ in 0..100_000 {
        match RedbStore::open(path, Arc::clone(clock)) {
            Err(StoreError::Locked(_)) => std::thread::yield_now(),
            opened => return opened.expect("a store"),
        }
    }
    panic!("{} stays locked", path.display());
}

#[tokio::test]
async fn a_restart_keeps_rows_versions_and_time() {
    let bench = Bench::new();
    let before = {
        let store = bench.open();
        bench.clock.advance(Duration::from_secs(5));
        applied(store.commit(admit(1)).await)
    };
    bench.clock.set(EPOCH);
    let store = bench.open();
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
    assert_eq!(store.get(&key(1)).await.unwrap().unwrap().version, before.version);
    let after = applied(store.commit(admit(2)).await);
    assert!(after.version > before.version, "a version was used twice");
    assert!(after.as_of >= before.as_of, "time went back");
}

#[tokio::test]
async fn an_orderly_close_keeps_the_time_that_only_a_read_has_seen() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(Txn::new("t").op(Op::put_for(key(1), "x", Duration::from_secs(1)))).await);
    bench.clock.advance(Duration::from_secs(2));
    let seen = store.get_many(&[key(1)]).await.unwrap();
    assert_eq!(seen.value, [None]);
    drop(store);
    bench.clock.set(EPOCH);
    let again = bench.open().get_many(&[key(1)]).await.unwrap();
    assert_eq!(again.value, [None], "an expired row came back");
    assert!(again.as_of >= seen.as_of, "time went back");
}

#[tokio::test]
async fn expired_is_absent_for_reads_scans_and_guards() {
    let bench = Bench::new();
    let store = bench.open();
    let ttl = Duration::from_secs(10);
    let put = |n| Txn::new("t").guard(Guard::Absent(key(n))).op(Op::put_for(key(n), "x", ttl));
    let first = applied(store.commit(put(1)).await);
    bench.clock.advance(ttl - Duration::from_millis(1));
    assert!(store.get(&key(1)).await.unwrap().is_some(), "never early");
    assert_eq!(lost(store.commit(put(1)).await), 0);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(store.get(&key(1)).await.unwrap(), None);
    assert!(store.scan_all(Key::system("t").prefix()).await.unwrap().is_empty());
    assert_eq!(lost(store.commit(Txn::new("t").guard(Guard::Exists(key(1)))).await), 0);
    let second = applied(store.commit(put(1)).await);
    assert!(second.version > first.version);
    assert!(store.get(&key(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_expired_row_is_not_back_after_power_loss_and_a_clock_set_back() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(Txn::new("t").op(Op::put_for(key(1), "x", Duration::from_secs(1)))).await);
    bench.clock.advance(Duration::from_secs(2));
    // The commit that answers this time is what makes it outlive the cut.
    let seen = applied(store.commit(admit(7)).await).as_of;
    let left = bench.cut(3);
    left.clock.set(EPOCH);
    let again = left.open().get_many(&[key(1)]).await.unwrap();
    assert_eq!(again.value, [None], "an expired row came back");
    assert!(again.as_of >= seen);
}

#[tokio::test]
async fn a_touched_row_outlives_its_first_expiry() {
    let bench = Bench::new();
    let store = bench.open();
    let second = Duration::from_secs(1);
    applied(store.commit(Txn::new("t").op(Op::put_for(key(1), "x", second))).await);
    let version = store.get(&key(1)).await.unwrap().unwrap().version;
    applied(store.commit(Txn::new("t").op(Op::Touch { key: key(1), ttl: None })).await);
    bench.clock.advance(2 * second);
    applied(store.commit(admit(2)).await);
    assert_eq!(store.get(&key(1)).await.unwrap().map(|row| row.version), Some(version));
}

#[tokio::test]
async fn commits_sent_as_one_share_a_sync_and_have_outcomes_of_their_own() {
    let bench = Bench::new();
    let store = bench.open();
    let before = bench.disk.counts().syncs;
    let twice = (0..64).chain(0..64).map(admit);
    let too_large = Txn::new("t").op(Op::put(key(99), vec![0; (4 << 20) + 1]));
    let outcomes = store.commit_many(twice.chain([too_large]).collect()).await;
    assert_eq!(outcomes.len(), 129);
    let mut last = None;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match (n, outcome) {
            (0..64, Ok(Commit::Applied(applied))) => {
                assert!(Some(applied.version) > last, "in order");
                last = Some(applied.version);
            }
            (64..128, Ok(Commit::Conflict(_)))
            | (128, Err(StoreError::TooLarge { what: "value", .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(steps(&store).await, (0..64).collect());
    // A commit of two phases is two; the file may grow once or twice.
    assert!(bench.disk.counts().syncs - before <= 8, "not one batch");
}

#[tokio::test]
async fn a_conflict_costs_no_sync() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(admit(1)).await);
    let before = bench.disk.counts();
    assert_eq!(lost(store.commit(admit(1)).await), 0);
    assert_eq!(bench.disk.counts(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_fifty_six_writers_lose_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let count = |n| Op::Add { key: key(n), delta: 1, bound: None, ttl: None };
    let writers = (0..256_u64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..4 {
                let id = 1000 + 4 * n + step;
                applied(store.commit(admit(id).op(count(0))).await);
                assert!(store.get(&key(id)).await.unwrap().is_some(), "answered, not there");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let sum = store.get(&key(0)).await.unwrap().unwrap();
    assert_eq!(number(&sum.value), 1024);
    assert_eq!(store.scan_all(log()).await.unwrap().len(), 1024);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_not_the_runtime() {
    let bench = Bench::new();
    let builder = RedbStore::builder().max_batch(1).disk(bench.disk.clone());
    let store = builder.open("test.redb", bench.clock()).unwrap();
    let outcomes = together(&store, (0..256).map(admit)).await;
    outcomes.into_iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(steps(&store).await.len(), 256);
}

#[tokio::test]
async fn a_cancelled_commit_is_whole_or_absent() {
    let bench = Bench::new();
    let builder = RedbStore::builder().max_batch(2).disk(bench.disk.clone());
    let store = builder.open("test.redb", bench.clock()).unwrap();
    let rng = SeededRng::new(11);
    let mut kept = Vec::new();
    for n in 0..300 {
        let mut commit = store.commit(admit(n));
        for _ in 0..rng.below(3) {
            if let Some(outcome) = poll(&mut commit) {
                commit = Box::pin(std::future::pending());
                applied(outcome);
            }
            tokio::task::yield_now().await;
        }
        if rng.chance(0.3) {
            // Some are finished: what is asked for again is a conflict by now.
            kept.push(n);
            drop(commit);
            assert!(store.commit(admit(n)).await.is_ok());
        }
    }
    let there = steps(&store).await;
    assert!(kept.iter().all(|n| there.contains(n)));
}

#[tokio::test]
async fn dropping_the_last_handle_writes_what_is_queued() {
    let bench = Bench::new();
    let store = bench.open();
    let other = store.clone();
    for n in 0..60 {
        drop(poll(&mut store.commit(admit(n))));
    }
    drop(store);
    applied(other.commit(admit(60)).await);
    for n in 61..100 {
        drop(poll(&mut other.commit(admit(n))));
    }
    drop(other);
    assert_eq!(steps(&bench.open()).await, (0..100).collect());
}

#[tokio::test]
async fn pages_of_a_scan_go_both_ways() {
    let bench = Bench::new();
    let store = bench.open();
    together(&store, (0..7).map(admit)).await;
    let prefix = Key::system("t").prefix();
    let page = |after: Option<u64>| {
        let limit = 3.try_into().expect("not zero");
        ScanQuery::new(prefix.clone()).limit(limit).after(after.map(key))
    };
    let read = async |query| {
        let page = store.scan(query).await.unwrap().value;
        let numbers: Vec<u64> = page.rows.iter().map(|(_, row)| number(&row.value)).collect();
        (numbers, page.more)
    };
    assert_eq!(read(page(None)).await, (vec![0, 1, 2], true));
    assert_eq!(read(page(Some(2))).await, (vec![3, 4, 5], true));
    assert_eq!(read(page(Some(5))).await, (vec![6], false));
    assert_eq!(read(page(Some(6))).await, (vec![], false));
    assert_eq!(read(page(None).reversed()).await, (vec![6, 5, 4], true));
    assert_eq!(read(page(Some(1)).reversed()).await, (vec![0], false));
    assert_eq!(read(page(Some(0)).reversed()).await, (vec![], false));
    let outside = ScanQuery::new(prefix.clone()).after(Some(Key::system("a").build()));
    assert_eq!(read(outside.clone()).await.0.len(), 7);
    assert_eq!(read(outside.reversed()).await, (vec![], false));
}

#[tokio::test]
async fn time_is_the_stores_own() {
    let bench = Bench::new();
    let store = bench.open();
    bench.clock.advance(Duration::from_secs(9));
    let read = store.get_many(&[]).await.unwrap().as_of;
    bench.clock.set(Timestamp::from_millis(5));
    assert_eq!(applied(store.commit(admit(1)).await).as_of, read);
    assert_eq!(store.scan(ScanQuery::new(log())).await.unwrap().as_of, read);
}
