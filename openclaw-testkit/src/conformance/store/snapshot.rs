//! Snapshots: one moment of the store, whole, for as long as it is held.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openclaw_core::{
    Timestamp,
    store::{
        Commit, Entry, Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore, StoreError,
        Version,
    },
};
use tokio::{runtime::Handle, task::yield_now};

use super::steps::{apply, group, key, lose, nth, page, put, row, rows, shown, text, texts, txn};
use crate::{conformance::run::together, env::ManualClock};

const MINUTE: Duration = Duration::from_secs(60);

async fn freeze(store: &dyn StateStore) -> SharedStore {
    store.snapshot().await.unwrap_or_else(|e| panic!("no snapshot: {e}"))
}

/// Fills a group, then changes every row of it in some way once it is frozen.
async fn frozen_and_changed(store: &dyn StateStore, name: &str) -> (SharedStore, Vec<Key>) {
    let keys: Vec<Key> = (0..30).map(|n| nth(name, 2 * n)).collect();
    for k in &keys {
        put(store, k, "before").await;
    }
    let frozen = freeze(store).await;
    for (n, k) in keys.iter().enumerate() {
        match n % 3 {
            0 => apply(store, txn().op(Op::delete(k.clone()))).await,
            1 => apply(store, txn().op(Op::put(k.clone(), "after"))).await,
            _ => apply(store, txn().op(Op::put(nth(name, 2 * n as u64 + 1), "new"))).await,
        };
    }
    (frozen, keys)
}

/// A snapshot sees no commit behind it: no new row, no other value, no delete.
pub async fn a_snapshot_sees_no_later_commit(store: &dyn StateStore) {
    let (frozen, keys) = frozen_and_changed(store, "frozen").await;
    let seen = rows(&*frozen, &group("frozen")).await;
    assert_eq!(seen.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), keys);
    assert!(seen.iter().all(|(_, e)| shown(e) == "before"), "a later value shows");
    for k in &keys {
        assert_eq!(text(&*frozen, k).await.as_deref(), Some("before"), "{k:?}");
    }
    assert_eq!(row(&*frozen, &nth("frozen", 5)).await, None, "a later row shows");
    assert_eq!(row(store, &keys[0]).await, None, "the store itself went on");
    assert_eq!(texts(store, &group("frozen")).await.len(), 30);
}

/// A snapshot shows rows as they are in the store: value, version and expiry.
pub async fn a_snapshot_shows_rows_as_they_were(store: &dyn StateStore) {
    put(store, &key("plain"), "x").await;
    apply(store, txn().op(Op::put_for(key("short"), "y", MINUTE))).await;
    apply(store, txn().op(Op::append(group("lines"), "z"))).await;
    let all = Key::system("law").prefix();
    let there: Vec<(Key, Entry)> = rows(store, &all).await;
    let frozen = freeze(store).await;
    assert_eq!(there.len(), 3);
    assert_eq!(rows(&*frozen, &all).await, there);
}

/// Pages of a snapshot, of any size and in both directions, join to one moment under writers.
pub async fn a_snapshot_is_paged_whole_under_writers(store: &dyn StateStore) {
    for size in [1, 7, 30, 31] {
        let name = format!("paged {size}");
        let (frozen, mut keys) = frozen_and_changed(store, &name).await;
        let all = group(&name);
        let forwards = paged(store, &*frozen, &all, size, false).await;
        assert_eq!(forwards, keys, "pages of {size}");
        keys.reverse();
        let backwards = paged(store, &*frozen, &all, size, true).await;
        assert_eq!(backwards, keys, "pages of {size}, from the end");
    }
}

/// Reads page by page; between two of them the store is written to.
async fn paged(
    store: &dyn StateStore,
    frozen: &dyn StateStore,
    all: &Prefix,
    size: usize,
    reverse: bool,
) -> Vec<Key> {
    let limit = NonZeroUsize::new(size).expect("more than zero");
    let mut found: Vec<Key> = Vec::new();
    loop {
        let mut query = ScanQuery::new(all.clone()).after(found.last().cloned()).limit(limit);
        query.reverse = reverse;
        let (keys, more) = page(frozen, query).await;
        let done = !more || keys.is_empty();
        found.extend(keys);
        assert!(found.len() < 100, "pages of a snapshot never end");
        if done {
            return found;
        }
        apply(store, txn().op(Op::append(all.clone(), "meanwhile"))).await;
    }
}

/// No snapshot shows half of a commit, whatever is written meanwhile.
pub async fn a_snapshot_shows_no_half_of_a_commit(store: &dyn StateStore) {
    pairs(store, 0).await;
    let writer = async {
        for round in 1..40 {
            pairs(store, round).await;
            yield_now().await;
        }
    };
    let readers = together((0..3).map(|_| async {
        for _ in 0..10 {
            is_whole(&*freeze(store).await).await;
            yield_now().await;
        }
    }));
    tokio::join!(writer, readers);
}

/// The same with writers on threads of their own.
pub async fn a_snapshot_shows_no_half_of_a_commit_between_threads(store: Arc<dyn StateStore>) {
    pairs(&*store, 0).await;
    let (written, here) = (Arc::new(AtomicU64::new(0)), Handle::current());
    // The writer ends with its reader, however that ends.
    let (writing, read) = (Arc::clone(&store), Arc::downgrade(&written));
    let writer = tokio::task::spawn_blocking(move || {
        here.block_on(async {
            while let Some(written) = read.upgrade() {
                let round = written.load(Ordering::SeqCst) + 1;
                pairs(&*writing, round).await;
                written.store(round, Ordering::SeqCst);
            }
        });
    });
    for _ in 0..20 {
        let frozen = freeze(&*store).await;
        let before = is_whole(&*frozen).await;
        // One commit may be on its way already; the one behind it is surely later.
        let later = written.load(Ordering::SeqCst) + 2;
        while written.load(Ordering::SeqCst) < later && !writer.is_finished() {
            yield_now().await;
        }
        assert_eq!(is_whole(&*frozen).await, before, "a snapshot has changed");
    }
    drop(written);
    writer.await.expect("a thread");
}

/// Rows far apart that always change together.
async fn pairs(store: &dyn StateStore, round: u64) {
    let puts = (0..6).map(|n| Op::put(nth(&format!("pair {n}"), n), round.to_string()));
    apply(store, puts.fold(txn(), |step, op| step.op(op))).await;
}

/// What all pairs of a snapshot say.
async fn is_whole(frozen: &dyn StateStore) -> String {
    let mut values = Vec::new();
    let mut after = None;
    loop {
        let query = ScanQuery::new(Key::system("law").prefix()).after(after.take());
        let found = frozen.scan(query.limit(NonZeroUsize::MIN)).await.expect("a scan").value;
        let Some((k, entry)) = found.rows.into_iter().next() else { break };
        values.push(shown(&entry));
        after = Some(k);
        yield_now().await;
    }
    let read: Vec<Key> = (0..6).map(|n| nth(&format!("pair {n}"), n)).collect();
    let read = frozen.get_many(&read).await.expect("a read").value;
    values.extend(read.iter().flatten().map(shown));
    assert_eq!(values.len(), 12, "a row is missing");
    values.dedup();
    assert_eq!(values.len(), 1, "a snapshot shows halves of commits");
    values.remove(0)
}

/// A snapshot takes no operation and no raise, and the store is as it was.
pub async fn a_snapshot_takes_nothing(store: &dyn StateStore) {
    let k = key("taken");
    put(store, &k, "x").await;
    let frozen = freeze(store).await;
    let ops = [
        Op::put(k.clone(), "y"),
        Op::delete(k.clone()),
        Op::Touch { key: k.clone(), ttl: Some(MINUTE) },
        Op::append(group("taken"), "y"),
        Op::Add { key: key("sum"), delta: 1, bound: None, ttl: None },
    ];
    for op in ops {
        is_refused(&*frozen, op).await;
    }
    let raised = frozen.raise(Version::new(1)).await;
    assert!(matches!(raised, Err(StoreError::Unsupported(_))), "{raised:?}");
    for here in [store, &*frozen] {
        let all = rows(here, &Key::system("law").prefix()).await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((shown(&all[0].1).as_str(), all[0].1.expires_at), ("x", None));
    }
}

/// Refuses an operation, alone and beside a commit without any.
async fn is_refused(frozen: &dyn StateStore, op: Op) {
    let said = format!("{op:?}");
    let one = frozen.commit(txn().op(op.clone())).await;
    assert!(matches!(one, Err(StoreError::Unsupported(_))), "{said}: {one:?}");
    let many = frozen.commit_many(vec![txn().op(op), txn()]).await;
    assert!(matches!(many[..], [Err(_), Ok(Commit::Applied(_))]), "{said}: {many:?}");
}

/// A snapshot checks guards against its own moment, and tells the highest version behind it.
pub async fn a_snapshot_answers_guards_and_its_highest_version(store: &dyn StateStore) {
    let (k, gone) = (key("guarded"), key("gone"));
    let version = put(store, &k, "x").await;
    put(store, &gone, "x").await;
    let last = apply(store, txn().op(Op::delete(gone.clone()))).await.version;
    let frozen = freeze(store).await;
    let later = put(store, &k, "later").await;
    put(store, &gone, "later").await;
    let held = txn()
        .guard(Guard::VersionIs(k.clone(), version))
        .guard(Guard::Exists(k.clone()))
        .guard(Guard::Absent(gone.clone()));
    let told = apply(&*frozen, held).await.version;
    assert!(told >= last, "{last} was given out, and the snapshot tells {told}");
    assert!(told < later, "the snapshot tells {told}, which is later than its moment");
    let conflict = lose(&*frozen, txn().guard(Guard::VersionIs(k, later))).await;
    assert_eq!(conflict.current.map(|row| row.version), Some(version));
    let conflict = lose(&*frozen, txn().guard(Guard::Exists(gone))).await;
    assert_eq!((conflict.failed, conflict.current), (0, None));
}

/// Several snapshots are several moments, and a snapshot of one is the same moment.
pub async fn each_snapshot_is_a_moment_of_its_own(store: &dyn StateStore) {
    let k = key("moments");
    let mut frozen = Vec::new();
    for n in 0..5 {
        put(store, &k, &n.to_string()).await;
        frozen.push(freeze(store).await);
    }
    put(store, &k, "the last").await;
    for (n, moment) in frozen.iter().enumerate() {
        let again = freeze(&**moment).await;
        for seen in [moment, &again] {
            assert_eq!(text(&**seen, &k).await, Some(n.to_string()));
        }
    }
}

/// Snapshots that are dropped leave nothing behind: any number can be taken, one by one.
pub async fn a_dropped_snapshot_leaves_nothing_behind(store: &dyn StateStore) {
    let k = key("dropped");
    for n in 0..150 {
        put(store, &k, &n.to_string()).await;
        let frozen = freeze(store).await;
        // Dropped behind a read, in the middle of one, and at once.
        match n % 3 {
            0 => assert_eq!(text(&*frozen, &k).await, Some(n.to_string())),
            1 => drop(tokio::time::timeout(Duration::ZERO, row(&*frozen, &k)).await),
            _ => {}
        }
    }
    assert_eq!(text(store, &k).await.as_deref(), Some("149"));
    assert_eq!(text(&*freeze(store).await, &k).await.as_deref(), Some("149"));
}

/// What has expired is not in a snapshot; what expires behind it stays, and its time stands still.
pub async fn time_stands_still_in_a_snapshot(store: &dyn StateStore, clock: &ManualClock) {
    let keys = expiring(store, clock).await;
    let there = rows(store, &Key::system("law").prefix()).await;
    let frozen = freeze(store).await;
    let as_of = frozen.get_many(&[]).await.expect("a read").as_of;
    for _ in 0..3 {
        clock.advance(MINUTE);
        // The store clears away what has expired.
        put(store, &key("sweeps"), "x").await;
        stands_still(&*frozen, &there, as_of).await;
    }
    assert_eq!(row(store, &keys[1]).await, None, "time goes on in the store");
}

/// A row that has expired, and two that will: the keys of these two, in order.
async fn expiring(store: &dyn StateStore, clock: &ManualClock) -> [Key; 2] {
    let (short, long) = (key("short"), key("long"));
    apply(store, txn().op(Op::put_for(key("now"), "x", MINUTE))).await;
    clock.advance(MINUTE);
    apply(store, txn().op(Op::put_for(short.clone(), "x", MINUTE))).await;
    apply(store, txn().op(Op::put_for(long.clone(), "x", 60 * MINUTE))).await;
    [long, short]
}

/// Shows these rows at this time, also to guards, and no others.
async fn stands_still(frozen: &dyn StateStore, there: &[(Key, Entry)], as_of: Timestamp) {
    assert_eq!(there.len(), 2, "what had expired was read");
    assert_eq!(rows(frozen, &Key::system("law").prefix()).await, there);
    assert_eq!(frozen.get_many(&[]).await.expect("a read").as_of, as_of, "time went on");
    for (k, _) in there {
        lose(frozen, txn().guard(Guard::Absent(k.clone()))).await;
    }
}
