//! A moment of a store: what an engine froze, as a store that only reads.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    Timestamp,
    traits::store::{
        Applied, Commit, Conflict, Entry, Guard, Key, Page, ScanQuery, SharedStore, Snapshot,
        StateStore, StoreCapabilities, StoreError, Txn, Version,
    },
};

/// The rows of one moment, as an engine reads them; rows that have expired by `now` left out.
#[async_trait]
pub(super) trait Moment: Send + Sync + 'static {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError>;

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError>;
}

/// What is known of a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) as_of: Timestamp,
    /// The highest version that was given out before it.
    pub(super) version: Version,
}

/// A store that shows one moment, and takes nothing.
#[derive(Clone)]
pub(super) struct Frozen(Arc<Inner>);

struct Inner {
    facts: Facts,
    limits: StoreCapabilities,
    moment: Box<dyn Moment>,
}

impl Frozen {
    pub(super) fn new(moment: impl Moment, facts: Facts, limits: StoreCapabilities) -> Self {
        // It never loses the answer to a commit: there are none.
        let limits = limits.certain(true);
        Self(Arc::new(Inner { facts, limits, moment: Box::new(moment) }))
    }

    /// The same, as a snapshot is handed out.
    pub(super) fn shared(
        moment: impl Moment,
        facts: Facts,
        limits: StoreCapabilities,
    ) -> SharedStore {
        Arc::new(Self::new(moment, facts, limits))
    }

    fn answer<T>(&self, value: T) -> Snapshot<T> {
        Snapshot::new(value, self.0.facts.as_of)
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { as_of, version } = self.0.facts;
        f.debug_struct("Frozen").field("as_of", &as_of).field("version", &version).finish()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for Frozen {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.limits.clone()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let found = self.0.moment.get_many(keys, self.0.facts.as_of).await?;
        Ok(self.answer(found))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let page = self.0.moment.page(&query, self.0.facts.as_of).await?;
        Ok(self.answer(page))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check(&self.0.limits)?;
        if !txn.ops.is_empty() {
            return Err(read_only("writing"));
        }
        let Facts { as_of, version } = self.0.facts;
        let keys: Vec<Key> = txn.guards.iter().map(Guard::key).cloned().collect();
        let rows = self.0.moment.get_many(&keys, as_of).await?;
        for (at, (guard, row)) in txn.guards.iter().zip(rows).enumerate() {
            if !guard.holds(row.as_ref().map(|row| row.version)) {
                return Ok(Commit::Conflict(Conflict::new(at, row)));
            }
        }
        Ok(Commit::Applied(Applied::new(version, as_of, Vec::new())))
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit(txn).await);
        }
        outcomes
    }

    async fn raise(&self, _least: Version) -> Result<(), StoreError> {
        Err(read_only("raising the versions"))
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        Ok(Arc::new(self.clone()))
    }
}

fn read_only(what: &str) -> StoreError {
    StoreError::Unsupported(format!("{what} in a snapshot: use the store it was taken of"))
}
