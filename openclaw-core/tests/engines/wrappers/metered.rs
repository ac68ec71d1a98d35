//! `MeteredStore`: every call is counted once, under how it ended.

use std::time::Duration;

use openclaw_core::store::{
    Guard, MeteredStore, ScanQuery, StateStoreExt, StoreOutcome, TxnId, Version,
};
use openclaw_testkit::fault::{Fault, FaultStore, Plan};

use super::*;

fn metered() -> (Plan, MeteredStore<FaultStore<MemoryStore>>) {
    let plan = Plan::default();
    let (_, below) = memory();
    (plan.clone(), MeteredStore::new(FaultStore::new(below, plan)))
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_counted_under_its_own_name() {
    let (plan, store) = metered();
    let step = || txn().with_id(TxnId::new(7)).op(Op::put(key(1), "value"));
    apply(&store, step()).await;
    drop(store.commit(step().guard(Guard::Absent(key(1)))).await);
    plan.fail_next("commit", 1);
    assert!(store.commit(step()).await.is_err());
    plan.next("commit", 1, Fault::LoseAnswer);
    assert!(store.commit(step()).await.is_err());
    plan.heal();
    let too_large = Key::from_bytes(vec![0; 481]);
    assert!(store.commit(txn().op(Op::put(too_large, "x"))).await.is_err());
    let commits = store.metrics().commit;
    for outcome in [
        StoreOutcome::Applied,
        StoreOutcome::Conflict,
        StoreOutcome::Unavailable,
        StoreOutcome::OutcomeUnknown,
        StoreOutcome::TooLarge,
    ] {
        assert_eq!(commits.count(outcome), 1, "{outcome:?}");
    }
    assert_eq!((commits.calls, commits.running, commits.abandoned), (5, 0, 0));
    assert_eq!(commits.outcomes.len(), 5);
}

#[tokio::test]
async fn bytes_and_rows_are_those_that_were_applied_and_read() {
    let (_, store) = metered();
    let len = key(1).as_bytes().len() as u64;
    apply(&store, txn().op(Op::put(key(1), "12345")).op(add(&key(2), 1))).await;
    drop(store.commit(txn().guard(Guard::Exists(key(9))).op(Op::put(key(3), "lost"))).await);
    let metrics = store.metrics();
    assert_eq!((metrics.ops, metrics.bytes_written), (2, 2 * len + 5 + 8));
    assert_eq!((metrics.rows_read, metrics.bytes_read), (0, 0));
    drop(store.get_many(&[key(1), key(7)]).await);
    drop(store.scan_all(Key::system("t").prefix()).await);
    let metrics = store.metrics();
    assert_eq!((metrics.rows_read, metrics.bytes_read), (3, 3 * len + 5 + 5 + 8));
    assert_eq!(metrics.get_many.count(StoreOutcome::Answered), 1);
    assert_eq!(metrics.scan.count(StoreOutcome::Answered), 1);
}

#[tokio::test]
async fn a_batch_is_one_call_with_an_outcome_for_each_transaction() {
    let (_, store) = metered();
    let batch = (0..10).map(|n| {
        let step = txn().op(Op::put(key(n), "x"));
        if n % 2 == 0 { step } else { step.guard(Guard::Exists(key(99))) }
    });
    store.commit_many(batch.collect()).await;
    store.raise(Version::new(100)).await.expect("a raise");
    let metrics = store.metrics();
    assert_eq!((metrics.commit_many.calls, metrics.commit.calls, metrics.raise.calls), (1, 0, 1));
    assert_eq!(metrics.commit_many.count(StoreOutcome::Applied), 5);
    assert_eq!(metrics.commit_many.count(StoreOutcome::Conflict), 5);
    assert_eq!(metrics.ops, 5);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_seen_running_then_in_its_bucket() {
    let (plan, store) = metered();
    plan.delay("read", Duration::from_millis(70));
    let reading = tokio::spawn({
        let store = store.clone();
        async move { store.get(&key(1)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!((store.metrics().get_many.running, store.metrics().get_many.calls), (1, 1));
    reading.await.expect("a task").expect("a read");
    let metrics = store.metrics().get_many;
    let latencies = metrics.outcomes[&StoreOutcome::Answered];
    assert_eq!((metrics.running, latencies.count), (0, 1));
    assert_eq!(latencies.within(0.5), latencies.max);
    assert!((70..80).contains(&latencies.max.as_millis()), "{latencies:?}");
    assert!(tokio::time::timeout(Duration::from_millis(5), store.get(&key(1))).await.is_err());
    let metrics = store.metrics().get_many;
    assert_eq!((metrics.calls, metrics.running, metrics.abandoned), (2, 0, 1));
}

#[tokio::test]
async fn clones_share_the_counts_and_the_store_itself_is_not_counted() {
    let (_, store) = metered();
    drop(store.clone().scan(ScanQuery::new(Key::system("t").prefix())).await);
    drop(store.get_ref().get_many(&[]).await);
    let metrics = store.metrics();
    assert_eq!((metrics.scan.calls, metrics.get_many.calls), (1, 0));
}
