//! Limits: what is at the limit fits, what is over it is refused and changes nothing.

use bytes::Bytes;
use openclaw_core::store::{Guard, Key, MAX_KEY_LEN, Op, Prefix, StateStore};

use super::steps::{apply, group, key, nth, put, row, rows, too_large, txn};

fn long_key(len: usize) -> Key {
    Key::from_bytes(vec![b'k'; len])
}

/// A key of 480 bytes fits everywhere, one of 481 nowhere.
pub async fn a_key_over_480_bytes_is_refused(store: &dyn StateStore) {
    let (fits, over) = (long_key(MAX_KEY_LEN), long_key(MAX_KEY_LEN + 1));
    let version = put(store, &fits, "x").await;
    assert_eq!(row(store, &fits).await.map(|e| e.version), Some(version));
    apply(store, txn().guard(Guard::Exists(fits.clone())).op(Op::delete(fits))).await;

    let mark = key("mark");
    let step = || txn().op(Op::put(mark.clone(), "x"));
    let add = Op::Add { key: over.clone(), delta: 1, bound: None, ttl: None };
    let touch = Op::Touch { key: over.clone(), ttl: None };
    for op in [Op::put(over.clone(), "x"), Op::delete(over.clone()), touch, add] {
        too_large(store, step().op(op), "a key of 481 bytes").await;
    }
    for guard in [Guard::Absent(over.clone()), Guard::Exists(over)] {
        too_large(store, step().guard(guard), "a guarded key of 481 bytes").await;
    }
    assert_eq!(row(store, &mark).await, None, "a refused commit wrote");
}

/// An append fits when the key it makes has at most 480 bytes.
pub async fn an_appended_key_over_480_bytes_is_refused(store: &dyn StateStore) {
    let prefix = |len: usize| Prefix::from_bytes(vec![b'p'; len]);
    let fits = prefix(MAX_KEY_LEN - 10);
    let version = apply(store, txn().op(Op::append(fits.clone(), "x"))).await.version;
    let found = rows(store, &fits).await;
    assert_eq!(found.iter().map(|(k, _)| k).collect::<Vec<_>>(), [&fits.appended(version, 0)]);
    let over = txn().op(Op::append(prefix(MAX_KEY_LEN - 9), "x"));
    too_large(store, over, "a prefix of 471 bytes").await;
}

/// A value of the declared size fits, one byte more is refused.
pub async fn a_value_over_the_limit_is_refused(store: &dyn StateStore) {
    let max = store.capabilities().max_value;
    let (k, log) = (key("value"), group("values"));
    let largest = Bytes::from(vec![7; max]);
    apply(store, txn().op(Op::put(k.clone(), largest.clone()))).await;
    let entry = row(store, &k).await.expect("the row");
    assert!(entry.value == largest, "the largest value came back changed");
    let over = Bytes::from(vec![7; max + 1]);
    too_large(store, txn().op(Op::put(k.clone(), over.clone())), "a value over the limit").await;
    too_large(store, txn().op(Op::append(log.clone(), over)), "an entry over the limit").await;
    assert_eq!(row(store, &k).await.map(|e| e.version), Some(entry.version), "it was replaced");
    assert!(rows(store, &log).await.is_empty());
}

/// A transaction of the declared number of operations fits, one more is refused.
pub async fn a_batch_over_the_limit_is_refused(store: &dyn StateStore) {
    let max = store.capabilities().max_ops as u64;
    let batch =
        |n: u64| (0..n).map(|n| Op::put(nth("ops", n), "x")).fold(txn(), |step, op| step.op(op));
    too_large(store, batch(max + 1), "a batch over the limit").await;
    assert!(rows(store, &group("ops")).await.is_empty(), "a refused batch wrote");
    apply(store, batch(max)).await;
    assert_eq!(rows(store, &group("ops")).await.len() as u64, max);
}

/// An empty value is a row like any other.
pub async fn an_empty_value_is_a_row(store: &dyn StateStore) {
    let k = key("empty");
    put(store, &k, "").await;
    assert_eq!(row(store, &k).await.map(|e| e.value), Some(Bytes::new()));
    apply(store, txn().guard(Guard::Exists(k.clone())).op(Op::put(k, ""))).await;
}

/// Values are bytes: none is changed on its way.
pub async fn values_are_any_bytes(store: &dyn StateStore) {
    let bytes: Bytes = (0..=255_u8).cycle().take(10_000).collect::<Vec<_>>().into();
    let k = key("bytes");
    apply(store, txn().op(Op::put(k.clone(), bytes.clone()))).await;
    let read = row(store, &k).await.expect("the row").value;
    assert!(read == bytes, "{} of {} bytes came back, or others", read.len(), bytes.len());
}

/// Capabilities never change.
pub async fn capabilities_are_facts(store: &dyn StateStore) {
    let before = store.capabilities();
    put(store, &key("x"), "x").await;
    assert_eq!(store.capabilities(), before);
    assert!(before.max_ops > 0 && before.max_value > 0, "a store that takes nothing");
}
