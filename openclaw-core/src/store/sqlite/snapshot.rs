//! A moment of the file: a connection of its own inside a read transaction.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    LIMITS, SqliteStore,
    readers::{Readers, Snapshot},
    rows,
};
use crate::{
    Timestamp,
    store::{
        embedded::guarded,
        frozen::{Facts, Frozen, Moment},
    },
    traits::store::{Entry, Key, Page, ScanQuery, SharedStore, StateStore, StoreError, Version},
};

/// While it is held, the log can't begin anew: it grows by what is committed.
struct Seen {
    snapshot: Mutex<Snapshot>,
    /// The last to go: it holds the file.
    _store: SqliteStore,
}

/// Freezes what is stored now.
pub(super) async fn take(store: &SqliteStore) -> Result<SharedStore, StoreError> {
    // When another process repairs the log, the writer thread waits for it.
    store.get_many(&[]).await?;
    let inner = &store.0;
    let (snapshot, version, as_of) = guarded(|| {
        let (snapshot, as_of) = inner.view.read_from(inner.clock.now(), Readers::snapshot)?;
        let version = snapshot.look(|conn| rows::meta(conn).map(|meta| meta.version))?;
        Ok::<_, StoreError>((snapshot, Version::new(version), as_of))
    })??;
    let seen = Seen { snapshot: Mutex::new(snapshot), _store: store.clone() };
    Ok(Frozen::shared(seen, Facts { as_of, version }, LIMITS))
}

impl Seen {
    fn read<T>(
        &self,
        rows: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        guarded(|| snapshot.look(rows))?
    }
}

#[async_trait]
impl Moment for Seen {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        self.read(|conn| rows::get_many(conn, keys, now))
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        self.read(|conn| rows::page(conn, query, now))
    }
}
