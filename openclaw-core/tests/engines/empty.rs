//! A key without bytes: no row of any engine has it.

use std::sync::Arc;

use openclaw_core::store::{
    Guard, Key, MemoryStore, Op, StateStore, StateStoreExt, StoreError, Txn,
};
use openclaw_testkit::env::{EPOCH, ManualClock};

use crate::steps::{admit, applied};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(EPOCH))
}

/// No commit names it, no read finds it, and the store serves on.
async fn is_refused(store: &dyn StateStore) {
    let empty = || Key::from_bytes(Vec::new());
    let txn = || Txn::new("t");
    let refused = [
        txn().op(Op::put(empty(), "x")),
        txn().op(Op::delete(empty())),
        txn().op(Op::Touch { key: empty(), ttl: None }),
        txn().op(Op::Add { key: empty(), delta: 1, bound: None, ttl: None }),
        txn().guard(Guard::Absent(empty())),
        txn().guard(Guard::Exists(empty())),
    ];
    for txn in refused.clone() {
        let said = store.commit(txn.clone()).await;
        assert!(matches!(said, Err(StoreError::Unsupported(_))), "{txn:?}: {said:?}");
    }
    for said in store.commit_many(refused.to_vec()).await {
        assert!(matches!(said, Err(StoreError::Unsupported(_))), "{said:?}");
    }
    assert_eq!(store.get(&empty()).await, Ok(None));
    applied(store.commit(admit(1)).await);
}

#[tokio::test]
async fn an_empty_key_is_refused_in_memory() {
    is_refused(&MemoryStore::new(clock())).await;
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn an_empty_key_is_refused_by_redb() {
    use openclaw_core::store::RedbStore;
    let disk = openclaw_testkit::disk::FaultDisk::new();
    is_refused(&RedbStore::builder().disk(disk).open("test.redb", clock()).unwrap()).await;
}

#[cfg(feature = "fjall")]
#[tokio::test]
async fn an_empty_key_is_refused_by_fjall() {
    use openclaw_core::store::FjallStore;
    let dir = tempfile::tempdir().unwrap();
    is_refused(&FjallStore::open(dir.path(), clock()).unwrap()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_empty_key_is_refused_by_sqlite() {
    use openclaw_core::store::SqliteStore;
    let dir = tempfile::tempdir().unwrap();
    is_refused(&SqliteStore::open(dir.path().join("state"), clock()).unwrap()).await;
}
