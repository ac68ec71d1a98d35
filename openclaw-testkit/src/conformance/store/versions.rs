//! Versions: they grow, name one write each, and fence whoever is late.

use std::{collections::BTreeSet, time::Duration};

use openclaw_core::store::{Guard, Op, StateStore, StoreError, Version};

use super::steps::{apply, group, key, lose, put, raise, row, rows, shown, texts, txn};

/// Every write of a row gives it a greater version.
pub async fn versions_grow_with_every_write(store: &dyn StateStore) {
    let k = key("grow");
    let mut last = put(store, &k, "0").await;
    for n in 1..20_u8 {
        let next = put(store, &k, &n.to_string()).await;
        assert!(next > last, "{next} does not follow {last}");
        let entry = row(store, &k).await.expect("the row");
        assert_eq!(entry.version, next, "a read tells the version of the commit");
        last = next;
    }
}

/// Deleting and writing again never brings a version back.
pub async fn a_version_is_never_used_twice(store: &dyn StateStore) {
    let k = key("aba");
    let mut seen = BTreeSet::new();
    let mut first = None;
    for n in 0..10 {
        let version = put(store, &k, "same value").await;
        assert!(seen.insert(version), "{version} was used before");
        assert_eq!(seen.last(), Some(&version), "a later write has a smaller version");
        first.get_or_insert(version);
        let mut delete = txn().op(Op::delete(k.clone()));
        if n % 2 == 0 {
            // Without another write in between, so that a counter in the row would start anew.
            delete = delete.guard(Guard::VersionIs(k.clone(), version));
        }
        apply(store, delete).await;
    }
    put(store, &k, "same value").await;
    let stale = first.expect("ten writes");
    lose(store, txn().guard(Guard::VersionIs(k.clone(), stale)).op(Op::delete(k))).await;
}

/// Deleting and writing again within one commit is a new version too.
pub async fn a_row_replaced_in_one_commit_has_a_new_version(store: &dyn StateStore) {
    let k = key("replaced");
    let before = put(store, &k, "old").await;
    let replace = txn().op(Op::delete(k.clone())).op(Op::put(k.clone(), "new"));
    let applied = apply(store, replace).await;
    let entry = row(store, &k).await.expect("the row");
    assert_eq!((shown(&entry), entry.version), ("new".to_owned(), applied.version));
    assert!(applied.version > before);
}

/// `Touch` keeps version and value, so that a heartbeat keeps the fence.
pub async fn touch_keeps_the_version(store: &dyn StateStore) {
    const HOUR: Duration = Duration::from_secs(3_600);
    let k = key("touched");
    let version = put(store, &k, "lease").await;
    for ttl in [Some(HOUR), Some(HOUR * 2), None] {
        apply(store, txn().op(Op::Touch { key: k.clone(), ttl })).await;
        let entry = row(store, &k).await.expect("the row");
        assert_eq!((entry.version, shown(&entry)), (version, "lease".to_owned()));
        assert_eq!(entry.expires_at.is_some(), ttl.is_some(), "what Touch sets is the expiry");
    }
    apply(store, txn().guard(Guard::VersionIs(k.clone(), version)).op(Op::delete(k))).await;
}

/// `Touch` and `Delete` of a row that is not there do nothing.
pub async fn touch_and_delete_make_no_row(store: &dyn StateStore) {
    let k = key("nothing");
    for op in [Op::Touch { key: k.clone(), ttl: None }, Op::delete(k.clone())] {
        apply(store, txn().op(op)).await;
        assert_eq!(row(store, &k).await, None);
    }
    apply(store, txn().guard(Guard::Absent(k.clone())).op(Op::put(k, "x"))).await;
}

/// All rows that a commit writes have the version it answers.
pub async fn one_commit_has_one_version(store: &dyn StateStore) {
    let (a, b, log) = (key("one"), key("sum"), group("one log"));
    let other = put(store, &key("bystander"), "x").await;
    let write = txn()
        .op(Op::put(a.clone(), "x"))
        .op(Op::Add { key: b.clone(), delta: 1, bound: None, ttl: None })
        .op(Op::append(log.clone(), "x"));
    let applied = apply(store, write).await;
    for k in [&a, &b] {
        assert_eq!(row(store, k).await.expect("the row").version, applied.version);
    }
    let logged = rows(store, &log).await;
    assert_eq!(logged.iter().map(|(_, e)| e.version).collect::<Vec<_>>(), [applied.version]);
    let bystander = row(store, &key("bystander")).await.expect("the row");
    assert_eq!(bystander.version, other, "rows it does not write keep theirs");
}

/// A raised store gives out only versions over the one it was raised to, and keeps its rows.
pub async fn a_raised_store_gives_out_higher_versions(store: &dyn StateStore) {
    let k = key("raised");
    let before = put(store, &k, "before").await;
    for distance in [1, 2, 1_000, 1 << 40] {
        let last = put(store, &key("other"), "x").await;
        let least = Version::new(last.get() + distance);
        raise(store, least).await;
        let entry = row(store, &k).await.expect("the row");
        assert_eq!((entry.version, shown(&entry)), (before, "before".to_owned()));
        let next = put(store, &key("other"), "y").await;
        assert!(next > least, "raised to {least}, {next} was given out");
    }
    lose(store, txn().guard(Guard::VersionIs(key("other"), before)).op(Op::delete(k))).await;
}

/// Rows that another store appended stay in front of what this one appends.
pub async fn a_raised_log_goes_on_behind_its_rows(store: &dyn StateStore) {
    let log = group("moved log");
    let moved = (7..10).map(|n| {
        let key = log.appended(Version::new(n * 1_000), 0);
        Op::put(key, format!("moved {n}"))
    });
    apply(store, moved.fold(txn(), |step, op| step.op(op))).await;
    raise(store, Version::new(9_000)).await;
    apply(store, txn().op(Op::append(log.clone(), "new"))).await;
    assert_eq!(texts(store, &log).await, ["moved 7", "moved 8", "moved 9", "new"]);
}

/// Raising to what was passed long ago changes nothing.
pub async fn a_raise_never_lowers(store: &dyn StateStore) {
    let k = key("high");
    raise(store, Version::new(5_000)).await;
    let first = put(store, &k, "x").await;
    let mut last = first;
    for least in [Version::default(), Version::new(1), first, Version::new(4_999)] {
        raise(store, least).await;
        let next = put(store, &k, "x").await;
        assert!(next > last, "raised to {least}, {next} follows {last}");
        last = next;
    }
}

/// The highest version can be reached, one more is refused and changes nothing.
pub async fn a_raise_over_the_highest_is_refused(store: &dyn StateStore) {
    let k = key("highest");
    for over in [Version::new(Version::HIGHEST.get() + 1), Version::new(u64::MAX)] {
        match store.raise(over).await {
            Err(StoreError::TooLarge { size, limit, .. }) => assert!(size > limit),
            other => panic!("{over} is too high, but the answer is {other:?}"),
        }
    }
    let before = put(store, &k, "x").await;
    assert!(before < Version::HIGHEST, "a refused raise left {before}");
    raise(store, Version::HIGHEST).await;
    let next = put(store, &k, "x").await;
    assert!(next > Version::HIGHEST, "raised to the highest, {next} was given out");
    assert_eq!(row(store, &k).await.expect("the row").version, next);
    let fence = txn().guard(Guard::VersionIs(k.clone(), next)).op(Op::put(k, "y"));
    assert!(apply(store, fence).await.version > next);
}
