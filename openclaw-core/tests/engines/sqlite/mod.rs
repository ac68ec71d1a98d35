//! `SqliteStore`: what the store contract says, for one process and for several.

mod child;
mod faults;
mod files;
mod kills;
mod laws;
mod log;
mod sharing;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use openclaw_core::{
    Clock, Env,
    store::{
        Applied, Commit, Guard, Key, Op, Prefix, SqliteStore, SqliteStoreBuilder, StateStore,
        StateStoreExt, Store, StoreError, Txn, TxnId,
    },
};
use openclaw_testkit::env::{EPOCH, ManualClock, SeededRng};
use tempfile::TempDir;

/// A file and a clock that the test holds.
struct Bench {
    dir: TempDir,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), clock: ManualClock::new(EPOCH) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state.db")
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn open(&self) -> SqliteStore {
        self.with(SqliteStore::builder())
    }

    fn with(&self, builder: SqliteStoreBuilder) -> SqliteStore {
        builder.open(self.path(), self.clock()).expect("a store")
    }
}

/// A store on this file and on the clock of the box, as every process has it.
fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Env::system().clock()).expect("a store")
}

fn key(n: u64) -> Key {
    Key::system("t").number(n).build()
}

fn log() -> Prefix {
    Key::system("log").prefix()
}

/// One step as the gateway takes it: a guard, a row, a line in the log.
fn admit(n: u64) -> Txn {
    Txn::new("admit")
        .with_id(TxnId::new(n))
        .guard(Guard::Absent(key(n)))
        .op(Op::put(key(n), n.to_be_bytes().to_vec()))
        .op(Op::append(log(), n.to_be_bytes().to_vec()))
}

type Outcome = Result<Commit, StoreError>;

fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

/// Commits side by side; the answers in order.
async fn together(store: &SqliteStore, txns: impl Iterator<Item = Txn>) -> Vec<Outcome> {
    let commit = |txn| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(txn).await })
    };
    let tasks: Vec<_> = txns.map(commit).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("a task"));
    }
    outcomes
}

/// Asks a future once whether it is done.
fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("eight bytes"))
}

/// The steps that are in the store; none of them is half there, and none has another's version.
async fn steps(store: &SqliteStore) -> BTreeSet<u64> {
    let rows = store.scan_all(Key::system("t").prefix()).await.expect("a scan");
    let lines = store.scan_all(log()).await.expect("a scan");
    let rows: BTreeSet<_> = rows.iter().map(|(_, row)| (number(&row.value), row.version)).collect();
    let logged: BTreeSet<_> =
        lines.iter().map(|(_, row)| (number(&row.value), row.version)).collect();
    assert_eq!(lines.len(), logged.len(), "a line is there twice");
    assert_eq!(rows, logged, "a step is half there");
    let versions: BTreeSet<_> = rows.iter().map(|(_, version)| *version).collect();
    assert_eq!(versions.len(), rows.len(), "a version was used twice");
    rows.into_iter().map(|(n, _)| n).collect()
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
async fn an_orderly_close_leaves_one_file() {
    let bench = Bench::new();
    let store = bench.open();
    together(&store, (0..50).map(admit)).await;
    assert_eq!(steps(&store).await.len(), 50);
    drop(store);
    let left: Vec<_> = std::fs::read_dir(bench.dir.path()).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn expired_rows_are_swept_bit_by_bit() {
    let bench = Bench::new();
    let store = bench.open();
    let rows = |n: u64| (0..100).map(move |m| key(1000 * n + m));
    for n in 1..=3 {
        let put = |key| Op::put_for(key, "x", Duration::from_secs(1));
        applied(store.commit(Txn::new("t").ops(rows(n).map(put))).await);
    }
    applied(store.commit(admit(1)).await);
    bench.clock.advance(Duration::from_secs(2));
    for n in 2..20 {
        applied(store.commit(admit(n)).await);
    }
    assert_eq!(steps(&store).await.len(), 19);
    drop(store);
    let conn = rusqlite::Connection::open(bench.path()).unwrap();
    let count = "SELECT count(*) FROM openclaw_rows";
    let left: u64 = conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    assert_eq!(left, 38, "expired rows are still there");
}

#[tokio::test]
async fn commits_sent_as_one_have_outcomes_of_their_own() {
    let bench = Bench::new();
    let store = bench.open();
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_fifty_six_writers_lose_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let count =
        |n| Op::Add { key: Key::system("sum").number(n).build(), delta: 1, bound: None, ttl: None };
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
    let sum = store.get(&Key::system("sum").number(0).build()).await.unwrap().unwrap();
    assert_eq!(number(&sum.value), 1024);
    assert_eq!(steps(&store).await, (1000..2024).collect());
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_not_the_runtime() {
    let bench = Bench::new();
    let store = bench.with(SqliteStore::builder().max_batch(1).readers(1));
    let outcomes = together(&store, (0..256).map(admit)).await;
    outcomes.into_iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(steps(&store).await.len(), 256);
}

#[tokio::test]
async fn a_cancelled_commit_is_whole_or_absent() {
    let bench = Bench::new();
    let store = bench.with(SqliteStore::builder().max_batch(2));
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
async fn a_place_with_its_scheme_opens_it() {
    let bench = Bench::new();
    let place = format!("sqlite:{}", bench.path().display());
    let store = Store::open(&place, bench.clock()).await.expect("a store");
    assert!(store.capabilities().durable && store.capabilities().shared);
    applied(store.commit(admit(1)).await);
    assert_eq!(steps(&bench.open()).await, BTreeSet::from([1]));
}
