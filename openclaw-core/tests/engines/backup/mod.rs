//! Backups: taken of every engine while it is in use, and put into every other one.

mod file;
#[cfg(all(feature = "redb", unix))]
mod kill;
mod restore;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Clock, Timestamp,
    store::{
        Backup, BackupFile, BackupSummary, Commit, Key, MemoryStore, Op, Prefix, ScanQuery,
        SharedStore, StateStore, StateStoreExt, StoreCopy, Txn, Version,
    },
};
use openclaw_testkit::env::{EPOCH, ManualClock};
use tokio::{sync::Semaphore, task::JoinHandle};

fn key(n: u64) -> Key {
    Key::system("t").number(n).build()
}

fn txn() -> Txn {
    Txn::new("test")
}

fn everything() -> Prefix {
    Prefix::from_bytes("")
}

async fn apply(store: &dyn StateStore, txn: Txn) -> Version {
    match store.commit(txn).await {
        Ok(Commit::Applied(applied)) => applied.version,
        other => panic!("not applied: {other:?}"),
    }
}

fn memory() -> (Arc<dyn Clock>, MemoryStore) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(EPOCH));
    (Arc::clone(&clock), MemoryStore::new(clock))
}

/// Rows of every kind.
async fn fill(store: &dyn StateStore, count: u64) {
    for n in 0..count {
        let ttl = (n % 4 == 0).then_some(Duration::from_secs(600 + n));
        let put = Op::Put { key: key(n), value: format!("value {n}").into(), ttl };
        apply(store, txn().op(put).op(Op::append(Key::system("log").prefix(), "line"))).await;
    }
    for name in [vec![0xFF; 480], vec![0], b"no parts at all".to_vec()] {
        apply(store, txn().op(Op::put(Key::from_bytes(name), ""))).await;
    }
    let gone = key(count + 1);
    apply(store, txn().op(Op::put(gone.clone(), "gone"))).await;
    apply(store, txn().op(Op::delete(gone))).await;
}

type Rows = BTreeMap<Key, (bytes::Bytes, Option<Timestamp>)>;

async fn rows(store: &dyn StateStore) -> Rows {
    let rows = store.scan_all(everything()).await.expect("a scan");
    rows.into_iter().map(|(key, row)| (key, (row.value, row.expires_at))).collect()
}

/// A backup in memory.
async fn taken(store: &(impl StateStore + Clone)) -> (Vec<u8>, BackupSummary) {
    let mut bytes = Vec::new();
    let summary = Backup::new(store.clone()).write(&mut bytes).await.expect("a backup");
    (bytes, summary)
}

fn read(bytes: Vec<u8>, clock: &Arc<dyn Clock>) -> BackupFile {
    BackupFile::read(std::io::Cursor::new(bytes), Arc::clone(clock)).expect("a backup")
}

/// One fresh store of every engine there is, by its name.
async fn engines(folder: &Path) -> Vec<(&'static str, SharedStore)> {
    let clock = openclaw_core::Env::system().clock();
    let mut made: Vec<(&'static str, SharedStore)> =
        vec![("memory", Arc::new(MemoryStore::new(Arc::clone(&clock))))];
    let places = ["redb", "fjall", "sqlite"];
    for scheme in places {
        let place = format!("{scheme}:{}", folder.join(scheme).display());
        // An engine whose feature is off is not there.
        if let Ok(store) = openclaw_core::store::Store::open(&place, Arc::clone(&clock)).await {
            made.push((scheme, store));
        }
    }
    #[cfg(feature = "postgres")]
    if let Some(url) = crate::postgres::fresh() {
        let store = openclaw_core::store::PostgresStore::open(&url).await.expect("a store");
        made.push(("postgres", Arc::new(store)));
    }
    #[cfg(feature = "redis")]
    if let Some(store) = crate::redis::fresh().await {
        made.push(("redis", Arc::new(store)));
    }
    made
}

/// Writers that always change these rows together, until they are told to stop.
///
/// It returns once each of them has written.
async fn writers(store: &SharedStore, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let wrote = Arc::new(Semaphore::new(0));
    let write = |writer: u64| {
        let (store, stop, wrote) = (Arc::clone(store), Arc::clone(stop), Arc::clone(&wrote));
        tokio::spawn(async move {
            for round in 1_u64.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let puts = (0..8).map(|n| Op::put(key(1000 * n + writer), round.to_string()));
                apply(&*store, puts.fold(txn(), Txn::op)).await;
                // Rows that come and go, always about as many.
                let passing = |round: u64| key(100_000 + 10 * (round % 200) + writer);
                apply(&*store, txn().op(Op::put(passing(round), "new"))).await;
                apply(&*store, txn().op(Op::delete(passing(round + 100)))).await;
                if round == 1 {
                    wrote.add_permits(1);
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writing = (0..3).map(write).collect();
    wrote.acquire_many(3).await.expect("three writers").forget();
    writing
}

/// The rows that were there before anybody wrote.
const BEFORE: std::ops::Range<u64> = 50_000..50_600;

/// Rows that always change together are equal, and what was there before is there.
async fn is_whole(name: &str, store: &dyn StateStore) {
    let before: Vec<Key> = BEFORE.map(key).collect();
    for keys in before.chunks(100) {
        let found = store.get_many(keys).await.expect("a read").value;
        assert!(found.iter().all(Option::is_some), "{name}: rows of before are gone");
    }
    for writer in 0..3 {
        let keys: Vec<Key> = (0..8).map(|n| key(1000 * n + writer)).collect();
        let found = store.get_many(&keys).await.expect("a read").value;
        let mut values: Vec<_> = found.into_iter().map(|row| row.map(|row| row.value)).collect();
        values.dedup();
        assert_eq!(values.len(), 1, "{name}: half a commit: {values:?}");
        assert!(values[0].is_some(), "{name}: nothing of writer {writer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_is_backed_up_while_it_is_written_to_and_goes_into_every_other() {
    let clock = openclaw_core::Env::system().clock();
    let folder = tempfile::tempdir().expect("a folder");
    for (name, store) in engines(&folder.path().join("from").made()).await {
        let rows_before: Vec<Op> = BEFORE.map(|n| Op::put(key(n), "x".repeat(600))).collect();
        for some in rows_before.chunks(100) {
            apply(&*store, txn().ops(some.iter().cloned())).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writing = writers(&store, &stop).await;
        let path = folder.path().join(format!("{name}.backup"));
        let summary = Backup::new(Arc::clone(&store)).save(&path).await.expect(name);
        let frozen = store.snapshot().await.expect(name);
        let online = MemoryStore::new(Arc::clone(&clock));
        let report = StoreCopy::new(Arc::clone(&frozen), online.clone()).run().await.expect(name);
        stop.store(true, Ordering::SeqCst);
        for writer in writing {
            writer.await.expect(name);
        }
        assert!(report.is_exact(), "{name}: {report:?}");
        is_whole(name, &online).await;
        drop(frozen);

        let file = BackupFile::open(&path, Arc::clone(&clock)).expect(name);
        assert_eq!((*file.summary()).clone(), summary, "{name}");
        is_whole(name, &file).await;
        let expected = rows(&file).await;
        assert_eq!(expected.len() as u64, summary.rows, "{name}");
        let apart = folder.path().join(format!("{name} into")).made();
        for (into, there) in engines(&apart).await {
            let report = StoreCopy::new(file.clone(), Arc::clone(&there)).run().await;
            assert!(report.expect(into).is_exact(), "{name} into {into}");
            assert_eq!(rows(&*there).await, expected, "{name} into {into}");
            let next = apply(&*there, txn().op(Op::put(key(1), "later"))).await;
            assert!(next > summary.version, "{name} into {into}: a version comes again");
        }
    }
}

/// A folder that is there.
trait Made {
    fn made(self) -> std::path::PathBuf;
}

impl Made for std::path::PathBuf {
    fn made(self) -> std::path::PathBuf {
        std::fs::create_dir_all(&self).expect("a folder");
        self
    }
}

#[tokio::test]
async fn a_backup_reads_like_the_store_it_was_taken_of() {
    let (clock, store) = memory();
    fill(&store, 5000).await;
    let (bytes, summary) = taken(&store).await;
    let file = read(bytes, &clock);
    assert_eq!(rows(&file).await, rows(&store).await);
    assert_eq!(summary.as_of, EPOCH);
    let all: Vec<_> = store.scan_all(everything()).await.expect("a scan");
    assert_eq!(file.scan_all(everything()).await.expect("a scan"), all, "versions, too");
    for (nth, after) in [(0, 0), (7, 4000), (4999, 2), (9000, 11)] {
        for reverse in [false, true] {
            let prefix = if nth % 2 == 0 { everything() } else { Key::system("t").prefix() };
            let mut query = ScanQuery::new(prefix).after(Some(all[after].0.clone()));
            query.reverse = reverse;
            query.limit = NonZeroUsize::new(nth + 1).expect("some");
            let (here, there) = (store.scan(query.clone()).await, file.scan(query.clone()).await);
            let (here, there) = (here.expect("a page").value, there.expect("a page").value);
            assert_eq!((there.rows, there.more), (here.rows, here.more), "{query:?}");
        }
    }
    let keys: Vec<Key> = (4990..5010).map(key).collect();
    let (here, there) = (store.get_many(&keys).await, file.get_many(&keys).await);
    assert_eq!(there.expect("a read").value, here.expect("a read").value);
}
