//! The laws of stores, each on a prefix of its own.

use std::sync::{Mutex, PoisonError};

use openclaw_core::store::RedisStoreBuilder;
use openclaw_testkit::{
    conformance::{
        Verdict, snapshot,
        store::{StoreHarness, check, check_all, on},
    },
    store_laws,
};

use super::*;

/// Each store under a prefix of its own; the last one is opened again.
#[derive(Default)]
struct Prefixes {
    clock: ManualClock,
    last: Mutex<String>,
    /// Another server than the one of all tests, and how to open a store there.
    other: Option<(String, RedisStoreBuilder)>,
}

impl Prefixes {
    async fn open(&self, prefix: &str) -> Box<dyn StateStore> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let common = || url().map(|url| (url, RedisStore::builder()));
        match self.other.clone().or_else(common) {
            Some((url, builder)) => {
                let builder = builder.prefix(prefix).clock(clock);
                Box::new(builder.open(&url).await.expect("a store"))
            }
            // The helper has said that nothing is run.
            None => Box::new(MemoryStore::new(clock)),
        }
    }
}

#[async_trait::async_trait]
impl StoreHarness for Prefixes {
    async fn fresh(&self) -> Box<dyn StateStore> {
        let prefix = fresh_prefix();
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&prefix);
        self.open(&prefix).await
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }

    async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
        drop(store);
        let prefix = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(self.open(&prefix).await)
    }

    fn real_time(&self) -> bool {
        true
    }
}

store_laws!(Prefixes::default());

#[test]
fn conformance() {
    if url().is_some() {
        let report = check_all(&Prefixes::default());
        snapshot(env!("CARGO_MANIFEST_DIR"), "RedisStore", "store", &report);
    }
}

#[cfg(feature = "tls")]
#[test]
fn conformance_over_tls() {
    use openclaw_core::store::Tls;
    use openclaw_testkit::servers::Authority;

    let authority = Authority::new().expect("an authority");
    let builder = Redis::builder().tls(authority.server(&["127.0.0.1"]).expect("a certificate"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let server = runtime.expect("a runtime").block_on(builder.start_or_skip());
    let Some(server) = server.expect("a server") else { return };
    let secured = RedisStore::builder().tls(Tls::roots_from_pem(authority.pem()));
    let other = Some((server.url(), secured));
    let report = check_all(&Prefixes { other, ..Prefixes::default() });
    snapshot(env!("CARGO_MANIFEST_DIR"), "RedisStore over TLS", "store", &report);
}

#[test]
fn no_law_is_left_out() {
    let prefixes = Prefixes::default();
    let left_out = check_all(&on(MemoryStore::new)).not_declared;
    for (law, _) in left_out.into_iter().filter(|_| url().is_some()) {
        assert_eq!(check(law, &prefixes), Verdict::Held, "{law}");
    }
}
