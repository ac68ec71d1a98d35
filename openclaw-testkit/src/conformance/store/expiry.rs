//! Expiry: an expired row is absent, never early, and stays absent.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_core::{
    Clock,
    store::{Guard, Key, Op, ScanQuery, StateStore},
};

use super::steps::{apply, group, key, lose, nth, page, put, row, rows, text, texts, txn};
use crate::env::ManualClock;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn put_for(store: &dyn StateStore, k: &Key, ttl: Duration) {
    apply(store, txn().op(Op::put_for(k.clone(), "x", ttl))).await;
}

/// A row lives until its instant, and not one millisecond less or more.
pub async fn a_row_lives_until_its_instant(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("lives");
    let applied = apply(store, txn().op(Op::put_for(k.clone(), "x", MINUTE))).await;
    let entry = row(store, &k).await.expect("the row");
    assert_eq!(entry.expires_at, Some(applied.as_of.after(MINUTE)));
    clock.advance(MINUTE - MS);
    assert!(row(store, &k).await.is_some(), "it expired early");
    clock.advance(MS);
    assert_eq!(row(store, &k).await, None, "it outlived its instant");
}

/// An expired row is absent for reads, scans and counts of a page.
pub async fn an_expired_row_is_not_read(store: &dyn StateStore, clock: &ManualClock) {
    for n in 0..30 {
        let k = nth("mixed", n);
        if n % 3 == 0 {
            put(store, &k, "stays").await;
        } else {
            put_for(store, &k, MINUTE).await;
        }
    }
    clock.advance(MINUTE);
    let all = group("mixed");
    assert_eq!(texts(store, &all).await, ["stays"; 10]);
    let four = NonZeroUsize::new(4).expect("four");
    let stay: Vec<Key> = (0..10).map(|n| nth("mixed", n * 3)).collect();
    let (first, more) = page(store, ScanQuery::new(all.clone()).limit(four)).await;
    assert_eq!((first.as_slice(), more), (&stay[..4], true), "expired rows filled the page");
    let last = page(store, ScanQuery::new(all.clone()).limit(four).reversed()).await.0;
    assert_eq!(last, stay[6..].iter().rev().cloned().collect::<Vec<_>>());
    let read = store.get_many(&[nth("mixed", 1), nth("mixed", 3)]).await.expect("a read").value;
    assert!(read[0].is_none() && read[1].is_some());
}

/// An expired row is absent for guards: `Absent` wins, the others lose.
pub async fn an_expired_row_is_absent_for_guards(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("guarded");
    let version = apply(store, txn().op(Op::put_for(k.clone(), "x", MINUTE))).await.version;
    lose(store, txn().guard(Guard::Absent(k.clone()))).await;
    clock.advance(MINUTE);
    let conflict = lose(store, txn().guard(Guard::Exists(k.clone()))).await;
    assert_eq!(conflict.current, None, "a conflict shows what is gone");
    lose(store, txn().guard(Guard::VersionIs(k.clone(), version))).await;
    let claim = txn().guard(Guard::Absent(k.clone())).op(Op::put(k.clone(), "next"));
    let next = apply(store, claim).await.version;
    assert!(next > version, "the version of an expired row came back");
    assert_eq!(text(store, &k).await.as_deref(), Some("next"));
}

/// An expired row is absent for operations: no touch revives it, an add starts at 0.
pub async fn an_expired_row_is_absent_for_operations(store: &dyn StateStore, clock: &ManualClock) {
    let (k, sum) = (key("touched"), key("sum"));
    let add = Op::Add { key: sum.clone(), delta: 5, bound: Some(0..=9), ttl: Some(MINUTE) };
    put_for(store, &k, MINUTE).await;
    apply(store, txn().op(add.clone())).await;
    clock.advance(MINUTE);
    apply(store, txn().op(Op::Touch { key: k.clone(), ttl: None })).await;
    assert_eq!(row(store, &k).await, None, "a touch revived it");
    assert_eq!(apply(store, txn().op(add)).await.sums, [5], "it added to what is gone");
}

/// `Touch` counts from now, and without a time it makes a row stay.
pub async fn touch_sets_the_time_from_now(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("lease");
    put_for(store, &k, MINUTE).await;
    for _ in 0..5 {
        clock.advance(MINUTE / 2);
        apply(store, txn().op(Op::Touch { key: k.clone(), ttl: Some(MINUTE) })).await;
    }
    clock.advance(MINUTE - MS);
    assert!(row(store, &k).await.is_some(), "the last touch did not count");
    put_for(store, &k, MINUTE).await;
    apply(store, txn().op(Op::Touch { key: k.clone(), ttl: Some(MS * 2) })).await;
    clock.advance(MS * 2);
    assert_eq!(row(store, &k).await, None, "a touch may shorten, too");
    put_for(store, &k, MINUTE).await;
    apply(store, txn().op(Op::Touch { key: k.clone(), ttl: None })).await;
    clock.advance(MINUTE * 1_000_000);
    assert!(row(store, &k).await.is_some_and(|e| e.expires_at.is_none()));
}

/// A new write decides the time anew; the old one is forgotten.
pub async fn a_write_forgets_the_old_expiry(store: &dyn StateStore, clock: &ManualClock) {
    let (a, b, log) = (key("a"), key("b"), group("log"));
    put_for(store, &a, MINUTE).await;
    put(store, &a, "for ever").await;
    put_for(store, &b, MINUTE).await;
    apply(store, txn().op(Op::delete(b.clone())).op(Op::put(b.clone(), "for ever"))).await;
    let entry = |ttl| Op::Append { prefix: log.clone(), value: "x".into(), ttl };
    apply(store, txn().op(entry(Some(MINUTE))).op(entry(None))).await;
    clock.advance(MINUTE * 2);
    // Enough commits that any sweep of expired rows has passed by.
    for n in 0..50 {
        put(store, &nth("sweep", n), "x").await;
    }
    for k in [&a, &b] {
        assert_eq!(text(store, k).await.as_deref(), Some("for ever"), "{k:?}");
    }
    assert_eq!(rows(store, &log).await.len(), 1, "each append has its own time");
}

/// The longest time there is means for ever.
pub async fn the_longest_time_is_for_ever(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("long");
    put_for(store, &k, Duration::MAX).await;
    clock.advance(Duration::from_secs(1_000 * 365 * 24 * 3_600));
    put(store, &key("other"), "x").await;
    assert!(row(store, &k).await.is_some(), "the time wrapped around");
}

/// A time of zero is over at once.
pub async fn no_time_is_over_at_once(store: &dyn StateStore) {
    let k = key("zero");
    put_for(store, &k, Duration::ZERO).await;
    assert_eq!(row(store, &k).await, None);
    apply(store, txn().guard(Guard::Absent(k))).await;
}

/// Every answer carries the store's time, which follows the clock and never goes back.
pub async fn the_time_of_a_store_never_goes_back(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("time");
    let ask = || async {
        let read = store.get_many(std::slice::from_ref(&k)).await.expect("a read").as_of;
        let scanned = store.scan(ScanQuery::new(group("time"))).await.expect("a scan").as_of;
        let applied = apply(store, txn().op(Op::put(k.clone(), "x"))).await.as_of;
        [read, scanned, applied]
    };
    let began = clock.now();
    assert_eq!(ask().await, [began; 3], "it does not show the clock that it was given");
    clock.advance(MINUTE);
    let later = began.after(MINUTE);
    assert_eq!(ask().await, [later; 3], "it does not follow its clock");
    clock.set(began);
    assert_eq!(ask().await, [later; 3], "it went back with its clock");
    clock.set(later.after(MS));
    assert_eq!(ask().await, [later.after(MS); 3]);
}

/// A row that has expired stays absent, even when the clock steps back.
pub async fn an_expired_row_never_comes_back(store: &dyn StateStore, clock: &ManualClock) {
    let k = key("back");
    let began = clock.now();
    put_for(store, &k, MINUTE).await;
    clock.advance(MINUTE);
    assert_eq!(row(store, &k).await, None);
    clock.set(began);
    assert_eq!(row(store, &k).await, None, "it came back with the clock");
    apply(store, txn().guard(Guard::Absent(k))).await;
}
