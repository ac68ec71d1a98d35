//! `Add`: sums without a race, within bounds.

use openclaw_core::store::{Commit, Guard, Key, Op, StateStore};
use tokio::task::yield_now;

use super::{
    super::run::together,
    steps::{apply, key, lose, number, put, row, text, txn},
};

fn add(k: &Key, delta: i64) -> Op {
    Op::Add { key: k.clone(), delta, bound: None, ttl: None }
}

fn bounded(k: &Key, delta: i64, low: i64, high: i64) -> Op {
    Op::Add { key: k.clone(), delta, bound: Some(low..=high), ttl: None }
}

async fn value(store: &dyn StateStore, k: &Key) -> Option<i64> {
    row(store, k).await.map(|entry| number(&entry))
}

/// Adds start at 0, may go below it, and answer their sums in order.
pub async fn adds_sum_up_from_zero(store: &dyn StateStore) {
    let (a, b) = (key("a"), key("b"));
    assert_eq!(apply(store, txn().op(add(&a, 5))).await.sums, [5]);
    let step = txn().op(add(&a, -7)).op(add(&b, 1)).op(add(&a, 3));
    assert_eq!(apply(store, step).await.sums, [-2, 1, 1]);
    assert_eq!((value(store, &a).await, value(store, &b).await), (Some(1), Some(1)));
    assert!(apply(store, txn().op(Op::put(a, "x"))).await.sums.is_empty());
}

/// A sum outside its bound is a conflict that names the operation, and nothing applies.
pub async fn a_sum_outside_its_bound_is_a_conflict(store: &dyn StateStore) {
    let (k, other) = (key("bound"), key("other"));
    apply(store, txn().op(bounded(&k, 10, 0, 10))).await;
    let over = txn()
        .guard(Guard::Exists(k.clone()))
        .op(Op::put(other.clone(), "x"))
        .op(bounded(&k, 1, 0, 10));
    let conflict = lose(store, over).await;
    assert_eq!(conflict.failed, 2, "one guard, one operation, then this one");
    assert_eq!(conflict.current.map(|e| number(&e)), Some(10), "the row as it is");
    assert_eq!(row(store, &other).await, None, "an earlier operation was kept");
    lose(store, txn().op(bounded(&k, -11, 0, 10))).await;
    assert_eq!(apply(store, txn().op(bounded(&k, -10, 0, 10))).await.sums, [0]);
    let fresh = lose(store, txn().op(bounded(&other, 1, 5, 9))).await;
    assert_eq!((fresh.failed, fresh.current), (0, None), "an absent row is 0");
}

/// An add to a row that is no number, or beyond the numbers, is a conflict.
pub async fn an_add_that_makes_no_number_is_a_conflict(store: &dyn StateStore) {
    let (word, most) = (key("word"), key("most"));
    put(store, &word, "words").await;
    lose(store, txn().op(add(&word, 1))).await;
    assert_eq!(text(store, &word).await.as_deref(), Some("words"));
    assert_eq!(apply(store, txn().op(add(&most, i64::MAX))).await.sums, [i64::MAX]);
    lose(store, txn().op(add(&most, 1))).await;
    assert_eq!(value(store, &most).await, Some(i64::MAX));
    let least = key("least");
    assert_eq!(apply(store, txn().op(add(&least, i64::MIN))).await.sums, [i64::MIN]);
    lose(store, txn().op(add(&least, -1))).await;
}

/// Adds from many tasks lose nothing, and never pass their bound.
pub async fn adds_from_many_lose_nothing(store: &dyn StateStore) {
    let (sum, tokens) = (key("sum"), key("tokens"));
    let (sum, tokens) = (&sum, &tokens);
    let won = together((0..12).map(|_| async move {
        let mut won = 0;
        for _ in 0..20 {
            apply(store, txn().op(add(sum, 3))).await;
            let take = store.commit(txn().op(bounded(tokens, 1, 0, 100))).await;
            won += u64::from(matches!(take.expect("a commit"), Commit::Applied(_)));
            yield_now().await;
        }
        won
    }))
    .await;
    assert_eq!(value(store, sum).await, Some(12 * 20 * 3), "adds were lost");
    assert_eq!(won.iter().sum::<u64>(), 100, "more were let through than the bound allows");
    assert_eq!(value(store, tokens).await, Some(100));
}
