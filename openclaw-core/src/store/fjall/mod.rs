//! The embedded engine for volume: a directory, one process, durable at power loss.

mod db;
mod fault;
mod place;
mod rows;
mod snapshot;
mod tail;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use fjall::{Keyspace, Snapshot as Seen};

use self::{
    db::{Db, Memory},
    place::Place,
    writer::Writer,
};
use super::embedded::{Batches, View, Writing, guarded};
use crate::{
    Clock, Timestamp,
    traits::store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, Version,
    },
};

const LIMITS: StoreCapabilities = StoreCapabilities::new(true);

/// A durable [`StateStore`] in one directory, for many rows and many writes.
///
/// It writes a journal, and sorts it into tables in the background: commits cost less than in
/// `RedbStore` and stay cheap as the store grows; opening reads the journal, up to some 100 MB,
/// and writes its newest file, up to 64 MB, over itself: it may hold what a failed sync left.
///
/// Commits of all callers go through one thread, which writes what waits as one batch with one
/// sync: the more callers, the more commits a sync carries. Reads run where they are called, on
/// a snapshot, and see every commit that was answered before.
///
/// Clones share the store. Dropping the last one writes what is queued, ends the threads and
/// frees the directory; it blocks for as long as that takes.
///
/// * One process, one store: another one that opens the directory gets [`StoreError::Locked`].
/// * When a write or a sync fails, its commits answer [`StoreError::OutcomeUnknown`], and the
///   store is closed for good: also when the disk is full. No commit is tried again. Dropping
///   the last handle flushes the journal once more, by the engine's own will; opening it again
///   shows what was kept.
/// * A journal whose last batch is not whole, as after power loss, is cut in front of it. One
///   that is damaged elsewhere is cut there or refused with [`StoreError::Corrupt`]; no commit
///   is ever there by half.
/// * The store's time never goes back while it is open, nor behind the last commit when it is
///   opened again; an orderly close keeps also the time that only reads have seen.
/// * While a [`snapshot`](StateStore::snapshot) is held, what commits replace stays on disk, and
///   every full [`write_buffer`](FjallStoreBuilder::write_buffer) stays in memory: a backup of ten
///   minutes beside 5 MB of writes a second comes to hold 3 GB.
///
/// ```
/// use openclaw_core::{Env, store::{Commit, FjallStore, Key, Op, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (dir, clock) = (tempfile::tempdir()?, Env::system().clock());
/// let path = dir.path().join("state");
/// let key = Key::system("doc").text("greeting").build();
///
/// let store = FjallStore::open(&path, clock.clone())?;
/// let put = Txn::new("docs").op(Op::put(key.clone(), "hello"));
/// assert!(matches!(store.commit(put).await?, Commit::Applied(_)));
/// drop(store);
///
/// let store = FjallStore::open(&path, clock)?;
/// assert_eq!(store.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FjallStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    view: Arc<View<Db>>,
    writing: Writing,
}

/// Settings of a [`FjallStore`].
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Env, store::{FjallStore, StateStore}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = FjallStore::builder()
///     .linger(Duration::from_micros(200))
///     .cache(64 << 20)
///     .write_buffer(32 << 20)
///     .open(dir.path().join("state"), Env::system().clock())?;
/// assert!(store.capabilities().durable);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `open`"]
pub struct FjallStoreBuilder {
    batches: Batches,
    memory: Memory,
}

impl FjallStore {
    /// Opens the store in this directory, and makes the directory when there is none.
    ///
    /// The directory above it must be there. It may be empty, but must not hold other files.
    ///
    /// # Errors
    /// `Locked` when it is open elsewhere, `Corrupt` when it is no store, `Full` or
    /// `Unavailable` when it can't be used. Each names the path and what to do.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::builder().open(path, clock)
    }

    /// Starts with the usual settings.
    pub const fn builder() -> FjallStoreBuilder {
        let memory = Memory { cache: 32 << 20, write_buffer: 16 << 20 };
        FjallStoreBuilder { batches: Batches::USUAL, memory }
    }
}

impl FjallStoreBuilder {
    /// Sets how long the writer waits for the callers it has just answered. 100 µs.
    ///
    /// It waits only when there are several, and stops when they are back.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.batches.linger = linger;
        self
    }

    /// Sets how many transactions share a sync, at least one. 256.
    ///
    /// Behind 16 MiB of keys and values a batch takes no more.
    pub const fn max_batch(mut self, transactions: usize) -> Self {
        self.batches.max = if transactions == 0 { 1 } else { transactions };
        self
    }

    /// Sets how many bytes of the tables are kept in memory. 32 MiB.
    ///
    /// It fills with use. What is not in it comes from the operating system's own cache.
    pub const fn cache(mut self, bytes: usize) -> Self {
        self.memory.cache = bytes as u64;
        self
    }

    /// Sets how many bytes of new rows are kept in memory before they become a table. 16 MiB.
    ///
    /// Up to three times as many are in memory while tables are written, and all that were written
    /// since a snapshot was taken while that is held. More bytes make fewer and larger tables.
    pub const fn write_buffer(mut self, bytes: usize) -> Self {
        self.memory.write_buffer = bytes as u64;
        self
    }

    /// Opens the store, and makes its directory when there is none.
    ///
    /// # Errors
    /// As [`FjallStore::open`].
    pub fn open(
        self,
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<FjallStore, StoreError> {
        let place = Place::take(path.as_ref())?;
        let path = place.path().to_owned();
        let opened = place.open(self.memory)?;
        let (writer, view) = Writer::new(place, opened, self.memory, Arc::clone(&clock));
        let writing = Writing::start("openclaw-fjall", self.batches, writer)?;
        Ok(FjallStore(Arc::new(Inner { path, clock, view, writing })))
    }
}

impl Inner {
    /// Reads from one snapshot.
    fn read<T>(
        &self,
        rows: impl FnOnce(&Seen, &Keyspace, Timestamp) -> Result<T, StoreError>,
    ) -> Result<Snapshot<T>, StoreError> {
        guarded(|| {
            let seen = |db: &Db| Ok((db.snapshot(), db.rows.clone()));
            let ((seen, keyspace), as_of) = self.view.read(self.clock.now(), seen)?;
            Ok(Snapshot::new(rows(&seen, &keyspace, as_of)?, as_of))
        })?
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for FjallStore {
    fn capabilities(&self) -> StoreCapabilities {
        LIMITS
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.0.read(|seen, rows, now| rows::get_many(seen, rows, keys, now))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.0.read(|seen, rows, now| rows::page(seen, rows, &query, now))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.0.writing.commit(txn, &LIMITS).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.0.writing.commit_many(txns, &LIMITS).await
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.0.writing.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        snapshot::take(self)
    }
}
