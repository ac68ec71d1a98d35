//! Appends: ordered logs without a counter.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use openclaw_core::store::{Key, Op, Prefix, StateStore, Version};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, yield_now},
};

use super::{
    super::run::together,
    steps::{apply, group, put, rows, shown, texts, txn},
};

/// The n-th append of a commit has the key prefix, version, n: of all its appends together.
pub async fn appended_keys_are_prefix_version_and_place(store: &dyn StateStore) {
    let (a, b) = (group("log a"), group("log b"));
    let step = txn()
        .op(Op::append(a.clone(), "0"))
        .op(Op::put(super::steps::key("between"), "x"))
        .op(Op::append(b.clone(), "1"))
        .op(Op::append(a.clone(), "2"));
    let version = apply(store, step).await.version;
    let found = |rows: Vec<(Key, openclaw_core::store::Entry)>| -> Vec<(Key, String)> {
        rows.into_iter().map(|(key, entry)| (key, shown(&entry))).collect()
    };
    let expected = [(a.appended(version, 0), "0".into()), (a.appended(version, 2), "2".into())];
    assert_eq!(found(rows(store, &a).await), expected);
    assert_eq!(found(rows(store, &b).await), [(b.appended(version, 1), "1".into())]);
}

/// A log is read in the order in which its commits were answered.
pub async fn a_log_is_in_the_order_of_its_commits(store: &dyn StateStore) {
    let log = group("order");
    let mut expected = Vec::new();
    let mut last = Version::default();
    for n in 0..300 {
        let version = apply(store, txn().op(Op::append(log.clone(), n.to_string()))).await.version;
        assert!(version > last, "{version} does not follow {last}");
        last = version;
        expected.push(n.to_string());
        if n % 7 == 0 {
            put(store, &super::steps::key("other"), "x").await;
        }
    }
    assert_eq!(texts(store, &log).await, expected);
}

/// A reader who has seen a row of a log never finds a smaller one later.
pub async fn a_log_grows_only_at_its_end(store: &dyn StateStore) {
    let (log, over) = (group("grows"), AtomicBool::new(false));
    let writers = async {
        together((0..8).map(|n| write(store, &log, n, 20))).await;
        over.store(true, Ordering::SeqCst);
    };
    let is_over = || over.load(Ordering::SeqCst);
    let readers = together((0..3).map(|_| follow(store, &log, is_over)));
    let ((), seen) = tokio::join!(writers, readers);
    assert_eq!(seen, [8 * 20; 3], "rows that were seen in the end");
}

/// The same while the writers are threads.
pub async fn a_log_grows_only_at_its_end_between_threads(store: Arc<dyn StateStore>) {
    let log = group("threads");
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let (store, log, here) = (Arc::clone(&store), log.clone(), Handle::current());
            tokio::task::spawn_blocking(move || here.block_on(write(&*store, &log, n, 50)))
        })
        .collect();
    let is_over = || writers.iter().all(JoinHandle::is_finished);
    let seen = follow(&*store, &log, is_over).await;
    for writer in writers {
        writer.await.expect("a thread");
    }
    assert_eq!(seen, 4 * 50, "rows that were seen in the end");
}

async fn write(store: &dyn StateStore, log: &Prefix, writer: u64, times: u64) {
    for n in 0..times {
        let entry = format!("{writer}.{n}");
        apply(store, txn().op(Op::append(log.clone(), entry))).await;
        yield_now().await;
    }
}

/// Reads a log while it grows; what was seen must stay where it was.
async fn follow(store: &dyn StateStore, log: &Prefix, is_over: impl Fn() -> bool) -> usize {
    let mut seen: Vec<Key> = Vec::new();
    loop {
        // Asked first, so that the last look comes behind the last write.
        let last = is_over();
        let now: Vec<Key> = rows(store, log).await.into_iter().map(|(key, _)| key).collect();
        assert_eq!(now.get(..seen.len()), Some(&seen[..]), "a row came in before the end");
        seen = now;
        if last {
            return seen.len();
        }
        yield_now().await;
    }
}
