//! The embedded engine for several processes of one box: one file, durable at power loss.

mod connection;
mod fault;
mod log;
mod readers;
mod rows;
mod snapshot;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use self::{connection::Source, readers::Readers, writer::Writer};
use super::embedded::{Batches, View, Writing, guarded};
use crate::{
    Clock, Timestamp,
    traits::store::{
        Commit, Entry, Guard, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};

const LIMITS: StoreCapabilities = StoreCapabilities::new(true).shared();

/// A durable [`StateStore`] in one SQLite file, for several processes of a box.
///
/// Each process opens the file; clones share what one has opened. The commits of a process go
/// through one thread, which writes what waits as one batch with one sync, in its turn with the
/// other processes. Reads run where they are called, on a snapshot, beside the writers.
///
/// Dropping the last clone writes what is queued and closes the file; it blocks for as long as
/// that takes.
///
/// * Versions and time are those of the file: a commit has a greater version than all before
///   it, and no earlier time, whichever process made them.
/// * A process that is paused or slow while it writes keeps the others waiting. After the
///   [lock timeout](SqliteStoreBuilder::lock_timeout) their commits answer
///   [`StoreError::Unavailable`]; reads go on. A process that is killed leaves nothing half done.
/// * When the sync of a commit fails, its callers get [`StoreError::OutcomeUnknown`], and the
///   store is closed for good: a sync is never tried again. Opening it again shows what was kept.
/// * A full disk refuses the batch, which left no trace, and needs no restart.
/// * A [`snapshot`](StateStore::snapshot) has a connection of its own. While it is held, the log
///   grows by what any process commits.
/// * Readers of other processes see a row expire by the clock of the box. A commit that extends
///   the row in this very moment, and has begun before it, wins.
///
/// Beside the file lie its log (`-wal`) and its index (`-shm`): they belong to it. The file has to
/// be on a disk of this box, never on a network. No process may open the file by other means than
/// SQLite while it has a store on it: closing such a file takes SQLite's locks away.
///
/// ```
/// use openclaw_core::{Env, store::{Commit, Key, Op, SqliteStore, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (dir, clock) = (tempfile::tempdir()?, Env::system().clock());
/// let path = dir.path().join("state.db");
/// let key = Key::system("doc").text("greeting").build();
///
/// let one = SqliteStore::open(&path, clock.clone())?;
/// let two = SqliteStore::open(&path, clock)?;
/// let put = Txn::new("docs").op(Op::put(key.clone(), "hello"));
/// assert!(matches!(one.commit(put).await?, Commit::Applied(_)));
/// assert_eq!(two.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    view: Arc<View<Arc<Readers>>>,
    /// How many may read at once.
    reading: Semaphore,
    writing: Writing,
}

/// Settings of a [`SqliteStore`].
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Env, store::{SqliteStore, StateStore}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = SqliteStore::builder()
///     .lock_timeout(Duration::from_secs(2))
///     .readers(8)
///     .open(dir.path().join("state.db"), Env::system().clock())?;
/// assert!(store.capabilities().durable && store.capabilities().shared);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `open`"]
pub struct SqliteStoreBuilder {
    batches: Batches,
    cache: usize,
    lock_timeout: Duration,
    readers: usize,
}

impl SqliteStore {
    /// Opens the store in this file, and makes the file when there is none.
    ///
    /// It blocks for as long as others hold the lock, and no longer than the lock timeout.
    ///
    /// # Errors
    /// `Corrupt` when it is no store or one of a newer program, `Full` or `Unavailable` when it
    /// can't be used. Each names the path and what to do. What is refused is left as it was.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::builder().open(path, clock)
    }

    /// Starts with the usual settings.
    pub const fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder {
            batches: Batches::USUAL,
            cache: 2 << 20,
            lock_timeout: Duration::from_secs(5),
            readers: 4,
        }
    }
}

impl SqliteStoreBuilder {
    /// Sets how long the writer waits for the callers it has just answered. 100 µs.
    ///
    /// It waits only when there are several, and stops when they are back. Meanwhile other
    /// processes may write.
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

    /// Sets how many bytes of the file each connection keeps in memory. 2 MiB.
    ///
    /// There is one that writes, and one for each reader. What is not in it comes from the
    /// operating system's own cache.
    pub const fn cache(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// Sets about how long a commit, or opening, waits for other processes. 5 s.
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how many may read at once, 4 and at least one; further ones wait without blocking.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = if readers == 0 { 1 } else { readers };
        self
    }

    /// Opens the store, and makes its file when there is none.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open(
        self,
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<SqliteStore, StoreError> {
        let source = Source::new(path.as_ref(), self.cache, self.lock_timeout)?;
        let path = source.path.clone();
        let (conn, time) = source.open()?;
        let (writer, view) = Writer::new(source, conn, time, Arc::clone(&clock));
        let writing = Writing::start("openclaw-sqlite", self.batches, writer)?;
        let reading = Semaphore::new(self.readers.min(Semaphore::MAX_PERMITS));
        Ok(SqliteStore(Arc::new(Inner { path, clock, view, reading, writing })))
    }
}

impl Inner {
    /// Reads from one snapshot.
    ///
    /// When another process repairs the log, the writer thread waits for it, and not the caller's.
    async fn read<T>(
        &self,
        rows: impl Fn(&Connection, Timestamp) -> Result<T, StoreError> + Sync,
    ) -> Result<Snapshot<T>, StoreError> {
        // Nobody closes it: without a permit there is only one reader too many.
        let _turn = self.reading.acquire().await;
        let read = || {
            guarded(|| {
                let (snapshot, as_of) = self.view.read_from(self.clock.now(), Readers::snapshot)?;
                let value = snapshot.read(|conn| rows(conn, as_of))?;
                Ok(Snapshot::new(value, as_of))
            })?
        };
        match read() {
            Err(StoreError::Unavailable(_)) => {
                // Its guard never holds, so it leaves no trace.
                let nothing = Guard::VersionIs(Key::system("").build(), Version::default());
                self.writing.commit(Txn::new("read").guard(nothing), &LIMITS).await?;
                read()
            }
            answer => answer,
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    fn capabilities(&self) -> StoreCapabilities {
        LIMITS
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.0.read(|conn, now| rows::get_many(conn, keys, now)).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.0.read(|conn, now| rows::page(conn, &query, now)).await
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
        snapshot::take(self).await
    }
}
