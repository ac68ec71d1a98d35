//! Reopening: what a durable store has kept when it is opened again.

use std::time::Duration;

use openclaw_core::{
    Clock,
    store::{Guard, Op, StateStore, Version},
};

use super::{
    StoreHarness,
    steps::{apply, group, key, lose, nth, put, raise, row, rows, text, texts, txn},
};
use crate::env::ManualClock;

const MINUTE: Duration = Duration::from_secs(60);

async fn reopen(harness: &dyn StoreHarness, store: Box<dyn StateStore>) -> Box<dyn StateStore> {
    harness.reopen(store).await.expect("a durable store that opens again")
}

/// Every row is there again, with its value, version and expiry.
pub async fn a_reopened_store_has_every_row(harness: &dyn StoreHarness) {
    let store = harness.fresh().await;
    for n in 0..200 {
        let op = if n % 2 == 0 {
            Op::put(nth("kept", n), n.to_string())
        } else {
            Op::put_for(nth("kept", n), n.to_string(), MINUTE * 60)
        };
        apply(&*store, txn().op(op).op(Op::append(group("log"), n.to_string()))).await;
    }
    apply(&*store, txn().op(Op::delete(nth("kept", 7)))).await;
    let before = (rows(&*store, &group("kept")).await, rows(&*store, &group("log")).await);
    assert_eq!((before.0.len(), before.1.len()), (199, 200));
    let store = reopen(harness, store).await;
    let after = (rows(&*store, &group("kept")).await, rows(&*store, &group("log")).await);
    assert_eq!(after, before);
}

/// Versions go on behind all that were ever given, those of deleted rows too.
pub async fn versions_go_on_after_a_reopening(harness: &dyn StoreHarness) {
    let mut store = harness.fresh().await;
    let (k, gone) = (key("row"), key("gone"));
    let mut last = put(&*store, &k, "x").await;
    let stale = put(&*store, &gone, "x").await;
    for _ in 0..5 {
        apply(&*store, txn().op(Op::delete(gone.clone()))).await;
        store = reopen(harness, store).await;
        let next = put(&*store, &k, "x").await;
        let again = put(&*store, &gone, "x").await;
        assert!(next > last && again > stale, "a version came back after a reopening");
        lose(&*store, txn().guard(Guard::VersionIs(gone.clone(), stale))).await;
        last = next;
    }
}

/// A log goes on at its end.
pub async fn a_log_goes_on_after_a_reopening(harness: &dyn StoreHarness) {
    let mut store = harness.fresh().await;
    let log = group("log");
    for n in 0..10 {
        apply(&*store, txn().op(Op::append(log.clone(), n.to_string()))).await;
        if n % 3 == 0 {
            store = reopen(harness, store).await;
        }
    }
    let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(texts(&*store, &log).await, expected);
}

/// A raised store stays raised, also when nothing was written since.
pub async fn a_raise_outlives_a_reopening(harness: &dyn StoreHarness) {
    let mut store = harness.fresh().await;
    let k = key("row");
    put(&*store, &k, "x").await;
    for least in [1_000, 1 << 33].map(Version::new) {
        raise(&*store, least).await;
        store = reopen(harness, store).await;
        let next = put(&*store, &k, "x").await;
        assert!(next > least, "raised to {least} and opened again, {next} was given out");
    }
}

/// No time passes backwards over a reopening, and no expired row comes back.
pub async fn time_goes_on_after_a_reopening(harness: &dyn StoreHarness, clock: &ManualClock) {
    let store = harness.fresh().await;
    let (began, k) = (clock.now(), key("short"));
    apply(&*store, txn().op(Op::put_for(k.clone(), "x", MINUTE))).await;
    apply(&*store, txn().op(Op::put_for(key("long"), "x", MINUTE * 3))).await;
    clock.advance(MINUTE * 2);
    let last = apply(&*store, txn().op(Op::put(key("other"), "x"))).await.as_of;
    clock.set(began);
    let store = reopen(harness, store).await;
    assert_eq!(row(&*store, &k).await, None, "an expired row came back");
    assert_eq!(text(&*store, &key("long")).await.as_deref(), Some("x"));
    let now = apply(&*store, txn().op(Op::put(key("other"), "x"))).await.as_of;
    assert!(now >= last, "the store's time went back from {last} to {now}");
    clock.set(began.after(MINUTE * 3));
    assert_eq!(row(&*store, &key("long")).await, None, "its time was forgotten");
}
