//! The laws of stores, run through each wrapper.

use async_trait::async_trait;
use openclaw_core::{
    TenantId,
    store::{
        Commit, Entry, Guard, Key, MemoryStore, MeteredStore, Op, Page, Prefix, ScanQuery,
        Snapshot, StateStore, StoreCapabilities, StoreError, TenantStore, Txn, Version,
    },
};
use openclaw_testkit::{
    conformance::{
        Verdict,
        store::{LAWS, StoreHarness, check, on},
    },
    env::ManualClock,
};

/// A harness whose stores are wrapped.
#[cfg(feature = "redb")]
pub(crate) struct Wrapped<H, F> {
    pub(crate) inner: H,
    pub(crate) wrap: F,
}

#[cfg(feature = "redb")]
#[async_trait]
impl<H, F> StoreHarness for Wrapped<H, F>
where
    H: StoreHarness,
    F: Fn(Box<dyn StateStore>) -> Box<dyn StateStore> + Send + Sync,
{
    async fn fresh(&self) -> Box<dyn StateStore> {
        (self.wrap)(self.inner.fresh().await)
    }

    fn clock(&self) -> Option<&ManualClock> {
        self.inner.clock()
    }

    async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
        self.inner.reopen(store).await.map(|store| (self.wrap)(store))
    }

    fn real_time(&self) -> bool {
        self.inner.real_time()
    }
}

mod metered {
    use super::*;

    openclaw_testkit::store_laws!(
        "MeteredStore<MemoryStore>",
        on(|clock| MeteredStore::new(MemoryStore::new(clock)))
    );
}

#[cfg(feature = "sealed")]
mod sealed {
    use super::*;
    use crate::wrappers::sealed::ring;

    openclaw_testkit::store_laws!(
        "SealedStore<MemoryStore>",
        on(|clock| openclaw_core::store::SealedStore::new(MemoryStore::new(clock), ring()))
    );
}

#[cfg(all(feature = "redb", feature = "sealed"))]
mod sealed_redb {
    use openclaw_core::store::SealedStore;
    use openclaw_testkit::conformance::store::check_all;

    use super::*;
    use crate::{conformance::redb::Files, wrappers::sealed::ring};

    fn files() -> impl StoreHarness {
        Wrapped {
            inner: Files::new(),
            wrap: |store| Box::new(SealedStore::new(store, ring())) as Box<dyn StateStore>,
        }
    }

    openclaw_testkit::store_laws!("SealedStore<RedbStore>", files());

    #[test]
    fn no_law_is_left_out() {
        let files = files();
        for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
            assert_eq!(check(law, &files), Verdict::Held, "{law}");
        }
    }
}

/// Gives the laws, which name system rows, the rows of one tenant: each key gets its part.
#[derive(Debug)]
struct Moved(TenantStore<Box<dyn StateStore>>);

impl Moved {
    fn new(below: impl StateStore) -> Self {
        let others = TenantId::new("others").expect("a name");
        Self(TenantStore::new(Box::new(below), others))
    }

    fn key(&self, key: &Key) -> Key {
        Key::from_bytes([self.0.prefix().as_bytes(), key.as_bytes()].concat())
    }

    fn prefix(&self, prefix: &Prefix) -> Prefix {
        Prefix::from_bytes([self.0.prefix().as_bytes(), prefix.as_bytes()].concat())
    }

    fn txn(&self, txn: &Txn) -> Txn {
        let guards = txn.guards.iter().map(|guard| match guard {
            Guard::Absent(key) => Guard::Absent(self.key(key)),
            Guard::VersionIs(key, version) => Guard::VersionIs(self.key(key), *version),
            Guard::Exists(key) => Guard::Exists(self.key(key)),
        });
        let ops = txn.ops.iter().cloned().map(|mut op| {
            match &mut op {
                Op::Put { key, .. }
                | Op::Delete { key }
                | Op::Touch { key, .. }
                | Op::Add { key, .. } => *key = self.key(key),
                Op::Append { prefix, .. } => *prefix = self.prefix(prefix),
            }
            op
        });
        guards.fold(Txn::new(txn.label).with_id(txn.id).ops(ops), Txn::guard)
    }
}

#[async_trait]
impl StateStore for Moved {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let keys: Vec<Key> = keys.iter().map(|key| self.key(key)).collect();
        self.0.get_many(&keys).await
    }

    async fn scan(&self, mut query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        query.prefix = self.prefix(&query.prefix);
        query.after = query.after.map(|after| self.key(&after));
        let mut found = self.0.scan(query).await?;
        for (key, _) in &mut found.value.rows {
            let own = key.behind(self.0.prefix()).expect("a row of this tenant");
            *key = Key::from_bytes(own.to_vec());
        }
        Ok(found)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.0.commit(self.txn(&txn)).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.0.commit_many(txns.iter().map(|txn| self.txn(txn)).collect()).await
    }

    /// A tenant may not, so the laws of raising have nothing to try.
    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        match self.0.raise(least).await {
            Err(StoreError::Forbidden(why)) => Err(StoreError::Unsupported(why)),
            other => panic!("a tenant raised the store: {other:?}"),
        }
    }
}

/// The laws whose keys have no room for a tenant in their 480 bytes.
const FULL: [&str; 2] =
    ["a_key_over_480_bytes_is_refused", "an_appended_key_over_480_bytes_is_refused"];

#[test]
fn a_tenants_store_holds_every_law_that_leaves_room_for_its_name() {
    let (mut held, mut left_out) = (0, Vec::new());
    for law in LAWS.iter().filter(|law| !FULL.contains(&law.name())) {
        let harness = on(|clock| Moved::new(MemoryStore::new(clock)));
        match check(law.name(), &harness) {
            Verdict::Held => held += 1,
            Verdict::NotDeclared(what) => left_out.push(what),
            other => panic!("{}: {other:?}", law.name()),
        }
    }
    assert_eq!(held + left_out.len() + FULL.len(), LAWS.len());
    left_out.dedup();
    assert!(
        left_out.iter().all(|what| ["durable", "raising", "snapshots"].contains(what)),
        "{left_out:?}"
    );
}

#[cfg(feature = "redb")]
#[test]
fn what_needs_a_file_holds_around_one_too() {
    use openclaw_testkit::conformance::store::check_all;

    use crate::conformance::redb::Files;

    type Wrap = fn(Box<dyn StateStore>) -> Box<dyn StateStore>;
    let wraps: [(Wrap, bool); 2] = [
        (|store| Box::new(MeteredStore::new(store)), true),
        (|store| Box::new(Moved::new(store)), false),
    ];
    for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
        for (wrap, raises) in wraps {
            let verdict = check(law, &Wrapped { inner: Files::new(), wrap });
            if raises || !law.contains("raise") {
                assert_eq!(verdict, Verdict::Held, "{law}");
            } else {
                assert_eq!(verdict, Verdict::NotDeclared("raising"), "{law}");
            }
        }
    }
}
