//! What stands around a store: sealed values, one tenant's rows, counts, and the way to another.

mod copy;
mod laws;
mod metered;
#[cfg(feature = "sealed")]
mod sealed;
mod tenant;

use std::sync::Arc;

use openclaw_core::{
    Clock,
    store::{Applied, Commit, Key, MemoryStore, Op, StateStore, StoreError, Txn},
};
use openclaw_testkit::env::{EPOCH, ManualClock};

/// A clock that the test holds, and a store in memory on it.
fn memory() -> (ManualClock, MemoryStore) {
    let clock = ManualClock::new(EPOCH);
    let store = MemoryStore::new(shared(&clock));
    (clock, store)
}

fn shared(clock: &ManualClock) -> Arc<dyn Clock> {
    Arc::new(clock.clone())
}

fn key(n: u64) -> Key {
    Key::system("t").number(n).build()
}

fn txn() -> Txn {
    Txn::new("test")
}

fn add(key: &Key, delta: i64) -> Op {
    Op::Add { key: key.clone(), delta, bound: None, ttl: None }
}

async fn apply(store: &impl StateStore, txn: Txn) -> Applied {
    match store.commit(txn).await {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

fn applied(outcome: &Result<Commit, StoreError>) -> &Applied {
    match outcome {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

async fn put(store: &impl StateStore, key: &Key, value: impl Into<bytes::Bytes>) -> Applied {
    apply(store, txn().op(Op::put(key.clone(), value))).await
}
