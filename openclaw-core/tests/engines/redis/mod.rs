//! `RedisStore`: what the store contract says, on real servers and over lines that break.

mod cuts;
mod full;
mod kill;
mod laws;
mod merge;
mod model;
mod opening;
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

use ::redis::{aio::MultiplexedConnection, cmd};
use openclaw_core::{
    Clock,
    store::{
        Applied, Commit, Guard, Key, MemoryStore, Op, Prefix, RedisStore, ScanQuery, StateStore,
        StateStoreExt, Store, StoreError, Txn, TxnId,
    },
};
use openclaw_testkit::{
    env::{EPOCH, ManualClock, SeededRng},
    servers::Redis,
};

/// One server for all tests that leave it as it is.
static SERVER: LazyLock<Option<Redis>> = LazyLock::new(|| {
    // A thread of its own: tests are in runtimes already.
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(Redis::builder().start_or_skip())
    };
    std::thread::spawn(start).join().expect("a thread").expect("a server")
});

fn url() -> Option<String> {
    SERVER.as_ref().map(Redis::url)
}

fn fresh_prefix() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("t{}", MADE.fetch_add(1, Ordering::SeqCst))
}

/// A fresh store on the common server.
pub(crate) async fn fresh() -> Option<RedisStore> {
    Some(on(&url()?).await)
}

/// A fresh store on this server.
async fn on(url: &str) -> RedisStore {
    RedisStore::builder().prefix(fresh_prefix()).open(url).await.expect("a store")
}

/// A client without our words, for what only tests do.
async fn raw(url: &str) -> MultiplexedConnection {
    let client = ::redis::Client::open(url).expect("an address");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

/// Runs a command of words.
async fn tell(url: &str, words: &str) {
    let mut words = words.split(' ');
    let mut command = cmd(words.next().expect("a word"));
    for word in words {
        command.arg(word);
    }
    command.exec_async(&mut raw(url).await).await.expect("an answer");
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

/// The steps that are in the store; none of them is half there.
async fn steps(store: &RedisStore) -> BTreeSet<u64> {
    let rows = store.scan_all(Key::system("t").prefix()).await.expect("a scan");
    let lines = store.scan_all(log()).await.expect("a scan");
    let rows: BTreeSet<u64> = rows.iter().map(|(_, row)| number(&row.value)).collect();
    let logged: BTreeSet<u64> = lines.iter().map(|(_, row)| number(&row.value)).collect();
    assert_eq!(lines.len(), logged.len(), "a line is there twice");
    assert_eq!(rows, logged, "a step is half there");
    rows
}

/// Tries until the server serves again; a refusal leaves no trace.
async fn until_served(store: &RedisStore, txn: &Txn) -> Commit {
    for _ in 0..10_000 {
        match store.commit(txn.clone()).await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
            outcome => return outcome.expect("an answer"),
        }
    }
    panic!("the store does not go on");
}

#[tokio::test]
async fn flushed_scripts_are_sent_again() {
    // Of its own: other tests count what is sent.
    let Some(server) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let url = server.url();
    let store = on(&url).await;
    for n in 0..5 {
        tell(&url, "SCRIPT FLUSH").await;
        applied(store.commit(admit(n)).await);
        tell(&url, "SCRIPT FLUSH").await;
        assert!(store.get(&key(n)).await.unwrap().is_some());
        tell(&url, "SCRIPT FLUSH").await;
        assert_eq!(steps(&store).await.len() as u64, n + 1);
    }
    tell(&url, "SCRIPT FLUSH").await;
    let outcomes = store.commit_many((5..300).map(admit).collect()).await;
    outcomes.into_iter().for_each(|outcome| drop(applied(outcome)));
    assert_eq!(steps(&store).await.len(), 300);
}

#[tokio::test]
async fn commits_sent_as_one_have_outcomes_of_their_own_in_order() {
    let Some(store) = fresh().await else { return };
    let too_large = || Txn::new("t").op(Op::put(key(999), vec![0; (4 << 20) + 1]));
    let twice = (0..150).chain(0..150).map(admit);
    let txns = [too_large()].into_iter().chain(twice).chain([too_large()]);
    let outcomes = store.commit_many(txns.collect()).await;
    assert_eq!(outcomes.len(), 302);
    let mut last = None;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match (n, outcome) {
            (1..=150, Ok(Commit::Applied(applied))) => {
                assert!(Some(applied.version) > last, "in order");
                last = Some(applied.version);
            }
            (151..=300, Ok(Commit::Conflict(_)))
            | (0 | 301, Err(StoreError::TooLarge { what: "value", .. })) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(steps(&store).await, (0..150).collect());
    assert!(store.commit_many(Vec::new()).await.is_empty());
}

#[tokio::test]
async fn a_batch_may_be_larger_than_one_script_takes() {
    let Some(store) = fresh().await else { return };
    let put = |n| Txn::new("t").op(Op::put(key(n), vec![7; 3 << 20]));
    let outcomes = store.commit_many((0..5).map(put).collect()).await;
    outcomes.into_iter().for_each(|outcome| drop(applied(outcome)));
    let page = store.scan(ScanQuery::new(Key::system("t").prefix())).await.unwrap().value;
    assert!(page.more && page.rows.len() == 2, "a page of {} large rows", page.rows.len());
    assert_eq!(store.scan_all(Key::system("t").prefix()).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_prefix_share_it() {
    let Some(url) = url() else { return };
    let prefix = fresh_prefix();
    let open = || async {
        RedisStore::builder().prefix(prefix.clone()).open(&url).await.expect("a store")
    };
    let stores = [open().await, open().await];
    assert!(stores[0].capabilities().shared);
    let writers = (0..16_u64).map(|n| {
        let store = stores[usize::try_from(n % 2).unwrap()].clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                loop {
                    let row = store.get(&key(0)).await.unwrap();
                    let (guard, next) = match row {
                        None => (Guard::Absent(key(0)), 1),
                        Some(e) => (Guard::VersionIs(key(0), e.version), number(&e.value) + 1),
                    };
                    let value = next.to_be_bytes().to_vec();
                    let step = Txn::new("t").guard(guard).op(Op::put(key(0), value.clone()));
                    match store.commit(step.op(Op::append(log(), value))).await.unwrap() {
                        Commit::Applied(_) => break,
                        Commit::Conflict(_) => {}
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
    for store in &stores {
        let lines = store.scan_all(log()).await.unwrap();
        let lines: Vec<u64> = lines.iter().map(|(_, row)| number(&row.value)).collect();
        assert_eq!(lines, (1..=320).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_cancelled_commit_is_whole_or_absent() {
    let Some(store) = fresh().await else { return };
    let rng = SeededRng::new(11);
    let mut kept = Vec::new();
    for n in 0..300 {
        let mut commit = store.commit(admit(n));
        for _ in 0..rng.below(4) {
            if let Some(outcome) = poll(&mut commit) {
                commit = Box::pin(std::future::pending());
                applied(outcome);
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        if rng.chance(0.3) {
            // Some are finished: what is asked for again is a conflict by now.
            kept.push(n);
            assert!(store.commit(admit(n)).await.is_ok());
        }
    }
    let there = steps(&store).await;
    assert!(kept.iter().all(|n| there.contains(n)));
}

#[tokio::test]
async fn many_expired_rows_hide_none_and_are_cleared_away() {
    let Some(url) = url() else { return };
    let (clock, prefix) = (ManualClock::new(EPOCH), fresh_prefix());
    let builder = RedisStore::builder().prefix(prefix.clone()).clock(Arc::new(clock.clone()));
    let store = builder.open(&url).await.unwrap();
    let second = Duration::from_secs(1);
    let put = |n| Op::put_for(key(n), "x", second);
    for from in (0..12_800).step_by(128) {
        applied(store.commit(Txn::new("t").ops((from..from + 128).map(put))).await);
    }
    applied(store.commit(Txn::new("t").op(Op::put(key(99_999), "stays"))).await);
    clock.advance(second);
    let query = ScanQuery::new(Key::system("t").prefix());
    let page = store.scan(query.clone().reversed().limit(1.try_into().unwrap())).await.unwrap();
    assert_eq!((page.value.rows.len(), page.value.more), (1, false));
    let page = store.scan(query).await.unwrap().value;
    assert_eq!((&page.rows[0].0, page.rows.len(), page.more), (&key(99_999), 1, false));
    let mut raw = raw(&url).await;
    for (command, name) in [("HLEN", "rows"), ("ZCARD", "index")] {
        let mut count = cmd(command);
        let left: u64 =
            count.arg(format!("{{{prefix}}}:{name}")).query_async(&mut raw).await.unwrap();
        assert_eq!(left, 1, "{name}");
    }
}

#[tokio::test]
async fn commits_clear_expired_rows_away_bit_by_bit() {
    let Some(url) = url() else { return };
    let (clock, prefix) = (ManualClock::new(EPOCH), fresh_prefix());
    let builder = RedisStore::builder().prefix(prefix.clone()).clock(Arc::new(clock.clone()));
    let store = builder.open(&url).await.unwrap();
    let put = |n| Op::put_for(key(n), "x", Duration::from_millis(1 + n));
    applied(store.commit(Txn::new("t").ops((0..100).map(put))).await);
    // Not due any more, or due later: these stay.
    applied(store.commit(Txn::new("t").op(Op::put(key(0), "x"))).await);
    applied(store.commit(Txn::new("t").op(Op::Touch { key: key(1), ttl: None })).await);
    clock.advance(Duration::from_millis(90));
    let mut raw = raw(&url).await;
    let mut left = Vec::new();
    for n in 0..5 {
        applied(store.commit(Txn::new("t").op(Op::put(key(1000 + n), "x"))).await);
        let mut count = cmd("HLEN");
        let rows: u64 =
            count.arg(format!("{{{prefix}}}:rows")).query_async(&mut raw).await.unwrap();
        left.push(rows - n - 1);
    }
    assert_eq!(left, [68, 36, 12, 12, 12], "of 100 rows 88 are due, 32 at a time");
}

#[tokio::test]
async fn a_row_may_live_longer_than_a_double_counts() {
    let Some(store) = fresh().await else { return };
    let ttl = Duration::from_millis((1 << 60) + 1);
    let at = applied(store.commit(Txn::new("t").op(Op::put_for(key(1), "x", ttl))).await).as_of;
    let row = store.get(&key(1)).await.unwrap().unwrap();
    assert_eq!(row.expires_at, Some(at.after(ttl)));
}

#[tokio::test]
async fn the_time_is_the_servers_own() {
    let Some(url) = url() else { return };
    let store = on(&url).await;
    let (seconds, _): (u64, u64) = cmd("TIME").query_async(&mut raw(&url).await).await.unwrap();
    let as_of = store.get_many(&[]).await.unwrap().as_of.as_millis();
    assert!((seconds * 1000..(seconds + 60) * 1000).contains(&as_of), "{as_of}");
}
