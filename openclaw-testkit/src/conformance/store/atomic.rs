//! Atomicity: a commit applies whole or not at all, whoever looks and whenever it is dropped.

use std::{future::poll_fn, task::Poll};

use openclaw_core::store::{Guard, Key, Op, ScanQuery, StateStore};
use tokio::task::yield_now;

use super::{
    super::run::together,
    steps::{apply, group, key, lose, nth, number, put, row, rows, shown, text, texts, txn},
};

/// When the last guard fails, no operation of any kind leaves a trace.
pub async fn a_failing_last_guard_changes_nothing(store: &dyn StateStore) {
    let (old, new, sum, log) = (key("old"), key("new"), key("sum"), group("log"));
    let version = put(store, &old, "old").await;
    let mut step = txn();
    for n in 0..20 {
        step = step.guard(Guard::Absent(nth("missing", n)));
    }
    let step = step
        .guard(Guard::Exists(old.clone()))
        .guard(Guard::Absent(old.clone()))
        .op(Op::put(new.clone(), "new"))
        .op(Op::delete(old.clone()))
        .op(Op::Add { key: sum.clone(), delta: 7, bound: None, ttl: None })
        .op(Op::append(log.clone(), "entry"));
    let conflict = lose(store, step).await;
    assert_eq!(conflict.failed, 21);
    let entry = row(store, &old).await.expect("the old row stays");
    assert_eq!((shown(&entry), entry.version), ("old".to_owned(), version));
    assert_eq!((row(store, &new).await, row(store, &sum).await), (None, None));
    assert!(rows(store, &log).await.is_empty(), "the append was kept");
}

/// The largest transaction that is declared applies whole.
pub async fn a_full_batch_applies_whole(store: &dyn StateStore) {
    let most = store.capabilities().max_ops.min(1_000) as u64;
    let puts = (0..most).map(|n| Op::put(nth("batch", n), n.to_string()));
    let step = puts.fold(txn(), |step, op| step.op(op));
    let version = apply(store, step).await.version;
    let found = rows(store, &group("batch")).await;
    assert_eq!(found.len() as u64, most, "rows of the batch are missing");
    assert!(found.iter().all(|(_, entry)| entry.version == version));
    let deletes = (0..most).map(|n| Op::delete(nth("batch", n)));
    apply(store, deletes.fold(txn(), |step, op| step.op(op))).await;
    assert!(rows(store, &group("batch")).await.is_empty());
}

/// Operations apply in the order in which they stand.
pub async fn operations_apply_in_order(store: &dyn StateStore) {
    let (a, b, c) = (key("a"), key("b"), key("c"));
    let add = |k: &Key, delta| Op::Add { key: k.clone(), delta, bound: None, ttl: None };
    let step = txn()
        .op(Op::put(a.clone(), "first"))
        .op(Op::delete(a.clone()))
        .op(Op::put(b.clone(), "first"))
        .op(Op::put(b.clone(), "second"))
        .op(Op::put(c.clone(), 40_i64.to_be_bytes().to_vec()))
        .op(add(&c, 1))
        .op(add(&c, 1));
    assert_eq!(apply(store, step).await.sums, [41, 42]);
    assert_eq!(row(store, &a).await, None, "deleted behind the put");
    assert_eq!(text(store, &b).await.as_deref(), Some("second"));
    assert_eq!(row(store, &c).await.map(|e| number(&e)), Some(42));
    let anew = txn().op(Op::delete(c.clone())).op(add(&c, 5));
    assert_eq!(apply(store, anew).await.sums, [5], "a deleted number starts at 0");
}

/// Readers never see a part of a commit, by key or by scan.
pub async fn readers_never_see_half_a_commit(store: &dyn StateStore) {
    const ROWS: u64 = 8;
    let keys: Vec<Key> = (0..ROWS).map(|n| nth("half", n)).collect();
    let write = |value: u64| {
        let puts = keys.iter().map(move |k| Op::put(k.clone(), value.to_string()));
        puts.fold(txn(), |step, op| step.op(op))
    };
    apply(store, write(0)).await;
    let (keys, all) = (&keys, group("half"));
    let writers = together((0..3).map(|n| async move {
        for round in 0..20 {
            apply(store, write(n * 100 + round)).await;
            yield_now().await;
        }
    }));
    let readers = together((0..3).map(|_| async {
        for _ in 0..40 {
            let read = store.get_many(keys).await.expect("a read").value;
            let mut versions: Vec<_> = read.iter().flatten().map(|e| e.version).collect();
            assert_eq!(versions.len() as u64, ROWS, "a row was gone for a moment");
            versions.dedup();
            assert_eq!(versions.len(), 1, "get_many saw two commits at once");
            let page = store.scan(ScanQuery::new(all.clone())).await.expect("a scan").value;
            let mut values: Vec<_> = page.rows.iter().map(|(_, e)| shown(e)).collect();
            assert_eq!(values.len() as u64, ROWS, "a row was gone for a moment");
            values.dedup();
            assert_eq!(values.len(), 1, "scan saw two commits at once");
            yield_now().await;
        }
    }));
    tokio::join!(writers, readers);
}

/// A commit whose caller gives up is applied whole or not at all.
pub async fn a_dropped_commit_is_whole_or_nothing(store: &dyn StateStore) {
    for polls in 0..6 {
        let name = format!("dropped {polls}");
        let puts = (0..16).map(|n| Op::put(nth(&name, n), "x"));
        let step = puts.fold(txn(), |step, op| step.op(op));
        let mut commit = Box::pin(store.commit(step));
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx).is_ready())).await;
            if done {
                break;
            }
            yield_now().await;
        }
        drop(commit);
        put(store, &key("behind"), "x").await;
        let kept = texts(store, &group(&name)).await.len();
        assert!(kept == 0 || kept == 16, "{kept} of 16 rows were kept");
    }
}

/// `commit_many` answers in order, and each outcome is its own.
pub async fn commit_many_answers_each_in_order(store: &dyn StateStore) {
    use openclaw_core::store::{Commit, MAX_KEY_LEN, StoreError};
    let (a, b) = (key("a"), key("b"));
    let claim =
        |k: &Key, v: &'static str| txn().guard(Guard::Absent(k.clone())).op(Op::put(k.clone(), v));
    let long = Key::from_bytes(vec![b'x'; MAX_KEY_LEN + 1]);
    let batch = vec![
        claim(&a, "first"),
        claim(&a, "second"),
        txn().op(Op::put(long, "x")),
        claim(&b, "third"),
        txn().guard(Guard::Exists(b.clone())).op(Op::delete(a.clone())),
    ];
    let outcomes = store.commit_many(batch).await;
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(Commit::Applied(_)) => "applied",
            Ok(Commit::Conflict(_)) => "conflict",
            Err(StoreError::TooLarge { .. }) => "too large",
            Err(_) => "error",
        })
        .collect();
    assert_eq!(kinds, ["applied", "conflict", "too large", "applied", "applied"]);
    assert_eq!(row(store, &a).await, None, "the last one saw what those before it did");
    assert_eq!(text(store, &b).await.as_deref(), Some("third"));
    assert!(store.commit_many(Vec::new()).await.is_empty());
}

/// Every commit of a large `commit_many` gets its own answer.
pub async fn commit_many_of_many_loses_none(store: &dyn StateStore) {
    let batch: Vec<_> =
        (0..300).map(|n| txn().op(Op::put(nth("many", n), n.to_string()))).collect();
    let outcomes = store.commit_many(batch).await;
    assert_eq!(outcomes.len(), 300);
    let mut last = None;
    for outcome in outcomes {
        let Ok(openclaw_core::store::Commit::Applied(applied)) = outcome else {
            panic!("it should have been applied: {outcome:?}");
        };
        assert!(last.is_none_or(|last| last != applied.version), "two commits of one version");
        last = Some(applied.version);
    }
    assert_eq!(rows(store, &group("many")).await.len(), 300);
}
