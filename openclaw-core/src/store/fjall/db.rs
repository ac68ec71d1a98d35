//! fjall's database with the keyspaces of a store.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fjall::{
    Database, Error, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable as _,
    Snapshot, UserValue,
};

use super::{
    fault::{cannot_open, fault},
    tail::{Cut, write_again},
};
use crate::{
    Timestamp,
    store::embedded::{Meta, due, in_place},
    traits::store::StoreError,
};

const ROWS: &str = "openclaw.rows";
const EXPIRY: &str = "openclaw.expiry";
const META: &str = "openclaw.meta";

/// The layout this code reads and writes.
const FORMAT: u64 = 1;

/// Files that stay open between reads.
const OPEN_FILES: usize = 256;

/// How much of the machine the engine may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) cache: u64,
    pub(super) write_buffer: u64,
}

/// An open database. The handles go before the database, which waits for its worker thread.
#[derive(Clone)]
pub(super) struct Db {
    pub(super) rows: Keyspace,
    pub(super) expiry: Keyspace,
    meta: Keyspace,
    /// What readers see while a batch is written.
    held: Arc<Mutex<Option<Snapshot>>>,
    database: Database,
}

/// A database, ready for use.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) meta: Meta,
    /// No row expires before this.
    pub(super) earliest: Timestamp,
}

impl Db {
    /// Makes an empty store. `place` names it in errors.
    pub(super) fn make(place: &Path, dir: &Path, memory: Memory) -> Result<(), StoreError> {
        let cannot = |e| cannot_open(place, e);
        let db = Self::with(start(dir, memory).map_err(cannot)?).map_err(cannot)?;
        let mut batch = db.batch();
        batch.insert(&db.meta, "format", FORMAT.to_be_bytes());
        db.save(&mut batch, Meta::default());
        batch.durability(Some(PersistMode::SyncAll)).commit().map_err(cannot)
    }

    /// Opens a store that was made. `place` names it in errors.
    pub(super) fn open(place: &Path, dir: &Path, memory: Memory) -> Result<Opened, StoreError> {
        let again = write_again(dir).map_err(Error::from);
        let database =
            again.and_then(|()| start(dir, memory)).map_err(|e| cannot_open(place, e))?;
        if let Some(name) = [ROWS, EXPIRY, META].iter().find(|name| !database.keyspace_exists(name))
        {
            return Err(StoreError::Corrupt(format!(
                "{}: its part {name} is missing: restore it from a backup",
                place.display()
            )));
        }
        let db = Self::with(database).map_err(|e| cannot_open(place, e))?;
        let (meta, earliest) = db.load().map_err(|e| in_place(place, e))?;
        Ok(Opened { db, meta, earliest })
    }

    fn with(database: Database) -> fjall::Result<Self> {
        // The writer alone decides when memory goes to tables: see `Db::rotate`.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX);
        Ok(Self {
            rows: database.keyspace(ROWS, options)?,
            expiry: database.keyspace(EXPIRY, options)?,
            meta: database.keyspace(META, options)?,
            held: Arc::default(),
            database,
        })
    }

    /// What outlived the last process, and when the first row expires.
    fn load(&self) -> Result<(Meta, Timestamp), StoreError> {
        match self.number("format")? {
            FORMAT => {}
            n => return Err(StoreError::Corrupt(format!("its layout is {n}, this is {FORMAT}"))),
        }
        let time = Timestamp::from_millis(self.number("time")?);
        let earliest = match self.expiry.first_key_value() {
            Some(first) => due(&first.key().map_err(fault)?)?.0,
            None => Timestamp::MAX,
        };
        Ok((Meta { version: self.number("version")?, time }, earliest))
    }

    fn number(&self, name: &str) -> Result<u64, StoreError> {
        read(name, self.meta.get(name))
    }

    /// The last version that was given out before this snapshot.
    pub(super) fn version_in(&self, seen: &Snapshot) -> Result<u64, StoreError> {
        read("version", seen.get(&self.meta, "version"))
    }

    /// A snapshot of whole batches: the one that is held, while one is held.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.held().clone().unwrap_or_else(|| self.database.snapshot())
    }

    /// Shows readers what is stored now, and nothing later, until [`Db::show`].
    ///
    /// The engine inserts a batch row by row, and then lets snapshots see it. When its worker ends
    /// a table in between, it moves that border itself: a snapshot shows the rows so far.
    pub(super) fn hold(&self) {
        *self.held() = Some(self.database.snapshot());
    }

    /// Shows readers what is stored.
    pub(super) fn show(&self) {
        *self.held() = None;
    }

    fn held(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch that is durable once it is committed.
    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::SyncData))
    }

    /// Writes what must outlive the process.
    pub(super) fn save(&self, batch: &mut OwnedWriteBatch, meta: Meta) {
        batch.insert(&self.meta, "version", meta.version.to_be_bytes());
        batch.insert(&self.meta, "time", meta.time.as_millis().to_be_bytes());
    }

    /// Has the engine given up?
    pub(super) fn is_poisoned(&self) -> bool {
        self.database.persist(PersistMode::Buffer).is_err()
    }

    /// How many full buffers of rows wait to become tables.
    pub(super) fn backlog(&self) -> usize {
        let waiting = |keyspace: &Keyspace| keyspace.sealed_memtable_count();
        waiting(&self.rows).max(waiting(&self.expiry)).max(waiting(&self.meta))
    }

    /// Lets what is in memory go to tables, in the background.
    ///
    /// All parts go together: a journal can be removed only when all of it is in tables.
    pub(super) fn rotate(&self) -> Result<(), StoreError> {
        for keyspace in [&self.rows, &self.expiry, &self.meta] {
            keyspace.rotate_memtable().map_err(fault)?;
        }
        Ok(())
    }
}

fn read(name: &str, found: fjall::Result<Option<UserValue>>) -> Result<u64, StoreError> {
    let found = found.map_err(fault)?;
    let bytes = found.as_deref().and_then(|bytes| bytes.try_into().ok());
    let missing = || StoreError::Corrupt(format!("its {name} is missing"));
    bytes.map(u64::from_be_bytes).ok_or_else(missing)
}

/// Opens or makes the files.
fn start(dir: &Path, memory: Memory) -> fjall::Result<Database> {
    match open(dir, memory) {
        Err(e @ Error::JournalRecovery(_)) => {
            let Some(cut) = Cut::last_batch(dir)? else { return Err(e) };
            let opened = open(dir, memory);
            if opened.is_err() {
                cut.undo()?;
            }
            opened
        }
        opened => opened,
    }
}

/// One worker thread: with more of them, one spins while another one compacts.
fn open(dir: &Path, memory: Memory) -> fjall::Result<Database> {
    Database::builder(dir)
        .worker_threads(1)
        .cache_size(memory.cache)
        .max_cached_files(Some(OPEN_FILES))
        .open()
}
