//! The store behind a lease: who may be replaced already learns nothing more, and does nothing more.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::time::Instant;

use super::lock;
use crate::store::{
    Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
    StoreError, Txn, Version,
};

/// Until when nobody else may own what is ours, by our own clock.
#[derive(Debug)]
pub(super) struct Lease(Mutex<Instant>);

impl Lease {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    /// Sets its end: later to prolong it, now to end it.
    pub(super) fn set(&self, until: Instant) {
        *lock(&self.0) = until;
    }

    fn check(&self) -> Result<(), StoreError> {
        if Instant::now() < *lock(&self.0) {
            return Ok(());
        }
        Err(StoreError::Unavailable("the lease of this replica is over".to_owned()))
    }
}

/// A store that answers only inside the lease.
///
/// A process that was paused behind its dispatch mark would else wake up, hear that the mark is
/// stored, and make the call, although the next owner has settled it meanwhile.
#[derive(Debug)]
pub(super) struct LeasedStore {
    pub(super) inner: SharedStore,
    pub(super) lease: Arc<Lease>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for LeasedStore {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities().certain(false)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let read = self.inner.get_many(keys).await?;
        self.lease.check().map(|()| read)
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let read = self.inner.scan(query).await?;
        self.lease.check().map(|()| read)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.lease.check()?;
        let id = txn.id;
        let outcome = self.inner.commit(txn).await;
        self.lease.check().map_err(|_over| StoreError::OutcomeUnknown(id))?;
        outcome
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        if let Err(over) = self.lease.check() {
            return txns.iter().map(|_| Err(over.clone())).collect();
        }
        let ids: Vec<_> = txns.iter().map(|txn| txn.id).collect();
        let outcomes = self.inner.commit_many(txns).await;
        if self.lease.check().is_ok() {
            return outcomes;
        }
        ids.into_iter().map(|id| Err(StoreError::OutcomeUnknown(id))).collect()
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.lease.check()?;
        self.inner.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let frozen = self.inner.snapshot().await?;
        self.lease.check().map(|()| frozen)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::{
        Env,
        store::{MemoryStore, Op, StateStoreExt as _},
    };

    /// A store whose commits take a second.
    #[derive(Debug)]
    struct Slow(MemoryStore);

    #[async_trait]
    impl StateStore for Slow {
        fn capabilities(&self) -> StoreCapabilities {
            self.0.capabilities()
        }

        async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
            self.0.get_many(keys).await
        }

        async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
            self.0.scan(query).await
        }

        async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
            let done = self.0.commit(txn).await;
            sleep(Duration::from_secs(1)).await;
            done
        }
    }

    #[tokio::test(start_paused = true)]
    async fn behind_its_lease_a_replica_learns_nothing_and_writes_nothing() {
        let rows = MemoryStore::new(Env::system().clock());
        let lease = Lease::new();
        let store = LeasedStore { inner: Arc::new(Slow(rows.clone())), lease: Arc::clone(&lease) };
        let key = Key::system("t").number(1).build();
        let put = |value: &'static str| Txn::new("t").op(Op::put(key.clone(), value));

        lease.set(Instant::now() + Duration::from_secs(2));
        assert!(matches!(store.commit(put("a")).await, Ok(Commit::Applied(_))));
        // It ends while this commit is on its way: applied, but nobody may act on that.
        lease.set(Instant::now() + Duration::from_millis(500));
        let late = store.commit(put("b")).await;
        assert!(matches!(late, Err(StoreError::OutcomeUnknown(_))), "{late:?}");
        assert_eq!(rows.get(&key).await.unwrap().unwrap().value, "b");

        assert!(matches!(store.commit(put("c")).await, Err(StoreError::Unavailable(_))));
        let many = store.commit_many(vec![put("d"), put("e")]).await;
        assert!(many.iter().all(|one| matches!(one, Err(StoreError::Unavailable(_)))), "{many:?}");
        assert!(matches!(store.get(&key).await, Err(StoreError::Unavailable(_))));
        assert_eq!(rows.get(&key).await.unwrap().unwrap().value, "b");
        advance(Duration::from_secs(1)).await;
        lease.set(Instant::now() + Duration::from_secs(2));
        assert_eq!(store.get(&key).await.unwrap().unwrap().value, "b");
    }
}
