//! The engine for several boxes that have a Redis: one script a commit.

mod address;
mod fault;
mod link;
mod merge;
mod script;
mod snapshot;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use self::{
    address::Address,
    fault::Fault,
    link::{Durability, Way},
    merge::{Driver, Queue},
    script::{Answer, COMMIT, Call, GET, Keys, RAISE, SCAN, SWEEP, Text},
};
use super::tls::{Connector, Tls};
use crate::{
    Clock, Timestamp,
    traits::store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, Version,
    },
};

/// Bytes of a page behind which it ends early.
const PAGE_BYTES: usize = 8 << 20;

/// Expired rows that one script skips, or clears away.
const EXPIRED: usize = 10_000;

const USUAL: StoreCapabilities = StoreCapabilities::new(true);

/// A [`StateStore`] in a Redis, shared by processes on several boxes.
///
/// A script checks commits and writes them, so that each is whole or nothing, also in the server's
/// file. Commits that wait are merged into one script, with outcomes of their own: the more
/// callers, the more commits a sync of the server carries. Clones share the connection.
///
/// * **Durable** means the disk of this one server: `appendonly yes`, `appendfsync always`,
///   `no-appendfsync-on-rewrite no` and `maxmemory-policy noeviction`, looked up at every new
///   connection. A failover to a replica may lose commits that were answered; so does a
///   `FLUSHALL`.
/// * **Lost answers.** A commit that was sent and not answered is
///   [`StoreError::OutcomeUnknown`]. The next call makes a new connection and ends the old one on
///   the server, so that what is read back stays. Reads whose connection breaks are asked once
///   more.
/// * **Time** is the server's, unless [`clock`](RedisStoreBuilder::clock) gives another. It never
///   goes back behind a commit, nor behind what this store and its clones have seen.
/// * **Limits.** Versions are counted to 2^53, and times to the year 287,396. All rows lie in
///   the server's memory; without any left, commits that write answer [`StoreError::Full`],
///   and those that only delete go on. A page ends early behind 8 MiB.
/// * A [`snapshot`](StateStore::snapshot) is one script that reads all rows into the memory of
///   this process. The server answers nobody meanwhile, so over 64 MiB it is `Unsupported`: use
///   the server's own `BGSAVE`.
/// * **TLS**: `rediss://host:port/0`, with the feature `tls`. The server's certificate is always
///   checked: against the system's authorities, those in `?sslrootcert=FILE` or those of the
///   builder. `sslcert` and `sslkey` are for a server that wants to know its clients.
/// * The server is version 6.2 or later, or one that runs its scripts. In a cluster all keys of
///   a store are in one slot: name the node that has it.
///
/// ```
/// use openclaw_core::store::{Commit, Key, Op, RedisStore, StateStore, StateStoreExt, Txn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = openclaw_testkit::servers::Redis::builder().start_or_skip().await?;
/// # let Some(server) = server else { return Ok(()) };
/// # let url = server.url();
/// let store = RedisStore::open(&url).await?; // redis://127.0.0.1:6379/0
/// let key = Key::system("doc").text("greeting").build();
/// let put = Txn::new("docs").op(Op::put(key.clone(), "hello"));
/// assert!(matches!(store.commit(put).await?, Commit::Applied(_)));
/// assert_eq!(store.get(&key).await?.map(|e| e.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>, Arc<Driver>);

struct Inner {
    way: Way,
    prefix: String,
    clock: Option<Arc<dyn Clock>>,
    limits: StoreCapabilities,
    queue: Queue,
    /// The latest time that was answered, in milliseconds.
    seen: AtomicU64,
}

/// Settings of a [`RedisStore`].
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::store::{RedisStore, StoreError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let builder = RedisStore::builder().prefix("billing").timeout(Duration::from_secs(2));
/// let nobody = builder.open("redis://:s3cr3t@127.0.0.1:1/0").await;
/// let Err(StoreError::Unavailable(why)) = nobody else { panic!("{nobody:?}") };
/// assert!(why.starts_with("redis://127.0.0.1:1/0 can't be reached"), "{why}");
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `open`"]
pub struct RedisStoreBuilder {
    prefix: String,
    timeout: Duration,
    clock: Option<Arc<dyn Clock>>,
    durability: Durability,
    tls: Option<Tls>,
}

impl RedisStore {
    /// Opens the store at this address, and makes it when there is none.
    ///
    /// # Errors
    /// `Unavailable` when the server can't be reached or does not serve, `Unsupported` when it
    /// is not durable or the address can't be used, `Corrupt` when something else is in the
    /// store's place. Each names host and port and what to do, and never the password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::builder().open(url).await
    }

    /// Starts with the usual settings.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder {
            prefix: "openclaw".to_owned(),
            timeout: Duration::from_secs(10),
            clock: None,
            durability: Durability::Checked,
            tls: None,
        }
    }
}

impl RedisStoreBuilder {
    /// Sets what all keys of the store begin with, `openclaw` otherwise.
    ///
    /// Stores of different prefixes in one server know nothing of each other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a connection, and then an answer, may take; 10 s otherwise.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes the time from this clock and not from the server.
    ///
    /// For tests. Processes that share a store need one clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Accepts a server that may lose commits; the capabilities say so then.
    pub const fn not_durable(mut self) -> Self {
        self.durability = Durability::None;
        self
    }

    /// Takes the server's settings for durable without a look at them.
    ///
    /// For managed servers that forbid `CONFIG GET`. Where they forbid `CLIENT KILL` too, a
    /// commit whose outcome was unknown may come through after it was read back.
    pub const fn trust_durability(mut self) -> Self {
        self.durability = Durability::Trusted;
        self
    }

    /// Sets whom to trust at a `rediss:` address, instead of the system's authorities.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What secures the connection, where the address asks for it.
    fn connector(&self, address: &Address) -> Result<Option<Connector>, StoreError> {
        match (&address.tls, &self.tls) {
            (Some(files), own) => files.clone().connector(own.as_ref(), None).map(Some),
            (None, None) => Ok(None),
            (None, Some(_)) => {
                let why = format!("{address} with certificates: write rediss: and not redis:");
                Err(StoreError::Unsupported(why))
            }
        }
    }

    /// Opens the store, and makes it when there is none.
    ///
    /// # Errors
    /// As [`RedisStore::open`]; `Unsupported` for a prefix that is empty or has a brace.
    pub async fn open(self, url: &str) -> Result<RedisStore, StoreError> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            let why = "a prefix of keys that is empty or has a brace: choose another";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        let keys = Keys::under(&self.prefix);
        let address = Address::read(url)?;
        let tls = self.connector(&address)?;
        let way = Way::new((address, tls), keys, self.durability, self.timeout);
        way.open().await?;
        let durable = self.durability != Durability::None;
        let inner = Inner {
            way,
            prefix: self.prefix,
            clock: self.clock,
            limits: StoreCapabilities { durable, ..USUAL.shared() },
            queue: Queue::new(),
            seen: AtomicU64::new(0),
        };
        Ok(RedisStore(Arc::new(inner), Arc::default()))
    }
}

type Outcome = Result<Commit, StoreError>;

impl Inner {
    fn call(&self, text: &'static Text) -> Call {
        let seen = Timestamp::from_millis(self.seen.load(Ordering::SeqCst));
        Call::new(text, &self.way.keys).at(self.clock.as_ref().map(|clock| clock.now()), seen)
    }

    /// Runs a script that changes nothing a second run would change again.
    async fn read(&self, call: Call) -> Result<Answer, StoreError> {
        let value = match self.way.run(&call).await {
            Err(Fault::Lost(_)) => self.way.run(&call).await,
            answer => answer,
        };
        let answer = Answer::read(value.map_err(Fault::read)?)?;
        self.see(answer.as_of);
        Ok(answer)
    }

    fn see(&self, as_of: Timestamp) {
        self.seen.fetch_max(as_of.as_millis(), Ordering::SeqCst);
    }

    async fn page(&self, query: &ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.page_within(query, PAGE_BYTES).await
    }

    async fn page_within(
        &self,
        query: &ScanQuery,
        bytes: usize,
    ) -> Result<Snapshot<Page>, StoreError> {
        loop {
            let call = self.call(&SCAN).query(query, bytes, EXPIRED);
            let answer = self.read(call).await?;
            let as_of = answer.as_of;
            if let Some(page) = answer.page()? {
                return Ok(Snapshot::new(page, as_of));
            }
            while self.read(self.call(&SWEEP).limit(EXPIRED)).await?.count()? == EXPIRED as u64 {}
        }
    }

    /// Commits what fits into one script.
    async fn batch(&self, txns: &[Txn]) -> Vec<Outcome> {
        let answer = self.way.run(&self.call(&COMMIT).txns(txns.iter())).await;
        let outcomes = match answer {
            Ok(value) => Answer::read(value).and_then(|answer| {
                self.see(answer.as_of);
                answer.outcomes(&self.way.at)
            }),
            Err(Fault::Refused(e)) => return txns.iter().map(|_| Err(e.clone())).collect(),
            Err(Fault::Lost(e) | Fault::Late(e)) => Err(e),
        };
        match outcomes {
            Ok(outcomes) if outcomes.len() == txns.len() => outcomes,
            _ => txns.iter().map(|txn| Err(StoreError::OutcomeUnknown(txn.id))).collect(),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, prefix) = (&self.0.way.at, &self.0.prefix);
        f.debug_struct("RedisStore").field("at", at).field("prefix", prefix).finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for RedisStore {
    fn capabilities(&self) -> StoreCapabilities {
        self.0.limits.clone()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let answer = self.0.read(self.0.call(&GET).keys(keys)).await?;
        let as_of = answer.as_of;
        Ok(Snapshot::new(answer.rows()?, as_of))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.0.page(&query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check(&self.0.limits)?;
        let id = txn.id;
        let outcome = self.1.commit(&self.0, vec![txn]).await.pop();
        outcome.unwrap_or(Err(StoreError::OutcomeUnknown(id)))
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let checked: Vec<_> = txns.iter().map(|txn| txn.check(&self.0.limits)).collect();
        let mut fits = checked.iter().map(Result::is_ok);
        let txns = txns.into_iter().filter(|_| fits.next() == Some(true)).collect();
        let mut outcomes = self.1.commit(&self.0, txns).await.into_iter();
        let missing = || StoreError::Unavailable(format!("{}: no answer", self.0.way.at));
        let next = |check: Result<(), StoreError>| {
            check.and_then(|()| outcomes.next().unwrap_or_else(|| Err(missing())))
        };
        checked.into_iter().map(next).collect()
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        least.check_raise()?;
        let least = usize::try_from(least.get()).unwrap_or(usize::MAX);
        self.0.read(self.0.call(&RAISE).limit(least)).await.map(drop)
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        snapshot::take(self).await
    }
}
