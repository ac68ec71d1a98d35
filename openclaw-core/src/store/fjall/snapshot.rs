//! A moment of the directory: a snapshot that is held.

use async_trait::async_trait;
use fjall::{Keyspace, Snapshot};

use super::{FjallStore, LIMITS, db::Db, rows};
use crate::{
    Timestamp,
    store::{
        embedded::{guarded, in_place},
        frozen::{Facts, Frozen, Moment},
    },
    traits::store::{Entry, Key, Page, ScanQuery, SharedStore, StoreError, Version},
};

/// While it is held, compaction keeps what commits replace, and memory what became tables.
struct Seen {
    snapshot: Snapshot,
    rows: Keyspace,
    /// The last to go: it holds the directory.
    store: FjallStore,
}

/// Freezes what is stored now.
pub(super) fn take(store: &FjallStore) -> Result<SharedStore, StoreError> {
    let inner = &store.0;
    let seen = |db: &Db| Ok((db.snapshot(), db.clone()));
    let begun = guarded(|| {
        let ((snapshot, db), as_of) = inner.view.read(inner.clock.now(), seen)?;
        Ok::<_, StoreError>((db.version_in(&snapshot)?, snapshot, db.rows, as_of))
    })?;
    let (version, snapshot, rows, as_of) = begun.map_err(|e| in_place(&inner.path, e))?;
    let facts = Facts { as_of, version: Version::new(version) };
    Ok(Frozen::shared(Seen { snapshot, rows, store: store.clone() }, facts, LIMITS))
}

impl Seen {
    fn read<T>(
        &self,
        rows: impl FnOnce(&Snapshot, &Keyspace) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let read = guarded(|| rows(&self.snapshot, &self.rows))?;
        read.map_err(|e| in_place(&self.store.0.path, e))
    }
}

#[async_trait]
impl Moment for Seen {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        self.read(|seen, table| rows::get_many(seen, table, keys, now))
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        self.read(|seen, table| rows::page(seen, table, query, now))
    }
}
