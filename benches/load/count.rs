//! A store that counts what goes through it, by the label of the commit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::store::{
    Commit, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities, StoreError,
    Txn, Version,
};

/// Commits that applied, and the rows they wrote or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Commits.
    pub commits: u64,
    /// Operations on rows: puts, appends, adds, touches and deletes.
    pub rows: u64,
}

/// A wrapper that counts.
#[derive(Clone, Debug)]
pub struct Counting<S> {
    inner: S,
    tallies: Arc<Mutex<BTreeMap<&'static str, Tally>>>,
}

impl<S> Counting<S> {
    /// Counts what goes into this store.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, tallies: Arc::default() }
    }

    /// What was counted so far, by label.
    #[must_use]
    pub fn tallies(&self) -> BTreeMap<&'static str, Tally> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, label: &'static str, rows: usize, outcome: &Result<Commit, StoreError>) {
        if let Ok(Commit::Applied(_)) = outcome {
            let mut tallies = self.lock();
            let tally = tallies.entry(label).or_default();
            tally.commits += 1;
            tally.rows += rows as u64;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods, reason = "a method left out would go around the count")]
impl<S: StateStore> StateStore for Counting<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn get_many(
        &self,
        keys: &[Key],
    ) -> Result<Snapshot<Vec<Option<openclaw_core::store::Entry>>>, StoreError> {
        self.inner.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.inner.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let (label, rows) = (txn.label, txn.ops.len());
        let outcome = self.inner.commit(txn).await;
        self.count(label, rows, &outcome);
        outcome
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let heads: Vec<(&'static str, usize)> =
            txns.iter().map(|txn| (txn.label, txn.ops.len())).collect();
        let outcomes = self.inner.commit_many(txns).await;
        for ((label, rows), outcome) in heads.into_iter().zip(&outcomes) {
            self.count(label, rows, outcome);
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.inner.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.inner.snapshot().await
    }
}
