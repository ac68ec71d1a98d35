//! `StateStore`: a small versioned key-value store with guarded atomic batches.

mod key;
mod txn;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::{
    key::{Key, KeyBuilder, MAX_KEY_LEN, Prefix},
    txn::{Applied, Commit, Conflict, Guard, Op, Txn, TxnId},
};
use crate::{Timestamp, words::error::Error};

/// The version of a row, and the fencing token of whoever wrote it.
///
/// Monotonic per key and per [`Op::Append`] prefix, and never used twice, not even after a
/// delete. Many engines have one counter for the whole store; nothing may rely on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version with this number.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The highest version that a store can be raised to.
    ///
    /// What is left above it suffices for good, and an engine may count in floating-point numbers.
    pub const HIGHEST: Self = Self(1 << 52);

    /// Refuses a version that no store is raised to.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] over [`Version::HIGHEST`].
    pub fn check_raise(self) -> Result<(), StoreError> {
        if self <= Self::HIGHEST {
            return Ok(());
        }
        let size = |version: Self| usize::try_from(version.0).unwrap_or(usize::MAX);
        let (size, limit) = (size(self), size(Self::HIGHEST));
        Err(StoreError::TooLarge { what: "version", size, limit })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A row as it was read.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What was put.
    pub value: Bytes,
    /// The version of the commit that put it.
    pub version: Version,
    /// When the row ceases to exist, by the store's clock.
    pub expires_at: Option<Timestamp>,
}

impl Entry {
    /// A row without expiry.
    #[must_use]
    pub const fn new(value: Bytes, version: Version) -> Self {
        Self { value, version, expires_at: None }
    }

    /// The same row with an expiry.
    #[must_use]
    pub const fn expiring(mut self, at: Option<Timestamp>) -> Self {
        self.expires_at = at;
        self
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} bytes, {}", self.value.len(), self.version)?;
        self.expires_at.map_or(Ok(()), |at| write!(f, ", expires {at}"))?;
        f.write_str(")")
    }
}

/// An answer from one consistent state, with the store's own time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot<T> {
    /// What was read.
    pub value: T,
    /// The store's clock; it never goes back within one store.
    pub as_of: Timestamp,
}

impl<T> Snapshot<T> {
    /// An answer as of this time.
    #[must_use]
    pub const fn new(value: T, as_of: Timestamp) -> Self {
        Self { value, as_of }
    }
}

/// Which rows to read, in bytewise order of their keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScanQuery {
    /// Only keys that start with this.
    pub prefix: Prefix,
    /// Only keys behind this one (before it when `reverse`): the last key of the page before.
    pub after: Option<Key>,
    /// From the end.
    pub reverse: bool,
    /// At most this many rows.
    pub limit: NonZeroUsize,
}

impl ScanQuery {
    /// The first 256 rows under this prefix.
    #[must_use]
    pub const fn new(prefix: Prefix) -> Self {
        const PAGE: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self { prefix, after: None, reverse: false, limit: PAGE }
    }

    /// Continues behind this key.
    #[must_use]
    pub fn after(mut self, key: Option<Key>) -> Self {
        self.after = key;
        self
    }

    /// Reads from the end.
    #[must_use]
    pub const fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Reads at most this many rows.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.limit = limit;
        self
    }
}

/// One page of a scan.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The rows, in order.
    pub rows: Vec<(Key, Entry)>,
    /// True when rows may follow: continue behind the last key.
    pub more: bool,
}

impl Page {
    /// A page of these rows.
    #[must_use]
    pub const fn new(rows: Vec<(Key, Entry)>, more: bool) -> Self {
        Self { rows, more }
    }
}

/// What a store is able to promise; facts, proven by the conformance laws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCapabilities {
    /// An applied commit survives power loss.
    pub durable: bool,
    /// Several processes may open it at once.
    pub shared: bool,
    /// Whoever commits always learns the outcome: it is never [`StoreError::OutcomeUnknown`].
    pub certain: bool,
    /// Bytes of the largest value.
    pub max_value: usize,
    /// Operations in the largest transaction.
    pub max_ops: usize,
}

impl StoreCapabilities {
    /// A store of one process, with the usual limits: 4 MiB a value, 128 operations.
    #[must_use]
    pub const fn new(durable: bool) -> Self {
        Self { durable, shared: false, certain: false, max_value: 4 << 20, max_ops: 128 }
    }

    /// The same store, open to several processes.
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The same store, where a commit may, or may not, end with an unknown outcome.
    ///
    /// Who commits to a certain one keeps no copy to look it up by. A wrapper that can lose an
    /// answer has to say that it is not.
    #[must_use]
    pub const fn certain(mut self, certain: bool) -> Self {
        self.certain = certain;
        self
    }
}

/// Why a store did not answer.
///
/// A lost race is not here: it is [`Commit::Conflict`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was applied; the store can't be reached or can't serve now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The commit may have been applied: read back before anything else.
    #[error("nobody knows whether commit {0} was applied")]
    OutcomeUnknown(TxnId),
    /// A row or the file can't be read.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// A key, a value or a transaction is over its limit; nothing was applied.
    #[error("too large: {what} has {size}, at most {limit} fit")]
    TooLarge {
        /// The thing: key, value, operations.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// No space is left; nothing was applied.
    #[error("no space is left: {0}")]
    Full(String),
    /// Somebody else has it open.
    #[error("the store is in use: {0}")]
    Locked(String),
    /// The store was closed, or an earlier fault poisoned it.
    #[error("the store is closed: {0}")]
    Closed(String),
    /// This store does not offer the operation.
    #[error("the store does not support {0}")]
    Unsupported(String),
    /// The caller may not name this; the store was not asked.
    #[error("forbidden: {0}")]
    Forbidden(String),
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        use crate::words::kind::{ErrorKind, Happened};
        let (kind, happened) = match &e {
            StoreError::OutcomeUnknown(_) => (ErrorKind::Unavailable, Happened::Maybe),
            StoreError::TooLarge { .. } => (ErrorKind::ValidationError, Happened::No),
            StoreError::Unsupported(_) => (ErrorKind::Unsupported, Happened::No),
            StoreError::Forbidden(_) => (ErrorKind::PermissionDenied, Happened::No),
            StoreError::Corrupt(_) => (ErrorKind::ServerError, Happened::No),
            _ => (ErrorKind::Unavailable, Happened::No),
        };
        Self::new(kind, e.to_string()).with_happened(happened).with_source(e)
    }
}

/// A small versioned key-value store with guarded atomic batches.
///
/// The contract, each sentence a law in `openclaw_testkit::conformance::store`:
///
/// * **Atomic.** All guards of a [`Txn`] are checked against one state; then all operations
///   apply, or none does. Commits are strictly serialisable.
/// * **Durable.** When `capabilities().durable`, [`Commit::Applied`] is answered only after
///   the commit would survive power loss.
/// * **Versions** grow per key and per append prefix, and are never used twice, not even
///   after a delete or a restart. [`Op::Touch`] keeps the version: a heartbeat keeps the fence.
///   A store that was raised gives out only higher ones.
/// * **Appends are ordered.** Once a reader has seen an appended row, no row with a smaller
///   key appears under that prefix later.
/// * **Expired is absent**, for reads, scans and guards, and never early. Time is the store's
///   own: it never goes back, and every answer carries it. An engine's constructor takes a
///   [`Clock`](crate::Clock), so that tests can move it.
/// * **Errors.** [`StoreError::OutcomeUnknown`] is the only error after which a commit may
///   have been applied. A store whose sync failed never retries it: it answers `Closed` from
///   then on.
/// * **A snapshot** is the store at one moment: no later commit, no half of one, and nothing that
///   expires behind it changes what it shows.
/// * **Cancelling** a call leaves the commit applied or not, never half.
///
/// Wrappers forward every method; `deny(clippy::missing_trait_methods)` on the impl makes the
/// compiler check it.
///
/// ```
/// use openclaw_core::{Env, store::{Commit, Guard, Key, MemoryStore, Op, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let store = MemoryStore::new(Env::system().clock());
/// let key = Key::system("doc").text("greeting").build();
/// let put = Txn::new("docs").guard(Guard::Absent(key.clone())).op(Op::put(key.clone(), "hello"));
/// assert!(matches!(store.commit(put.clone()).await?, Commit::Applied(_)));
/// assert!(matches!(store.commit(put).await?, Commit::Conflict(_)), "a lost race is an answer");
/// assert_eq!(store.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[async_trait]
pub trait StateStore: Send + Sync + fmt::Debug + 'static {
    /// What this store is able to promise.
    fn capabilities(&self) -> StoreCapabilities;

    /// Reads several keys from one state; expired rows are absent.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt` or `Closed`.
    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError>;

    /// Reads a page of rows in bytewise key order, from one state.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt` or `Closed`.
    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError>;

    /// Checks all guards against one state, then applies all operations or none.
    ///
    /// # Errors
    /// `OutcomeUnknown` when it may have been applied; every other error says that it was not.
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError>;

    /// Commits several transactions with independent outcomes, in order.
    ///
    /// The default runs them one by one; an engine with group commit takes them as one batch.
    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit(txn).await);
        }
        outcomes
    }

    /// Gives out only versions over this one from now on; it never lowers them.
    ///
    /// What moves rows here from another store needs it: their keys and fences hold versions.
    /// A durable store has kept it when it answers. By default it is `Unsupported`: such a store can't
    /// be where a copy or a restore goes.
    ///
    /// # Errors
    /// `Unsupported` when the store can't; `TooLarge` over [`Version::HIGHEST`]; else as
    /// [`StateStore::commit`]. Raising again does no harm, so an unknown outcome is tried again.
    async fn raise(&self, _least: Version) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("raising its versions".to_owned()))
    }

    /// Freezes what is stored now, to be read at leisure while commits go on.
    ///
    /// The answer is a store that only reads: every row as of one moment, which is the time of all
    /// its answers. A row that expires behind that moment stays. It answers a commit that has
    /// guards and no operations; the version is the highest that was given out, and whoever
    /// copies needs it. Operations and raises are `Unsupported`.
    ///
    /// Drop it soon: engines keep for it what others have changed since, and a store stays open
    /// for as long as a snapshot of it is held. The default has none.
    ///
    /// ```
    /// use openclaw_core::{Env, store::{Key, MemoryStore, Op, StateStore, StateStoreExt, Txn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> openclaw_core::Result<()> {
    /// let store = MemoryStore::new(Env::system().clock());
    /// let key = Key::system("doc").build();
    /// let put = |text: &'static str| Txn::new("docs").op(Op::put(key.clone(), text));
    /// store.commit(put("before")).await?;
    /// let frozen = store.snapshot().await?;
    /// store.commit(put("after")).await?;
    /// assert_eq!(frozen.get(&key).await?.map(|row| row.value).as_deref(), Some(&b"before"[..]));
    /// assert!(frozen.commit(put("no")).await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unsupported` when the store can't; else as [`StateStore::get_many`]. A snapshot that was
    /// cut off answers `Unavailable` or `Closed` from then on: take another one.
    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        Err(StoreError::Unsupported("snapshots".to_owned()))
    }
}

/// Conveniences over any [`StateStore`].
#[async_trait]
pub trait StateStoreExt: StateStore {
    /// Reads one key.
    ///
    /// # Errors
    /// As [`StateStore::get_many`].
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = self.get_many(std::slice::from_ref(key)).await?;
        Ok(found.value.into_iter().next().flatten())
    }

    /// Reads every row under a prefix, page by page. The pages are separate snapshots.
    ///
    /// # Errors
    /// As [`StateStore::scan`].
    async fn scan_all(&self, prefix: Prefix) -> Result<Vec<(Key, Entry)>, StoreError> {
        let mut rows: Vec<(Key, Entry)> = Vec::new();
        loop {
            let after = rows.last().map(|(key, _)| key.clone());
            let page = self.scan(ScanQuery::new(prefix.clone()).after(after)).await?.value;
            let done = !page.more || page.rows.is_empty();
            rows.extend(page.rows);
            if done {
                return Ok(rows);
            }
        }
    }
}

impl<S: StateStore + ?Sized> StateStoreExt for S {}

/// A store behind a shared pointer, as the gateway keeps it.
pub type SharedStore = Arc<dyn StateStore>;
