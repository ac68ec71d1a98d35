//! Settings of a store.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, PostgresStore,
    home::Home,
    place::Place,
    shared::{Limits, Shared},
    writer::Batches,
};
use crate::{
    Clock,
    store::tls::{Connector, Tls},
    traits::store::{StoreCapabilities, StoreError},
};

/// The longest a request may take: the promise about expired rows counts on it.
const MAX_REQUEST: Duration = Duration::from_secs(60);

/// Settings of a [`PostgresStore`].
///
/// ```no_run
/// use std::time::Duration;
/// use openclaw_core::store::PostgresStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// let store = PostgresStore::builder()
///     .schema("billing")
///     .readers(4)
///     .request_timeout(Duration::from_secs(5))
///     .open("postgres://app:secret@db.internal/state")
///     .await?;
/// assert!(!format!("{store:?}").contains("secret"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `open`"]
pub struct PostgresStoreBuilder {
    batches: Batches,
    limits: Limits,
    readers: usize,
    schema: Option<String>,
    clock: Option<Arc<dyn Clock>>,
    relaxed: bool,
    tls: Option<Tls>,
}

impl PostgresStoreBuilder {
    pub(super) const fn new() -> Self {
        Self {
            batches: Batches { linger: Duration::from_micros(100), max: 256 },
            limits: Limits { connect: Duration::from_secs(10), request: Duration::from_secs(30) },
            readers: 8,
            schema: None,
            clock: None,
            relaxed: false,
            tls: None,
        }
    }

    /// Sets the schema that holds the tables, instead of `openclaw` or that of the address.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Sets how many connections read at once, 8 and at least one. One more writes.
    pub const fn readers(mut self, connections: usize) -> Self {
        self.readers = if connections == 0 { 1 } else { connections };
        self
    }

    /// Sets how long the writer waits for the callers it has just answered. 100 µs.
    ///
    /// It waits only when there are several, and stops when they are back.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.batches.linger = linger;
        self
    }

    /// Sets how many transactions share a commit of the server, at least one. 256.
    pub const fn max_batch(mut self, transactions: usize) -> Self {
        self.batches.max = if transactions == 0 { 1 } else { transactions };
        self
    }

    /// Sets how long a connection may take to be made, 10 s by default.
    ///
    /// Of several hosts each has its part of that to be reached, unless the address sets a
    /// `connect_timeout` of its own.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect = limit;
        self
    }

    /// Sets how long a read or a batch may take, 30 s by default, 60 s at most.
    ///
    /// A commit waits for the batch before its own, too.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.limits.request = limit.clamp(Duration::from_millis(1), MAX_REQUEST);
        self
    }

    /// Takes the time from this clock instead of the server's.
    ///
    /// For tests that move time. All stores of a schema must share the clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens a server too whose commits may be lost with the power.
    ///
    /// The store then says that it is not durable, whatever the server's settings are.
    pub const fn relaxed(mut self) -> Self {
        self.relaxed = true;
        self
    }

    /// Sets whom to trust over TLS, instead of the system's authorities; TLS it must be then.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// What secures the connections.
    fn connector(&self, place: &mut Place) -> Result<Option<Connector>, StoreError> {
        place.wants_tls(self.tls.is_some())?;
        let Some(files) = place.tls.take() else { return Ok(None) };
        files.connector(self.tls.as_ref(), Some(b"postgresql")).map(Some)
    }

    /// Opens the store, and makes its tables when there are none.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open(self, address: &str) -> Result<PostgresStore, StoreError> {
        let mut place = Place::parse(address, self.schema.clone())?;
        let tls = self.connector(&mut place)?;
        place.share(self.limits.connect);
        let shown = format!("{place}, schema {}", place.quoted);
        let shared = Shared::new((place, tls), self.limits, self.clock, self.relaxed);
        let home = Home::open(shared, self.batches, self.readers).await?;
        let limits = StoreCapabilities::new(!self.relaxed).shared();
        Ok(PostgresStore(Arc::new(Inner { place: shown, limits, home })))
    }
}
