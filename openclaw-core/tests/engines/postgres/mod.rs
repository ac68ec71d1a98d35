//! `PostgresStore`: what the store contract says, on private servers that are broken on purpose.

mod cuts;
mod laws;
mod outages;
mod refusals;
mod several;
mod snapshots;
#[cfg(feature = "tls")]
mod tls;

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use openclaw_core::{
    Clock,
    store::{
        Applied, Commit, Guard, Key, Op, PostgresStore, PostgresStoreBuilder, Prefix, ScanQuery,
        StateStore, StateStoreExt, StoreError, Txn, TxnId, Version,
    },
};
use openclaw_testkit::{env::ManualClock, servers::Postgres};

/// One server for all tests that leave it alone; `None` where there is no Postgres.
static SERVER: LazyLock<Option<Postgres>> = LazyLock::new(|| {
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let server = Postgres::builder().setting("max_connections", "200").start_or_skip();
        runtime.expect("a runtime").block_on(server).expect("a server")
    };
    std::thread::spawn(start).join().expect("a server")
});

type Outcome = Result<Commit, StoreError>;

/// The address of a schema that nobody used yet; `None` where there is no Postgres.
pub(crate) fn fresh() -> Option<String> {
    let server = SERVER.as_ref()?;
    Some(format!("{}?schema={}", server.url(), fresh_schema()))
}

fn fresh_schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("s{}", MADE.fetch_add(1, Ordering::SeqCst))
}

async fn open(address: &str) -> PostgresStore {
    PostgresStore::open(address).await.expect("a store")
}

/// A session of our own, beside the store.
async fn session(address: &str) -> tokio_postgres::Client {
    let address = address.split('?').next().expect("an address");
    let connected = tokio_postgres::connect(address, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("a session");
    drop(tokio::spawn(connection));
    client
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

fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().expect("eight bytes"))
}

/// Asks a future once whether it is done.
fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// The steps that are in the store; none of them is half there.
async fn steps(store: &PostgresStore) -> BTreeSet<u64> {
    let rows = store.scan_all(Key::system("t").prefix()).await.expect("a scan");
    let lines = store.scan_all(log()).await.expect("a scan");
    let rows: BTreeSet<u64> = rows.iter().map(|(_, row)| number(&row.value)).collect();
    let logged: BTreeSet<u64> = lines.iter().map(|(_, row)| number(&row.value)).collect();
    assert_eq!(lines.len(), logged.len(), "a line is there twice");
    assert_eq!(rows, logged, "a step is half there");
    rows
}

/// Commits side by side; the answers in order.
async fn together(store: &PostgresStore, txns: impl Iterator<Item = Txn>) -> Vec<Outcome> {
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

fn builder() -> PostgresStoreBuilder {
    PostgresStore::builder()
}

#[tokio::test]
async fn an_address_opens_the_store_and_a_restart_keeps_it() {
    let Some(address) = fresh() else { return };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let store = openclaw_core::store::Store::open(&address, Arc::clone(&clock)).await.unwrap();
    assert!(store.capabilities().durable && store.capabilities().shared);
    let first = applied(store.commit(admit(1)).await);
    drop(store);
    let store = open(&address).await;
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
    let second = applied(store.commit(admit(2)).await);
    assert!(second.version > first.version, "a version was used twice");
    assert!(second.as_of >= first.as_of, "time went back");
    assert!(second.as_of > clock.now(), "a server tells the time itself");
}

#[tokio::test]
async fn commits_sent_as_one_share_a_commit_and_have_outcomes_of_their_own() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    let session = session(&address).await;
    let written = async || -> i64 {
        let count = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
        session.query_one(count, &[]).await.unwrap().get(0)
    };
    let before = written().await;
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
    // Other tests write at the same time, but not as many as one for each commit.
    assert!(written().await - before < 64, "not one batch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_fifty_six_writers_lose_nothing() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
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
async fn dropping_the_last_handle_writes_what_is_queued() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
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
    assert_eq!(steps(&open(&address).await).await, (0..100).collect());
}

#[tokio::test]
async fn a_cancelled_commit_is_whole_or_absent() {
    let Some(address) = fresh() else { return };
    let store = builder().max_batch(2).open(&address).await.unwrap();
    for n in 0..100 {
        let mut commit = store.commit(admit(n));
        for _ in 0..n % 3 {
            if poll(&mut commit).is_some() {
                commit = Box::pin(std::future::pending());
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
    }
    assert!(store.commit(admit(0)).await.is_ok());
    drop(steps(&store).await);
}

#[tokio::test]
async fn a_touch_keeps_the_bytes_of_its_row_where_they_are() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    let minute = Duration::from_secs(60);
    applied(store.commit(Txn::new("t").op(Op::put_for(key(1), "x", minute))).await);
    let before = store.get(&key(1)).await.unwrap().unwrap();
    applied(store.commit(Txn::new("t").op(Op::Touch { key: key(1), ttl: None })).await);
    let after = store.get(&key(1)).await.unwrap().unwrap();
    assert_eq!((after.version, &after.value), (before.version, &before.value));
    assert_eq!(after.expires_at, None);
}

#[tokio::test]
async fn expired_rows_are_cleared_away_bit_by_bit() {
    let Some(address) = fresh() else { return };
    let clock = ManualClock::default();
    let store = builder().clock(Arc::new(clock.clone())).open(&address).await.unwrap();
    let second = Duration::from_secs(1);
    let put = |n| Txn::new("t").op(Op::put_for(key(n), "x", second));
    store.commit_many((0..200).map(put).collect()).await.into_iter().for_each(|o| drop(applied(o)));
    clock.advance(2 * second);
    let session = session(&address).await;
    let schema = address.rsplit('=').next().unwrap();
    let count = format!("SELECT count(*) FROM {schema}.openclaw_rows");
    let left = async || session.query_one(&count, &[]).await.unwrap().get::<_, i64>(0);
    let mut last = left().await;
    assert_eq!(last, 200);
    for n in 1000..1500 {
        applied(store.commit(Txn::new("t").op(Op::put(key(9999), n.to_string()))).await);
        let now = left().await;
        assert!(last - now <= 40, "{} rows in one commit", last - now);
        last = now;
        if now == 1 {
            return;
        }
        if now == 201 {
            // The writer looks for expired rows once a second.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    panic!("{last} rows are left");
}
