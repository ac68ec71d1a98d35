//! One connection: made, set up, driven, and cut when nobody knows what it is in.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Error, NoTls};

use super::{fault::fault, shared::Shared};
use crate::traits::store::StoreError;

/// What a commit may wait for between two of its messages, at most.
const IDLE: Duration = Duration::from_secs(10);

/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Sets what the server has of these, and nothing else.
///
/// All our statements go by an index: plans without one are not even tried, and none of them is
/// worth compiling, whatever cost that makes up.
const SET_UP: &str = "SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES \
     ('statement_timeout', $1::text), ('idle_in_transaction_session_timeout', $2::text), \
     ('default_transaction_isolation', 'read committed'), ('enable_seqscan', 'off'), \
     ('enable_bitmapscan', 'off'), ('jit', 'off')) v(name, value) ON v.name = s.name";

/// A connection. Dropped in the middle of something, it is cut.
pub(super) struct Link {
    pub(super) client: Client,
    driver: Option<JoinHandle<()>>,
    /// Was every request answered?
    idle: bool,
}

impl Link {
    /// Connects and sets the session up.
    pub(super) async fn connect(shared: &Shared) -> Result<Self, StoreError> {
        let (place, within) = (&shared.place, shared.limits.connect);
        let late = |_| {
            StoreError::Unavailable(format!(
                "postgres at {place}: no connection within {within:?}: check the host, the port \
                 and what lies between"
            ))
        };
        let connected = async {
            // Dropped before it is set up, it ends with its client.
            let (client, driver) = dial(shared).await?;
            let link = Self { client, driver: Some(driver), idle: false };
            let limit = shared.limits.request;
            let pause = limit.min(IDLE);
            let [limit, pause] = [limit, pause].map(|d| d.as_millis().to_string());
            link.client.query(SET_UP, &[&limit, &pause]).await?;
            Ok(link)
        };
        let connected: Result<Self, Error> = timeout(within, connected).await.map_err(late)?;
        connected.map(Self::rested).map_err(|e| fault(place, &e))
    }

    fn rested(mut self) -> Self {
        self.idle = true;
        self
    }

    /// Something is asked: until [`Self::settled`] a drop cuts the connection.
    pub(super) const fn begin(&mut self) -> &Client {
        self.idle = false;
        &self.client
    }

    /// Everything was answered.
    pub(super) const fn settled(&mut self) {
        self.idle = true;
    }

    /// Ends in good order.
    pub(super) async fn close(mut self) {
        if let Some(driver) = self.driver.take_if(|_| self.idle) {
            drop(self);
            drop(timeout(GOODBYE, driver).await);
        }
    }

    /// Can it be used again?
    pub(super) fn is_usable(&self) -> bool {
        self.idle && !self.client.is_closed()
    }
}

/// Connects, over TLS where that was asked for.
async fn dial(shared: &Shared) -> Result<(Client, JoinHandle<()>), Error> {
    let config = &shared.place.config;
    match &shared.tls {
        #[cfg(feature = "tls")]
        Some(tls) => {
            let handshakes = super::tls::Handshakes(tls.clone());
            let (client, connection) = config.connect(handshakes).await?;
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        }
        _ => {
            let (client, connection) = config.connect(NoTls).await?;
            Ok((client, tokio::spawn(async move { drop(connection.await) })))
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The driver would wait for answers that nobody reads, and keep locks for as long.
        if let Some(driver) = self.driver.as_ref().filter(|_| !self.idle) {
            driver.abort();
        }
    }
}
