//! `FjallStore`: what the store contract says, on real directories and on disks that fail.

mod child;
mod crash;
mod files;
mod full;
mod laws;
mod sync;
mod torn;
mod volume;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use openclaw_core::{
    Timestamp,
    store::{
        Commit, FjallStore, Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore,
        StateStoreExt, Store, StoreError, Txn,
    },
};
use openclaw_testkit::env::{EPOCH, ManualClock, SeededRng};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    model::{compare, plans},
    steps::{admit, applied, key, log, lost, number, poll, steps, together},
};

/// A directory and a clock that the test holds.
struct Bench {
    folder: TempDir,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, clock: ManualClock::new(EPOCH) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn open(&self) -> FjallStore {
        open_again(&self.path(), &self.clock)
    }
}

/// Opens a directory that was just closed.
///
/// Another test may start a process at this moment: between fork and exec the child holds every
/// file lock of this process.
fn open_again(path: &Path, clock: &ManualClock) -> FjallStore {
    for _ in 0..100_000 {
        match FjallStore::open(path, Arc::new(clock.clone())) {
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
async fn later_transactions_of_a_batch_see_what_earlier_ones_did() {
    let bench = Bench::new();
    let store = bench.open();
    let ttl = Duration::from_secs(10);
    let put = |value: &'static str| Op::put_for(key(1), value, ttl);
    let txns = vec![
        Txn::new("t").guard(Guard::Absent(key(1))).op(put("a")),
        Txn::new("t").guard(Guard::Absent(key(1))).op(put("b")),
        Txn::new("t").guard(Guard::Exists(key(1))).op(Op::Delete { key: key(1) }),
        Txn::new("t").guard(Guard::Exists(key(1))).op(put("c")),
        Txn::new("t").guard(Guard::Absent(key(1))).op(Op::put(key(1), "d")),
    ];
    let mut outcomes = store.commit_many(txns).await.into_iter();
    applied(outcomes.next().unwrap());
    assert_eq!(lost(outcomes.next().unwrap()), 0);
    applied(outcomes.next().unwrap());
    assert_eq!(lost(outcomes.next().unwrap()), 0);
    let last = applied(outcomes.next().unwrap());
    bench.clock.advance(2 * ttl);
    applied(store.commit(admit(2)).await);
    let row = store.get(&key(1)).await.unwrap().expect("it never expires");
    assert_eq!((row.version, row.expires_at), (last.version, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_fifty_six_writers_lose_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let count = |n| Op::Add { key: key(n), delta: 1, bound: None, ttl: None };
    let writers = (0..256_u64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..8 {
                let id = 1000 + 8 * n + step;
                applied(store.commit(admit(id).op(count(0))).await);
                assert!(store.get(&key(id)).await.unwrap().is_some(), "answered, not there");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    let there = async |store: &FjallStore| {
        let sum = store.get(&key(0)).await.unwrap().unwrap();
        (number(&sum.value), store.scan_all(log()).await.unwrap().len())
    };
    assert_eq!(there(&store).await, (2048, 2048));
    drop(store);
    assert_eq!(there(&bench.open()).await, (2048, 2048));
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_not_the_runtime() {
    let bench = Bench::new();
    let builder = FjallStore::builder().max_batch(1);
    let store = builder.open(bench.path(), Arc::new(bench.clock.clone())).unwrap();
    let outcomes = together(&store, (0..256).map(admit)).await;
    outcomes.into_iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(steps(&store).await.len(), 256);
}

#[tokio::test]
async fn a_cancelled_commit_is_whole_or_absent() {
    let bench = Bench::new();
    let builder = FjallStore::builder().max_batch(2);
    let store = builder.open(bench.path(), Arc::new(bench.clock.clone())).unwrap();
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
async fn a_key_that_no_row_has_is_absent_whatever_its_length() {
    let bench = Bench::new();
    let store = bench.open();
    applied(store.commit(admit(1)).await);
    let keys = [0, 481, 65_535, 65_536, 100_000].map(|len| Key::from_bytes(vec![b's'; len]));
    assert_eq!(store.get_many(&keys).await.unwrap().value, [const { None }; 5]);
    let all = || ScanQuery::new(Prefix::from_bytes(Vec::new()));
    let frozen = store.snapshot().await.unwrap();
    for store in [&store as &dyn StateStore, &*frozen] {
        for key in &keys {
            let at = |byte| Key::from_bytes(vec![byte; 1 + key.as_bytes().len()]);
            for (after, reverse, count) in
                [(at(0), false, 2), (at(0), true, 0), (at(255), false, 0), (at(255), true, 2)]
            {
                let mut query = all().after(Some(after));
                query.reverse = reverse;
                assert_eq!(store.scan(query).await.unwrap().value.rows.len(), count);
            }
            let prefix = Prefix::from_bytes(at(254).as_bytes().to_vec());
            assert!(store.scan(ScanQuery::new(prefix)).await.unwrap().value.rows.is_empty());
        }
    }
}

#[tokio::test]
async fn a_place_with_its_scheme_opens_it() {
    let bench = Bench::new();
    let place = format!("fjall:{}", bench.path().display());
    let store = Store::open(&place, Arc::new(bench.clock.clone())).await.expect("a store");
    assert!(matches!(store.commit(admit(1)).await, Ok(Commit::Applied(_))));
    drop(store);
    assert_eq!(steps(&bench.open()).await, BTreeSet::from([1]));
}

#[tokio::test]
async fn time_is_the_stores_own() {
    let bench = Bench::new();
    let store = bench.open();
    bench.clock.advance(Duration::from_secs(9));
    let read = store.get_many(&[]).await.unwrap().as_of;
    bench.clock.set(Timestamp::from_millis(5));
    assert_eq!(applied(store.commit(admit(1)).await).as_of, read);
    assert_eq!(store.get_many(&[Key::system("t").build()]).await.unwrap().as_of, read);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fjall_means_what_memory_means(plan in plans()) {
        let bench = Bench::new();
        compare(&plan, &bench.clock, &|| Arc::new(bench.open()) as SharedStore);
    }
}
