//! The laws of stores, each on a schema of its own.

use std::sync::{Mutex, PoisonError};

use openclaw_core::store::MemoryStore;
use openclaw_testkit::{
    conformance::{
        Verdict, snapshot,
        store::{StoreHarness, check, check_all, on},
    },
    store_laws,
};

use super::*;

/// Each store in a schema of its own; the last one is opened again.
///
/// Where there is no Postgres the laws try the model instead, and the server's helper has said
/// so.
#[derive(Default)]
struct Schemas {
    clock: ManualClock,
    last: Mutex<String>,
    /// Another server than the one of all tests, and how to open a store there.
    other: Option<(String, PostgresStoreBuilder)>,
}

impl Schemas {
    async fn open(&self, address: &str) -> Box<dyn StateStore> {
        let builder = self.other.as_ref().map_or_else(builder, |(_, builder)| builder.clone());
        let store = builder.clock(Arc::new(self.clock.clone())).open(address).await;
        Box::new(store.expect("a store"))
    }
}

#[async_trait::async_trait]
impl StoreHarness for Schemas {
    async fn fresh(&self) -> Box<dyn StateStore> {
        let other = self.other.as_ref().map(|(url, _)| format!("{url}&schema={}", fresh_schema()));
        let Some(address) = other.or_else(fresh) else {
            return Box::new(MemoryStore::new(Arc::new(self.clock.clone())));
        };
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&address);
        self.open(&address).await
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }

    async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
        drop(store);
        let address = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(self.open(&address).await)
    }

    fn real_time(&self) -> bool {
        true
    }
}

store_laws!(Schemas::default());

#[test]
fn conformance() {
    if SERVER.is_some() {
        let report = check_all(&Schemas::default());
        snapshot(env!("CARGO_MANIFEST_DIR"), "PostgresStore", "store", &report);
    }
}

#[cfg(feature = "tls")]
#[test]
fn conformance_over_tls() {
    use openclaw_core::store::Tls;
    use openclaw_testkit::servers::Authority;

    let authority = Authority::new().expect("an authority");
    let certificate = authority.server(&["127.0.0.1"]).expect("a certificate");
    let server = Postgres::builder().setting("max_connections", "200").tls(certificate);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let server = runtime.expect("a runtime").block_on(server.start_or_skip());
    let Some(server) = server.expect("a server") else { return };
    let secured = builder().tls(Tls::roots_from_pem(authority.pem()));
    let other = Some((server.url(), secured));
    let report = check_all(&Schemas { other, ..Schemas::default() });
    snapshot(env!("CARGO_MANIFEST_DIR"), "PostgresStore over TLS", "store", &report);
}

#[test]
fn no_law_is_left_out() {
    if SERVER.is_some() {
        for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
            assert_eq!(check(law, &Schemas::default()), Verdict::Held, "{law}");
        }
    }
}
