//! What a trait costs behind `Arc`: one box a call, that of the implementation itself.

use std::{
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use openclaw_core::{
    Env,
    store::{MemoryStore, SharedStore, StateStore, Txn},
};

/// Allocations of an empty commit.
fn allocs(store: &impl StateStore) -> u64 {
    let counted = allocation_counter::measure(|| {
        let mut commit = pin!(store.commit(Txn::new("nothing")));
        assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
    counted.count_total
}

#[test]
fn a_pointer_to_a_store_costs_no_box_of_its_own() {
    let store = MemoryStore::new(Env::system().clock());
    let alone = allocs(&store);
    assert_eq!(alone, 1, "a future behind a trait is boxed");
    let shared: SharedStore = Arc::new(store);
    assert_eq!(allocs(&shared), alone);
    assert_eq!(allocs(&Arc::new(shared)), alone);
}
