//! The engine for several boxes: any server that speaks PostgreSQL's wire protocol.

mod batch;
mod builder;
mod fault;
mod home;
mod link;
mod place;
mod reader;
mod rows;
mod schema;
mod shared;
mod snapshot;
#[cfg(feature = "tls")]
mod tls;
mod writer;

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;

pub use self::builder::PostgresStoreBuilder;
use self::{home::Home, reader::Ask};
use super::apply::Row;
use crate::traits::store::{
    Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
    StoreError, Txn, Version,
};

/// A durable [`StateStore`] in a Postgres database, shared by several boxes.
///
/// Commits of all callers go through one task, which writes what waits as one transaction of the
/// server: the more callers, the more commits a sync of the server carries. Any number of stores
/// may be open on one schema; a lock puts their batches in a row. Reads go through a small pool
/// of connections, one statement each, and see every commit that was answered before.
///
/// The store lives on a thread of its own, so it serves whatever runtime asks. Clones share the
/// store. Dropping the last one writes what is queued, and blocks for as long as that takes, at
/// most six seconds.
///
/// * A server with `fsync`, `full_page_writes` or `synchronous_commit` off is refused, unless
///   the builder says [`relaxed`](PostgresStoreBuilder::relaxed). It is asked whenever the
///   writer connects.
/// * A lost connection is made again by the next call. A commit whose COMMIT may have reached
///   the server unanswered is [`StoreError::OutcomeUnknown`]; the next read waits until the
///   server is done with it, so that reading back settles it.
/// * A server that hangs ends a call as `Unavailable` or `OutcomeUnknown` after the limit of
///   the builder. What waits behind it is answered at the same time.
/// * Time is the server's, and never behind the last commit or the last answer of this store.
///   An expired row stays expired for all stores of a schema, as long as the server's clock is
///   not set back; this store's own reads keep that promise even then.
/// * A [`snapshot`](StateStore::snapshot) is a read-only transaction on a connection of its own.
///   The server keeps old rows for it, and ends it when nothing is read for ten minutes; it is
///   `Unavailable` then: take another.
/// * A pooler between must keep sessions apart: settings and statements belong to one.
/// * TLS, with the feature `tls`: `sslmode=verify-full`, or nothing at all, checks the server's
///   certificate and its name; `require` and `verify-ca` mean the same here. Plain is
///   `sslmode=disable`, and an address of this machine that says nothing. `prefer` and `allow`
///   are refused. Trusted are the system's authorities, those in `sslrootcert=FILE` or those of
///   the builder; `sslcert` and `sslkey` are for a server that wants to know its clients.
///
/// ```
/// use openclaw_core::store::{Commit, Key, Op, PostgresStore, StateStore, StateStoreExt, Txn};
/// use openclaw_testkit::servers::Postgres;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let Some(server) = Postgres::builder().start_or_skip().await? else { return Ok(()) };
/// let key = Key::system("doc").text("greeting").build();
///
/// let store = PostgresStore::open(&server.url()).await?;
/// let put = Txn::new("docs").op(Op::put(key.clone(), "hello"));
/// assert!(matches!(store.commit(put).await?, Commit::Applied(_)));
///
/// let other_box = PostgresStore::open(&server.url()).await?;
/// assert_eq!(other_box.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Host, port, database and schema.
    place: String,
    limits: StoreCapabilities,
    home: Home,
}

impl PostgresStore {
    /// Opens the store in this database, and makes its tables when there are none.
    ///
    /// The address is `postgres://user:password@host:port/database`, with `?schema=` for another
    /// schema than `openclaw` and the parameters that Postgres' own programs know.
    ///
    /// # Errors
    /// `Unavailable` when the server can't be reached or refuses this user, `Unsupported` for an
    /// address that can't be read or asks for what is not there, and for a server that is not durable,
    /// `Corrupt` for tables of another layout. Each names the place and what to do, and none
    /// holds the password.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        Self::builder().open(address).await
    }

    /// Starts with the usual settings.
    pub const fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::new()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.0.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for PostgresStore {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.limits.clone()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let found = self.0.home.read(Ask::Get(keys.to_vec())).await?;
        let rows: HashMap<Key, Row, foldhash::fast::RandomState> = found.rows.into_iter().collect();
        let entries = keys.iter().map(|key| rows.get(key).cloned().map(Row::entry)).collect();
        Ok(Snapshot::new(entries, found.now))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let found = self.0.home.read(Ask::scan(&query)).await?;
        let more = found.rows.len() > query.limit.get();
        let rows = found.rows.into_iter().take(query.limit.get());
        let rows = rows.map(|(key, row)| (key, row.entry())).collect();
        Ok(Snapshot::new(Page::new(rows, more), found.now))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.0.home.commit(txn, &self.0.limits).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.0.home.commit_many(txns, &self.0.limits).await
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        least.check_raise()?;
        self.0.home.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        snapshot::take(self).await
    }
}
