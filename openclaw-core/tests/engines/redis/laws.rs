//! The laws of stores, each on a prefix of its own.

use std::sync::{Mutex, PoisonError};

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
}

impl Prefixes {
    async fn open(&self, prefix: &str) -> Box<dyn StateStore> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        match url() {
            Some(url) => {
                let builder = RedisStore::builder().prefix(prefix).clock(clock);
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

#[test]
fn no_law_is_left_out() {
    let prefixes = Prefixes::default();
    let left_out = check_all(&on(MemoryStore::new)).not_declared;
    for (law, _) in left_out.into_iter().filter(|_| url().is_some()) {
        assert_eq!(check(law, &prefixes), Verdict::Held, "{law}");
    }
}
