//! Where a database is opened from, the first time and again.

use std::{
    fs::{File, OpenOptions},
    path::PathBuf,
    sync::Arc,
};

use redb::{Database, ReadableDatabase, backends::FileBackend};

use super::{
    backend::{OnDisk, Watch, Watched},
    fault::{cannot_open, fault},
    rows,
};
use crate::{
    Timestamp,
    store::{
        Disk,
        embedded::{Meta, cannot_use, guarded, in_place, sync_directory},
    },
    traits::store::StoreError,
};

/// The file or the disk of a store.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) cache: usize,
}

/// A database, ready for use.
pub(super) struct Opened {
    pub(super) db: Database,
    pub(super) watch: Arc<Watch>,
    pub(super) meta: Meta,
    /// No row expires before this.
    pub(super) earliest: Timestamp,
}

impl Source {
    /// Opens it for the first time, and makes it when there is none.
    pub(super) fn open(&self) -> Result<Opened, StoreError> {
        let opened = self.guarded(true, &Arc::default())?;
        if self.disk.is_none() {
            sync_directory(&self.path).map_err(|e| cannot_use(&self.path, &e))?;
        }
        Ok(opened)
    }

    /// Opens it again, after an error that lost nothing. The watch knows why it failed.
    pub(super) fn reopen(&self, watch: &Arc<Watch>) -> Result<Opened, StoreError> {
        self.guarded(false, watch)
    }

    fn guarded(&self, create: bool, watch: &Arc<Watch>) -> Result<Opened, StoreError> {
        guarded(|| self.with(create, watch)).unwrap_or_else(|e| Err(in_place(&self.path, e)))
    }

    fn with(&self, create: bool, watch: &Arc<Watch>) -> Result<Opened, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache);
        let opened = match &self.disk {
            Some(disk) => {
                let backend = OnDisk(Arc::clone(disk));
                builder.create_with_backend(Watched::new(backend, Arc::clone(watch)))
            }
            None => {
                let file = self.file(create)?;
                let backend = FileBackend::new(file).map_err(|e| cannot_open(&self.path, e))?;
                builder.create_with_backend(Watched::new(backend, Arc::clone(watch)))
            }
        };
        let db = opened.map_err(|e| cannot_open(&self.path, e))?;
        let (meta, earliest) = prepare(&db).map_err(|e| in_place(&self.path, e))?;
        Ok(Opened { db, watch: Arc::clone(watch), meta, earliest })
    }

    fn file(&self, create: bool) -> Result<File, StoreError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(&self.path)
            .map_err(|e| cannot_use(&self.path, &e))
    }
}

/// Reads what outlived the last process; an empty file gets its tables.
fn prepare(db: &Database) -> Result<(Meta, Timestamp), StoreError> {
    if let Some(found) = rows::load(&db.begin_read().map_err(fault)?)? {
        return Ok(found);
    }
    let mut txn = db.begin_write().map_err(fault)?;
    txn.set_quick_repair(true);
    rows::init(&txn)?;
    txn.commit().map_err(fault)?;
    Ok((Meta::default(), Timestamp::MAX))
}
