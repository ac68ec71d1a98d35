//! The embedded engine: one file, one process, durable at power loss.

mod backend;
mod fault;
mod rows;
mod snapshot;
mod source;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use redb::{Database, ReadTransaction, ReadableDatabase};

use self::{fault::fault, source::Source, writer::Writer};
use super::{
    Disk,
    embedded::{Batches, View, Writing, guarded},
};
use crate::{
    Clock, Timestamp,
    traits::store::{
        Commit, Entry, Guard, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};

const LIMITS: StoreCapabilities = StoreCapabilities::new(true);

/// A durable [`StateStore`] in one file.
///
/// Commits of all callers go through one thread, which writes what waits as one batch with one
/// sync: the more callers, the more commits a sync carries. Reads run where they are called, on
/// a snapshot, and see every commit that was answered before.
///
/// Clones share the store. Dropping the last one writes what is queued and closes the file;
/// it blocks for as long as that takes.
///
/// * One process, one store: another one that opens the file gets [`StoreError::Locked`].
/// * When a sync fails, its commits answer [`StoreError::OutcomeUnknown`], and the store is
///   closed for good: a sync is never tried again. Opening it again shows what was kept.
/// * Any other error of the file refuses the batch, which left no trace. The file is opened
///   again, so that a full disk needs no restart; a sync that fails there closes the store, too.
/// * The store's time never goes back while it is open, nor behind the last commit when it is
///   opened again; an orderly close keeps also the time that only reads have seen.
/// * While a [`snapshot`](StateStore::snapshot) is held, the file grows by what commits replace.
///
/// ```
/// use openclaw_core::{Env, store::{Commit, Key, Op, RedbStore, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (dir, clock) = (tempfile::tempdir()?, Env::system().clock());
/// let path = dir.path().join("state.redb");
/// let key = Key::system("doc").text("greeting").build();
///
/// let store = RedbStore::open(&path, clock.clone())?;
/// let put = Txn::new("docs").op(Op::put(key.clone(), "hello"));
/// assert!(matches!(store.commit(put).await?, Commit::Applied(_)));
/// drop(store);
///
/// let store = RedbStore::open(&path, clock)?;
/// assert_eq!(store.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedbStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    view: Arc<View<Database>>,
    writing: Writing,
}

/// Settings of a [`RedbStore`].
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Env, store::{RedbStore, StateStore}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = RedbStore::builder()
///     .linger(Duration::from_micros(200))
///     .cache(64 << 20)
///     .open(dir.path().join("state.redb"), Env::system().clock())?;
/// assert!(store.capabilities().durable);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `open`"]
pub struct RedbStoreBuilder {
    batches: Batches,
    cache: usize,
    disk: Option<Arc<dyn Disk>>,
}

impl RedbStore {
    /// Opens the store in this file, and makes the file when there is none.
    ///
    /// # Errors
    /// `Locked` when it is open elsewhere, `Corrupt` when it is no store, `Full` or
    /// `Unavailable` when it can't be used. Each names the path and what to do.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::builder().open(path, clock)
    }

    /// Starts with the usual settings.
    pub const fn builder() -> RedbStoreBuilder {
        RedbStoreBuilder { batches: Batches::USUAL, cache: 8 << 20, disk: None }
    }
}

impl RedbStoreBuilder {
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

    /// Sets how many bytes of the file are kept in memory. 8 MiB.
    ///
    /// It fills with use. What is not in it comes from the operating system's own cache.
    pub const fn cache(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// Keeps the rows on this disk; the path only names it in errors.
    ///
    /// A disk has no locks: give it to one store.
    pub fn disk(mut self, disk: impl Disk) -> Self {
        self.disk = Some(Arc::new(disk));
        self
    }

    /// Opens the store, and makes its file when there is none.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open(
        self,
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<RedbStore, StoreError> {
        let path = path.as_ref().to_owned();
        let source = Source { path: path.clone(), disk: self.disk, cache: self.cache };
        let opened = source.open()?;
        let (writer, view) = Writer::new(source, opened, Arc::clone(&clock));
        let writing = Writing::start("openclaw-redb", self.batches, writer)?;
        Ok(RedbStore(Arc::new(Inner { path, clock, view, writing })))
    }
}

impl Inner {
    /// Reads from one snapshot.
    ///
    /// When the file has failed, the writer opens it again first, as it does for a commit.
    async fn read<T>(
        &self,
        rows: impl Fn(&ReadTransaction, Timestamp) -> Result<T, StoreError> + Sync,
    ) -> Result<Snapshot<T>, StoreError> {
        let read = || {
            guarded(|| {
                let (txn, as_of) =
                    self.view.read(self.clock.now(), |db| db.begin_read().map_err(fault))?;
                Ok(Snapshot::new(rows(&txn, as_of)?, as_of))
            })?
        };
        match read() {
            Err(StoreError::Unavailable(_) | StoreError::Full(_)) => {
                // Its guard never holds, so it leaves no trace.
                let nothing = Guard::VersionIs(Key::system("").build(), Version::default());
                self.writing.commit(Txn::new("read").guard(nothing), &LIMITS).await?;
                read()
            }
            answer => answer,
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for RedbStore {
    fn capabilities(&self) -> StoreCapabilities {
        LIMITS
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.0.read(|txn, now| rows::get_many(txn, keys, now)).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.0.read(|txn, now| rows::page(txn, &query, now)).await
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
