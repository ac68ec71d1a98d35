//! `TenantStore`: hostile names never reach the store below.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use openclaw_core::{
    Error, ErrorKind, TenantId,
    store::{
        Entry, Guard, Page, Prefix, ScanQuery, Snapshot, StateStoreExt, StoreCapabilities,
        TenantStore, Version,
    },
};

use super::*;

/// Counts what reaches the store below.
#[derive(Debug)]
struct Heard(MemoryStore, AtomicU64);

impl Heard {
    fn note(&self) -> &MemoryStore {
        self.1.fetch_add(1, Ordering::SeqCst);
        &self.0
    }
}

#[async_trait]
impl StateStore for Heard {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.note().get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.note().scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.note().commit(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        if !txns.is_empty() {
            self.note();
        }
        self.0.commit_many(txns).await
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.note().raise(least).await
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a name")
}

/// Acme's view of a store, that counts what reaches it.
fn acme() -> (MemoryStore, Arc<Heard>, TenantStore<Arc<Heard>>) {
    let (_, below) = memory();
    let heard = Arc::new(Heard(below.clone(), AtomicU64::new(0)));
    (below, Arc::clone(&heard), TenantStore::new(heard, tenant("acme")))
}

/// Names that are not acme's, some of them by a hair.
fn hostile() -> Vec<Vec<u8>> {
    let own = Key::all_of(&tenant("acme")).as_bytes().to_vec();
    let mut names = vec![
        Vec::new(),
        vec![0],
        vec![0xFF; 9],
        [&[0xFF, 0xFF][..], b"acme"].concat(),
        b"acme".to_vec(),
        Key::system("t").number(1).build().as_bytes().to_vec(),
        Key::of(&tenant("acm"), "t").build().as_bytes().to_vec(),
        Key::of(&tenant("acmee"), "t").build().as_bytes().to_vec(),
        Key::of(&tenant("acmf"), "t").build().as_bytes().to_vec(),
        Prefix::from_bytes(own.clone()).end().expect("an end"),
    ];
    // Every shorter beginning of acme's own part takes in other tenants too.
    names.extend((0..own.len()).filter_map(|len| own.get(..len)).map(<[u8]>::to_vec));
    names
}

fn forbidden<T: std::fmt::Debug>(answer: Result<T, StoreError>, at: &str) {
    match answer {
        Err(StoreError::Forbidden(why)) => {
            assert!(why.contains("acme") && !why.contains('\n'), "{why}");
            assert!(!why.contains("acmee") && !why.contains("acmf"), "it names the other: {why}");
        }
        other => panic!("{at}: {other:?}"),
    }
}

#[tokio::test]
async fn hostile_names_are_refused_everywhere_and_reach_nobody() {
    let (below, heard, store) = acme();
    let own = Key::of(store.tenant(), "t").number(1).build();
    for name in hostile() {
        let at = name.escape_ascii().to_string();
        let (key, prefix) = (Key::from_bytes(name.clone()), Prefix::from_bytes(name.clone()));
        forbidden(store.get(&key).await, &at);
        forbidden(store.get_many(&[own.clone(), key.clone()]).await, &at);
        forbidden(store.scan(ScanQuery::new(prefix.clone())).await, &at);
        forbidden(store.scan(ScanQuery::new(prefix.clone()).reversed()).await, &at);
        let cursor = ScanQuery::new(store.prefix().clone()).after(Some(key.clone()));
        forbidden(store.scan(cursor.clone()).await, &at);
        forbidden(store.scan(cursor.reversed()).await, &at);
        let guards = [
            Guard::Absent(key.clone()),
            Guard::Exists(key.clone()),
            Guard::VersionIs(key.clone(), Version::new(1)),
        ];
        for guard in guards {
            forbidden(store.commit(txn().guard(guard)).await, &at);
        }
        let ops = [
            Op::put(key.clone(), "x"),
            Op::delete(key.clone()),
            Op::Touch { key: key.clone(), ttl: None },
            add(&key, 1),
            Op::append(prefix, "x"),
        ];
        for op in ops {
            let step = txn().op(Op::put(own.clone(), "x")).op(op);
            forbidden(store.commit(step.clone()).await, &at);
            forbidden(store.commit_many(vec![step]).await.remove(0), &at);
        }
    }
    forbidden(store.raise(Version::new(9)).await, "raise");
    assert_eq!(heard.1.load(Ordering::SeqCst), 0, "the store below was asked");
    assert!(below.is_empty());
}

#[tokio::test]
async fn in_a_batch_only_the_foreign_transaction_is_refused() {
    let (below, _, store) = acme();
    let own = |n| Key::of(&tenant("acme"), "t").number(n).build();
    let batch = vec![
        txn().op(Op::put(own(1), "1")),
        txn().op(Op::put(own(2), "2")).op(Op::put(key(2), "2")),
        txn().guard(Guard::Absent(own(1))),
        txn().op(Op::put(own(3), "3")),
    ];
    let outcomes = store.commit_many(batch).await;
    assert!(matches!(
        &outcomes[..],
        [
            Ok(Commit::Applied(_)),
            Err(StoreError::Forbidden(_)),
            Ok(Commit::Conflict(_)),
            Ok(Commit::Applied(_)),
        ]
    ));
    assert_eq!(below.len(), 2);
}

#[tokio::test]
async fn the_widest_scan_shows_all_rows_of_the_tenant_and_no_others() {
    let (below, _, store) = acme();
    let names = ["a", "acm", "acme", "acmee", "acmf", "b", "\u{10FFFF}"];
    for name in names {
        for n in 0..5 {
            put(&below, &Key::of(&tenant(name), "t").number(n).build(), name.to_owned()).await;
        }
    }
    put(&below, &key(1), "system").await;
    let three = NonZeroUsize::new(3).expect("three");
    for reverse in [false, true] {
        let (mut after, mut rows) = (None, Vec::new());
        loop {
            let query = ScanQuery::new(store.prefix().clone()).after(after).limit(three);
            let query = if reverse { query.reversed() } else { query };
            let page = store.scan(query).await.expect("a page").value;
            rows.extend(page.rows);
            after = rows.last().map(|(key, _)| key.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(rows.len(), 5);
        assert!(rows.iter().all(|(_, row)| row.value == "acme"));
    }
}

#[test]
fn a_refusal_is_a_matter_of_permission_and_nothing_happened() {
    let error = Error::from(StoreError::Forbidden("a row".to_owned()));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.happened(), openclaw_core::Happened::No);
}
