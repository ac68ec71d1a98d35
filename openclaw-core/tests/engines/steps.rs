//! One step as the gateway takes it, and what must be seen of it afterwards.

use std::{
    collections::BTreeSet,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use openclaw_core::store::{
    Applied, Commit, Guard, Key, Op, Prefix, StateStore, StateStoreExt, StoreError, Txn, TxnId,
};

pub(crate) type Outcome = Result<Commit, StoreError>;

pub(crate) fn key(n: u64) -> Key {
    Key::system("t").number(n).build()
}

pub(crate) fn log() -> Prefix {
    Key::system("log").prefix()
}

/// A guard, a row, a line in the log.
pub(crate) fn admit(n: u64) -> Txn {
    Txn::new("admit")
        .with_id(TxnId::new(n))
        .guard(Guard::Absent(key(n)))
        .op(Op::put(key(n), n.to_be_bytes().to_vec()))
        .op(Op::append(log(), n.to_be_bytes().to_vec()))
}

pub(crate) fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

pub(crate) fn lost(outcome: Outcome) -> usize {
    match outcome {
        Ok(Commit::Conflict(conflict)) => conflict.failed,
        other => panic!("no conflict: {other:?}"),
    }
}

/// Commits side by side; the answers in order.
pub(crate) async fn together<S: StateStore + Clone>(
    store: &S,
    txns: impl Iterator<Item = Txn>,
) -> Vec<Outcome> {
    let commit = |txn| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(txn).await })
    };
    let tasks: Vec<_> = txns.map(commit).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("a task"));
    }
    outcomes
}

/// Asks a future once whether it is done.
pub(crate) fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

pub(crate) fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.get(..8).and_then(|n| n.try_into().ok()).expect("eight bytes"))
}

/// The steps that are in the store; none of them is half there.
pub(crate) async fn steps(store: &dyn StateStore) -> BTreeSet<u64> {
    let rows = store.scan_all(Key::system("t").prefix()).await.expect("a scan");
    let lines = store.scan_all(log()).await.expect("a scan");
    let rows: BTreeSet<u64> = rows.iter().map(|(_, row)| number(&row.value)).collect();
    let logged: BTreeSet<u64> = lines.iter().map(|(_, row)| number(&row.value)).collect();
    assert_eq!(lines.len(), logged.len(), "a line is there twice");
    assert_eq!(rows, logged, "a step is half there");
    rows
}
