//! A moment of the file: a read transaction that is held.

use async_trait::async_trait;
use redb::{ReadTransaction, ReadableDatabase};

use super::{LIMITS, RedbStore, fault::fault, rows};
use crate::{
    Timestamp,
    store::{
        embedded::{guarded, in_place},
        frozen::{Facts, Frozen, Moment},
    },
    traits::store::{Entry, Key, Page, ScanQuery, SharedStore, StateStore, StoreError, Version},
};

/// While it is held, the file grows by what commits replace.
struct Seen {
    txn: ReadTransaction,
    /// The last to go: it holds the file.
    store: RedbStore,
}

/// Freezes what is stored now.
pub(super) async fn take(store: &RedbStore) -> Result<SharedStore, StoreError> {
    // A file that has failed is opened again first.
    store.get_many(&[]).await?;
    let inner = &store.0;
    let begun = guarded(|| {
        let (txn, as_of) =
            inner.view.read(inner.clock.now(), |db| db.begin_read().map_err(fault))?;
        Ok::<_, StoreError>((rows::load(&txn)?, txn, as_of))
    })?;
    let (meta, txn, as_of) = begun.map_err(|e| in_place(&inner.path, e))?;
    let version = Version::new(meta.map_or(0, |(meta, _)| meta.version));
    let seen = Seen { txn, store: store.clone() };
    Ok(Frozen::shared(seen, Facts { as_of, version }, LIMITS))
}

impl Seen {
    fn read<T>(
        &self,
        rows: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let read = guarded(|| rows(&self.txn))?;
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
        self.read(|txn| rows::get_many(txn, keys, now))
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        self.read(|txn| rows::page(txn, query, now))
    }
}
