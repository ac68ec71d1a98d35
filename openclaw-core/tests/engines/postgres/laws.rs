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
}

impl Schemas {
    async fn open(&self, address: &str) -> Box<dyn StateStore> {
        let store = builder().clock(Arc::new(self.clock.clone())).open(address).await;
        Box::new(store.expect("a store"))
    }
}

#[async_trait::async_trait]
impl StoreHarness for Schemas {
    async fn fresh(&self) -> Box<dyn StateStore> {
        let Some(address) = fresh() else {
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

#[test]
fn no_law_is_left_out() {
    if SERVER.is_some() {
        for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
            assert_eq!(check(law, &Schemas::default()), Verdict::Held, "{law}");
        }
    }
}
