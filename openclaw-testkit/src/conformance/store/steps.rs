//! The steps that laws are made of.

use openclaw_core::store::{
    Applied, Commit, Conflict, Entry, Key, Op, Prefix, ScanQuery, StateStore, StateStoreExt,
    StoreError, Txn, Version,
};

/// The row of this name.
pub(super) fn key(name: &str) -> Key {
    Key::system("law").text(name).build()
}

/// The numbered row of a group.
pub(super) fn nth(group: &str, n: u64) -> Key {
    Key::system("law").text(group).number(n).build()
}

/// What all rows of a group begin with.
pub(super) fn group(group: &str) -> Prefix {
    Key::system("law").text(group).prefix()
}

pub(super) fn txn() -> Txn {
    Txn::new("law")
}

/// Commits, and must not lose.
pub(super) async fn apply(store: &dyn StateStore, txn: Txn) -> Applied {
    let said = format!("{txn:?}");
    match store.commit(txn).await {
        Ok(Commit::Applied(applied)) => applied,
        other => panic!("it should have been applied: {said}, but the answer is {other:?}"),
    }
}

/// Commits, and must lose.
pub(super) async fn lose(store: &dyn StateStore, txn: Txn) -> Conflict {
    let said = format!("{txn:?}");
    match store.commit(txn).await {
        Ok(Commit::Conflict(conflict)) => conflict,
        other => panic!("it should have been a conflict: {said}, but the answer is {other:?}"),
    }
}

/// Commits, and must be refused as too large.
pub(super) async fn too_large(store: &dyn StateStore, txn: Txn, what: &str) {
    match store.commit(txn).await {
        Err(StoreError::TooLarge { size, limit, .. }) => {
            assert!(size > limit, "{what}: the answer says {size} of at most {limit}");
        }
        other => panic!("{what} should have been too large, but the answer is {other:?}"),
    }
}

/// Raises the versions of a store.
pub(super) async fn raise(store: &dyn StateStore, least: Version) {
    store.raise(least).await.unwrap_or_else(|e| panic!("it was not raised to {least}: {e}"));
}

/// Writes one row.
pub(super) async fn put(store: &dyn StateStore, key: &Key, value: &str) -> Version {
    apply(store, txn().op(Op::put(key.clone(), value.to_owned()))).await.version
}

/// Reads one row.
pub(super) async fn row(store: &dyn StateStore, key: &Key) -> Option<Entry> {
    store.get(key).await.expect("a read")
}

/// Reads one row's value as text.
pub(super) async fn text(store: &dyn StateStore, key: &Key) -> Option<String> {
    row(store, key).await.map(|entry| shown(&entry))
}

/// Reads every row under a prefix, page by page.
pub(super) async fn rows(store: &dyn StateStore, prefix: &Prefix) -> Vec<(Key, Entry)> {
    let mut rows: Vec<(Key, Entry)> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let query = ScanQuery::new(prefix.clone()).after(after.clone());
        let page = store.scan(query).await.expect("a scan").value;
        let done = !page.more || page.rows.is_empty();
        let first = page.rows.first().map(|(key, _)| key.clone());
        assert!(first.is_none() || first > after, "a page begins with {first:?}, behind {after:?}");
        rows.extend(page.rows);
        if done {
            return rows;
        }
    }
}

/// The values of every row under a prefix, as texts.
pub(super) async fn texts(store: &dyn StateStore, prefix: &Prefix) -> Vec<String> {
    rows(store, prefix).await.iter().map(|(_, entry)| shown(entry)).collect()
}

/// The keys of one page, and whether more may follow.
pub(super) async fn page(store: &dyn StateStore, query: ScanQuery) -> (Vec<Key>, bool) {
    let limit = query.limit.get();
    let page = store.scan(query).await.expect("a scan").value;
    assert!(page.rows.len() <= limit, "{} rows, at most {limit} were asked for", page.rows.len());
    (page.rows.into_iter().map(|(key, _)| key).collect(), page.more)
}

pub(super) fn shown(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.value).into_owned()
}

/// The number in a row of `Add`.
pub(super) fn number(entry: &Entry) -> i64 {
    let bytes: [u8; 8] = entry.value.as_ref().try_into().expect("eight bytes");
    i64::from_be_bytes(bytes)
}
