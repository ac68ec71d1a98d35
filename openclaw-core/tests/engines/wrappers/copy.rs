//! `StoreCopy`: everything arrives, a cut copy goes on, and what differs is seen.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use openclaw_core::{
    TenantId,
    store::{CopyError, CopyReport, Difference, Entry, Prefix, StateStoreExt, StoreCopy, Version},
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};

use super::*;

fn log() -> Prefix {
    Key::system("log").prefix()
}

fn everything() -> Prefix {
    Prefix::from_bytes("")
}

/// Rows of every kind, and how many there are.
async fn fill(store: &impl StateStore, count: u64) -> u64 {
    for n in 0..count {
        let ttl = (n % 4 == 0).then_some(Duration::from_secs(600 + n));
        let tenant = TenantId::new(format!("tenant {}", n % 3)).expect("a name");
        let row = Key::of(&tenant, "se").number(n).build();
        let step = txn()
            .op(Op::Put { key: row, value: format!("value {n}").into(), ttl })
            .op(Op::append(log(), format!("line {n}")));
        apply(store, step).await;
    }
    let odd = [vec![0xFF; 480], vec![0xFF, 0xFF, 0], vec![0], b"no parts at all".to_vec()];
    for name in odd {
        put(store, &Key::from_bytes(name), "").await;
    }
    apply(store, txn().op(add(&key(1), i64::MIN)).op(Op::put(key(2), "gone"))).await;
    apply(store, txn().op(Op::delete(key(2)))).await;
    2 * count + 5
}

type Rows = BTreeMap<Key, (bytes::Bytes, Option<openclaw_core::Timestamp>)>;

async fn rows(store: &impl StateStore) -> Rows {
    let rows = store.scan_all(everything()).await.expect("a scan");
    rows.into_iter().map(|(key, row)| (key, (row.value, row.expires_at))).collect()
}

async fn versions(store: &impl StateStore) -> Vec<Version> {
    let rows = store.scan_all(everything()).await.expect("a scan");
    rows.into_iter().map(|(_, row)| row.version).collect()
}

fn few() -> NonZeroUsize {
    NonZeroUsize::new(5).expect("five")
}

async fn copied(from: &(impl StateStore + Clone), to: &(impl StateStore + Clone)) -> CopyReport {
    let copy = StoreCopy::new(from.clone(), to.clone()).page(few());
    let report = copy.run().await.expect("a copy");
    assert!(report.is_exact(), "{:?}", report.mismatches);
    report
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn memory_goes_into_redb_and_back_row_by_row() {
    use openclaw_core::store::RedbStore;

    let dir = tempfile::tempdir().expect("a folder");
    let (clock, from) = memory();
    let count = fill(&from, 60).await;
    let path = dir.path().join("state.redb");
    let redb = RedbStore::open(&path, shared(&clock)).expect("a store");
    let there = copied(&from, &redb).await;
    assert_eq!((there.copied, there.rows, there.resumed), (count, count, false));
    drop(redb);

    let redb = crate::redb::open_again(&path, &shared(&clock));
    let back = MemoryStore::new(shared(&clock));
    let report = copied(&redb, &back).await;
    assert_eq!((report.copied, report.digest), (count, there.digest));
    assert_eq!(rows(&back).await, rows(&from).await);
    let highest = versions(&redb).await.into_iter().max().expect("rows");
    assert!(versions(&back).await.into_iter().min().expect("rows") > highest);
}

#[tokio::test]
async fn a_copy_gives_out_only_versions_over_those_of_its_source() {
    let (clock, from) = memory();
    fill(&from, 30).await;
    let gone = put(&from, &key(7), "x").await.version;
    apply(&from, txn().op(Op::delete(key(7)))).await;
    let to = MemoryStore::new(shared(&clock));
    let report = copied(&from, &to).await;
    assert!(report.highest > gone, "versions of deleted rows count too");
    assert!(versions(&to).await.into_iter().min().expect("rows") > gone);
    apply(&to, txn().op(Op::append(log(), "the newest"))).await;
    let (_, last) = to.scan_all(log()).await.expect("a scan").pop().expect("a line");
    assert_eq!(last.value, "the newest");
    let again = put(&to, &key(7), "x").await.version;
    assert!(again > gone);
}

/// Copies with one fault; was it met?
async fn meets(from: &MemoryStore, to: &MemoryStore, plan: &Plan, at: &str) -> bool {
    let faulty = |store: &MemoryStore| FaultStore::new(store.clone(), plan.clone());
    let (from, to) = (faulty(from), faulty(to));
    let run = async { StoreCopy::new(from, to).page(few()).run().await };
    // What hangs is dropped, as by a process that dies.
    let ended = tokio::time::timeout(Duration::from_secs(5), run).await;
    let met = !plan.history().is_empty();
    assert_eq!(met, !matches!(ended, Ok(Ok(_))), "{at}: {ended:?}");
    met
}

/// Did the second run find what the first had left?
fn is_taken_up(again: &Result<CopyReport, CopyError>, count: u64, finished: bool) -> bool {
    match again {
        Ok(report) => report.is_exact() && report.rows == count,
        // The answer to the very last commit was lost: the copy is finished.
        Err(e) => finished && matches!(e, CopyError::NotEmpty(_)),
    }
}

/// Copies with one fault, then without: what a crash at this place leaves is taken up.
async fn cut(op: &str, nth: u64, fault: Fault) -> bool {
    let (clock, from) = memory();
    let count = fill(&from, 20).await;
    let to = MemoryStore::new(shared(&clock));
    let (plan, at) = (Plan::default(), format!("{op} {nth}, {fault:?}"));
    plan.nth(op, nth, fault);
    if !meets(&from, &to, &plan, &at).await {
        return false;
    }
    let finished = rows(&to).await == rows(&from).await;
    let highest = versions(&from).await.into_iter().max().expect("rows");
    let again = StoreCopy::new(from.clone(), to.clone()).page(few()).run().await;
    let taken_up = is_taken_up(&again, count, finished);
    assert!(taken_up, "{at}: {again:?}");
    assert_eq!(rows(&to).await, rows(&from).await, "{at}");
    assert!(put(&to, &key(1), "x").await.version > highest, "{at}");
    true
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_cut_at_any_commit_goes_on() {
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::LoseRequest, Fault::Hang] {
        let mut met = 0;
        while cut("copy", met + 1, fault).await {
            met += 1;
        }
        assert!(met >= 10, "{fault:?} was met {met} times");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_cut_at_any_read_or_raise_goes_on() {
    for op in ["scan", "get", "raise"] {
        for fault in [Fault::Fail, Fault::Hang] {
            let mut met = 0;
            while cut(op, met + 1, fault).await {
                met += 1;
            }
            assert!(met >= 2, "{op} {fault:?} was met {met} times");
        }
    }
}

/// A copy that failed at its sixth commit.
async fn half() -> (ManualClock, MemoryStore, MemoryStore) {
    let (clock, from) = memory();
    fill(&from, 20).await;
    let to = MemoryStore::new(shared(&clock));
    let plan = Plan::default();
    plan.fail_nth("copy", 6);
    let copy = StoreCopy::new(from.clone(), FaultStore::new(to.clone(), plan)).page(few());
    assert!(matches!(copy.run().await, Err(CopyError::Destination(_))));
    (clock, from, to)
}

#[tokio::test]
async fn a_source_that_changed_meanwhile_is_seen() {
    let (_, from, to) = half().await;
    let early: Vec<(Key, Entry)> = from.scan_all(everything()).await.expect("a scan");
    let [changed, removed, kept] = [1, 2, 3].map(|at| early[at].0.clone());
    let new = Key::from_bytes([early[3].0.as_bytes(), &[0]].concat());
    let step = txn()
        .op(Op::put(changed.clone(), "another value"))
        .op(Op::delete(removed.clone()))
        .op(Op::put(new.clone(), "a new row"))
        .op(Op::Touch { key: kept.clone(), ttl: Some(Duration::from_secs(900)) });
    apply(&from, step).await;
    let report = StoreCopy::new(from.clone(), to.clone()).run().await.expect("an end");
    assert!(report.resumed && !report.is_exact());
    let found: Vec<_> = report.mismatches.iter().map(|m| (m.key.clone(), m.difference)).collect();
    let expiry = |key: &Key| early.iter().any(|(k, row)| k == key && row.expires_at.is_some());
    let mut expected = vec![
        (changed.clone(), Difference::Value),
        (removed, Difference::Extra),
        (new, Difference::Missing),
    ];
    if !expiry(&kept) {
        expected.push((kept, Difference::Expiry));
    }
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
    assert_ne!(report.digest, report.digest_there);
    let again = StoreCopy::new(from, to).run().await.expect("an end");
    assert_eq!((again.copied, again.differing), (0, report.differing), "it stays unfinished");
}

#[tokio::test]
async fn many_differences_are_counted_and_some_are_listed() {
    let (_, from, to) = half().await;
    for n in 0..100 {
        put(&from, &Key::from_bytes(vec![0, 0, 0, 0, n]), "new and early").await;
    }
    let report = StoreCopy::new(from, to).run().await.expect("an end");
    assert_eq!((report.differing, report.mismatches.len()), (100, 32));
}

#[tokio::test]
async fn a_destination_with_rows_of_its_own_is_refused_and_left_alone() {
    let (_, from) = memory();
    fill(&from, 10).await;
    let (_, to) = memory();
    put(&to, &key(5), "mine").await;
    let before = (rows(&to).await, versions(&to).await);
    let refused = StoreCopy::new(from.clone(), to.clone()).run().await;
    assert_eq!(refused, Err(CopyError::NotEmpty(key(5))));
    assert_eq!((rows(&to).await, versions(&to).await), before);

    let (_, from, to) = half().await;
    let foreign = Key::from_bytes(vec![0xFF, 0xFE]);
    put(&to, &foreign, "mine").await;
    let refused = StoreCopy::new(from.clone(), to.clone()).run().await;
    assert_eq!(refused, Err(CopyError::NotEmpty(foreign)));

    let (_, next) = memory();
    assert_eq!(StoreCopy::new(to, next.clone()).run().await, Err(CopyError::Unfinished));
    assert!(next.is_empty());
}

#[tokio::test]
async fn a_finished_copy_is_a_store_like_any_other() {
    let (clock, from) = memory();
    fill(&from, 10).await;
    let to = MemoryStore::new(shared(&clock));
    copied(&from, &to).await;
    assert_eq!(rows(&to).await, rows(&from).await, "nothing of the copy is left");
    let again = StoreCopy::new(from, to).run().await;
    assert!(matches!(again, Err(CopyError::NotEmpty(_))));
}

#[tokio::test]
async fn an_empty_store_is_copied_too() {
    let (_, from) = memory();
    let (_, to) = memory();
    let report = copied(&from, &to).await;
    assert_eq!((report.copied, report.rows), (0, 0));
    assert!(to.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_copies_into_one_store_never_mix() {
    let (clock, from) = memory();
    fill(&from, 20).await;
    let to = MemoryStore::new(shared(&clock));
    let plan = Plan::default();
    plan.nth("copy", 4, Fault::Delay(Duration::from_secs(1)));
    let slow = StoreCopy::new(from.clone(), FaultStore::new(to.clone(), plan)).page(few());
    let (slow, fast) = tokio::join!(slow.run(), copied(&from, &to));
    assert_eq!(slow, Err(CopyError::Overtaken));
    assert!(fast.resumed);
    assert_eq!(rows(&to).await, rows(&from).await);
}

#[tokio::test]
async fn a_row_lives_as_long_as_it_had_left_by_each_stores_clock() {
    let (clock, from) = memory();
    for n in 1..4 {
        let ttl = Duration::from_secs(60 * n);
        apply(&from, txn().op(Op::put_for(key(n), "x", ttl))).await;
    }
    put(&from, &key(9), "for ever").await;
    clock.advance(Duration::from_secs(60));
    let there = ManualClock::new(EPOCH.after(Duration::from_secs(1_000_000)));
    let to = MemoryStore::new(shared(&there));
    assert_eq!(copied(&from, &to).await.rows, 3);
    there.advance(Duration::from_millis(59_999));
    assert!(to.get(&key(2)).await.expect("a read").is_some());
    there.advance(Duration::from_millis(1));
    assert!(to.get(&key(2)).await.expect("a read").is_none());
    there.advance(Duration::from_secs(60));
    let left: Vec<Key> = rows(&to).await.into_keys().collect();
    assert_eq!(left, [key(9)]);
}

#[tokio::test]
async fn rows_that_expire_meanwhile_are_no_difference_but_others_are() {
    let (clock, from) = memory();
    for (n, ttl) in [(0, 3), (1, 90), (2, 900)] {
        let key = Key::from_bytes(vec![0, 0, 0, 0, n]);
        apply(&from, txn().op(Op::put_for(key, "x", Duration::from_secs(ttl)))).await;
    }
    fill(&from, 20).await;
    let there = ManualClock::new(EPOCH);
    let to = MemoryStore::new(shared(&there));
    let plan = Plan::default();
    plan.fail_nth("copy", 6);
    let copy = StoreCopy::new(from.clone(), FaultStore::new(to.clone(), plan)).page(few());
    assert!(copy.run().await.is_err());
    clock.advance(Duration::from_secs(100));
    let report = StoreCopy::new(from, to).run().await.expect("an end");
    let differ: Vec<_> = report.mismatches.iter().map(|m| (m.key.clone(), m.difference)).collect();
    assert_eq!(differ, [(Key::from_bytes(vec![0, 0, 0, 0, 1]), Difference::Extra)]);
}

#[tokio::test]
async fn large_rows_travel_and_too_large_ones_are_refused() {
    let (_, from) = memory();
    let max = from.capabilities().max_value;
    for n in 0..3 {
        put(&from, &key(n), vec![7; max]).await;
    }
    for n in 10..40 {
        put(&from, &key(n), vec![8; 200_000]).await;
    }
    let (_, to) = memory();
    assert_eq!(copied(&from, &to).await.rows, 33);
}

#[cfg(feature = "sealed")]
#[tokio::test]
async fn a_copy_seals_and_opens_on_its_way() {
    use openclaw_core::store::SealedStore;

    use super::sealed::ring;

    let (clock, from) = memory();
    let count = fill(&from, 20).await;
    let below = MemoryStore::new(shared(&clock));
    let sealed = SealedStore::new(below.clone(), ring());
    assert_eq!(copied(&from, &sealed).await.rows, count);
    assert_ne!(rows(&below).await, rows(&from).await);
    let opened = MemoryStore::new(shared(&clock));
    copied(&sealed, &opened).await;
    assert_eq!(rows(&opened).await, rows(&from).await);
    // Sealed bytes move as they are, too: each stays bound to its row.
    let moved = MemoryStore::new(shared(&clock));
    copied(&below, &moved).await;
    let moved = SealedStore::new(moved, ring());
    assert_eq!(rows(&moved).await, rows(&from).await);

    put(&from, &key(3), vec![7; from.capabilities().max_value]).await;
    let sealed = SealedStore::new(MemoryStore::new(shared(&clock)), ring());
    let refused = StoreCopy::new(from, sealed).run().await;
    assert!(
        matches!(refused, Err(CopyError::Destination(StoreError::TooLarge { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_destination_that_can_not_be_raised_is_refused_before_anything_is_written() {
    let (_, from) = memory();
    fill(&from, 5).await;
    let (_, below) = memory();
    let tenant = TenantId::new("acme").expect("a name");
    // A tenant's view can't hold a whole store, and says so at once.
    let to = openclaw_core::store::TenantStore::new(below.clone(), tenant);
    let refused = StoreCopy::new(from, to).run().await;
    assert!(matches!(refused, Err(CopyError::Destination(StoreError::Forbidden(_)))));
    assert!(below.is_empty());
}

#[tokio::test]
async fn an_error_says_which_side_it_is_of() {
    let (_, from) = memory();
    let plan = Plan::default();
    plan.fail("scan");
    let source = FaultStore::new(from.clone(), plan.clone());
    let (_, to) = memory();
    let said = |e: CopyError| e.to_string();
    let first = StoreCopy::new(source.clone(), to.clone()).run().await.map_err(said);
    assert!(first.expect_err("a fault").starts_with("the source of the copy: "));
    let second = StoreCopy::new(from.clone(), source).run().await.map_err(said);
    assert!(second.expect_err("a fault").starts_with("the destination of the copy: "));
}
