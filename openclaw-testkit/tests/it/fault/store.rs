//! A store's faults, seen by a second reader of the same rows.

use std::sync::{Arc, Mutex};

use openclaw_core::store::{
    Commit, Entry, Guard, Key, MemoryStore, Op, Page, ScanQuery, Snapshot, StateStore,
    StateStoreExt, StoreCapabilities, StoreError, Txn, TxnId,
};
use openclaw_testkit::{
    env::test_env,
    fault::{Fault, FaultStore, Plan},
    trace::{Event, Trace},
};

use super::{MINUTE, after, hangs, injected, once};

fn key() -> Key {
    Key::system("fault").text("row").build()
}

fn put() -> Txn {
    Txn::new("note").with_id(TxnId::new(7)).op(Op::put(key(), "x"))
}

/// The rows, and the store over them that meets the plan.
fn stores(plan: &Plan) -> (MemoryStore, FaultStore<MemoryStore>) {
    let rows = MemoryStore::new(test_env(1).clock());
    (rows.clone(), FaultStore::new(rows, plan.clone()))
}

async fn is_there(rows: &MemoryStore) -> bool {
    rows.get(&key()).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_was_not_applied_and_says_so() {
    let plan = once("note", Fault::Fail);
    let (rows, store) = stores(&plan);
    assert!(matches!(store.commit(put()).await, Err(StoreError::Unavailable(_))));
    assert!(!is_there(&rows).await);
    injected(&plan, Fault::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_commit_that_nobody_knows_of() {
    let plan = once("note", Fault::LoseAnswer);
    let (rows, store) = stores(&plan);
    assert_eq!(store.commit(put()).await.unwrap_err(), StoreError::OutcomeUnknown(TxnId::new(7)));
    assert!(is_there(&rows).await);
    injected(&plan, Fault::LoseAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_no_commit_and_nobody_knows() {
    let plan = once("note", Fault::LoseRequest);
    let (rows, store) = stores(&plan);
    assert_eq!(store.commit(put()).await.unwrap_err(), StoreError::OutcomeUnknown(TxnId::new(7)));
    assert!(!is_there(&rows).await);
    injected(&plan, Fault::LoseRequest);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_commit_is_applied_later() {
    let plan = once("note", Fault::Delay(MINUTE));
    let (rows, store) = stores(&plan);
    after(MINUTE, store.commit(put())).await.unwrap();
    assert!(is_there(&rows).await);
    injected(&plan, Fault::Delay(MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_hangs_is_never_applied() {
    let plan = once("note", Fault::Hang);
    let (rows, store) = stores(&plan);
    hangs(store.commit(put())).await;
    assert!(!is_there(&rows).await);
    assert!(plan.power().is_on(), "the process lives");
    injected(&plan, Fault::Hang);
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_a_commit_whole_or_out() {
    for (fault, applied) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let plan = once("note", fault);
        let (rows, store) = stores(&plan);
        hangs(store.commit(put())).await;
        assert!(!plan.power().is_on());
        assert_eq!(is_there(&rows).await, applied, "{fault:?}");
        injected(&plan, fault);
        hangs(store.get(&key())).await;
        plan.heal();
        hangs(store.commit(put())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_reaches_what_was_on_its_way() {
    let plan = once("note", Fault::Delay(MINUTE));
    let (rows, store) = stores(&plan);
    let power = plan.power().clone();
    tokio::spawn(async move {
        tokio::time::sleep(MINUTE / 2).await;
        power.cut();
    });
    hangs(store.commit(put())).await;
    assert!(!is_there(&rows).await);
}

#[tokio::test(start_paused = true)]
async fn reads_fail_alone_or_together() {
    let plan = Plan::default();
    let (_, store) = stores(&plan);
    plan.fail_next("get", 1);
    assert!(store.scan(ScanQuery::new(Key::system("fault").prefix())).await.is_ok());
    assert!(matches!(store.get(&key()).await, Err(StoreError::Unavailable(_))));
    plan.fail("scan");
    assert!(store.get(&key()).await.is_ok());
    assert!(store.scan(ScanQuery::new(Key::system("fault").prefix())).await.is_err());
    plan.heal();
    plan.fail("read");
    assert!(store.get(&key()).await.is_err());
    assert!(store.scan(ScanQuery::new(Key::system("fault").prefix())).await.is_err());
    assert!(store.commit(put()).await.is_ok(), "a commit is no read");
    plan.heal();
    plan.every("read", Fault::LoseAnswer);
    assert!(store.get(&key()).await.is_ok(), "a read has no effect whose answer could be lost");
}

#[tokio::test(start_paused = true)]
async fn each_commit_of_a_batch_meets_its_own_fault() {
    let plan = Plan::default();
    plan.fail_nth("note", 2);
    let (_, store) = stores(&plan);
    let outcomes = store.commit_many(vec![put(), put(), put()]).await;
    let applied: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(applied, [true, false, true]);
}

/// Rows that know how large each batch was.
#[derive(Clone, Debug)]
struct Batches(MemoryStore, Arc<Mutex<Vec<usize>>>);

#[async_trait::async_trait]
impl StateStore for Batches {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.0.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.0.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.1.lock().unwrap().push(1);
        self.0.commit(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.1.lock().unwrap().push(txns.len());
        self.0.commit_many(txns).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_meets_no_rule_stays_one_batch() {
    let (plan, trace) = (Plan::default(), Trace::default());
    let rows = Batches(MemoryStore::new(test_env(1).clock()), Arc::default());
    let store = FaultStore::new(rows.clone(), plan.clone()).traced(trace.clone());
    let outcomes = store.commit_many(vec![put(), put()]).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((store.applied(), trace.commits()), (2, vec!["note"; 2]));
    plan.fail("other");
    store.commit_many(vec![put(), put()]).await;
    assert_eq!(*rows.1.lock().unwrap(), [2, 1, 1]);
    plan.power().cut();
    hangs(store.commit_many(vec![put()])).await;
}

#[tokio::test(start_paused = true)]
async fn a_traced_store_writes_down_what_was_applied_and_what_was_lost() {
    let plan = Plan::default();
    let (_, store) = stores(&plan);
    let trace = Trace::default();
    let store = store.traced(trace.clone());
    let first = put().guard(Guard::Absent(key()));
    store.commit(first.clone()).await.unwrap();
    assert!(matches!(store.commit(first).await, Ok(Commit::Conflict(_))));
    plan.fail_next("note", 1);
    store.commit(put()).await.unwrap_err();
    assert_eq!((trace.commits(), store.applied()), (vec!["note"], 1));
    assert!(matches!(
        trace.events()[..],
        [Event::Commit { .. }, Event::Conflict { label: "note" }]
    ));
}
