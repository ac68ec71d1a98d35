//! The laws of stores, run on every engine and on every pointer to one.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use openclaw_core::store::MemoryStore;
use openclaw_testkit::conformance::store::{LAWS, check_all, on};

mod memory {
    use openclaw_core::store::MemoryStore;
    use openclaw_testkit::{conformance::store::on, store_laws};

    store_laws!("MemoryStore", on(MemoryStore::new));
}

mod shared {
    use std::sync::Arc;

    use openclaw_core::store::MemoryStore;
    use openclaw_testkit::{conformance::store::on, store_laws};

    store_laws!("Arc<MemoryStore>", on(|clock| Arc::new(MemoryStore::new(clock))));
}

mod boxed {
    use openclaw_core::store::{MemoryStore, StateStore};
    use openclaw_testkit::{conformance::store::on, store_laws};

    store_laws!(
        "Box<dyn StateStore>",
        on(|clock| Box::new(MemoryStore::new(clock)) as Box<dyn StateStore>)
    );
}

#[cfg(feature = "redb")]
pub(crate) mod redb {
    use std::{
        path::{Path, PathBuf},
        sync::{
            Arc, Mutex, PoisonError,
            atomic::{AtomicU32, Ordering},
        },
    };

    use openclaw_core::store::{MemoryStore, StateStore};
    use openclaw_testkit::{
        conformance::{
            Verdict,
            store::{StoreHarness, check, check_all, on},
        },
        env::ManualClock,
        store_laws,
    };
    use tempfile::TempDir;

    /// Each store in a file of its own; the last one is opened again.
    pub(crate) struct Files {
        folder: TempDir,
        clock: ManualClock,
        made: AtomicU32,
        last: Mutex<PathBuf>,
    }

    impl Files {
        pub(crate) fn new() -> Self {
            Self {
                folder: tempfile::tempdir().expect("a folder"),
                clock: ManualClock::default(),
                made: AtomicU32::new(0),
                last: Mutex::default(),
            }
        }

        fn open(&self, path: &Path) -> Box<dyn StateStore> {
            let clock: Arc<dyn openclaw_core::Clock> = Arc::new(self.clock.clone());
            Box::new(crate::redb::open_again(path, &clock))
        }
    }

    #[async_trait::async_trait]
    impl StoreHarness for Files {
        async fn fresh(&self) -> Box<dyn StateStore> {
            let name = format!("{}.redb", self.made.fetch_add(1, Ordering::SeqCst));
            let path = self.folder.path().join(name);
            self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&path);
            self.open(&path)
        }

        fn clock(&self) -> Option<&ManualClock> {
            Some(&self.clock)
        }

        async fn reopen(&self, store: Box<dyn StateStore>) -> Option<Box<dyn StateStore>> {
            drop(store);
            let path = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Some(self.open(&path))
        }

        fn real_time(&self) -> bool {
            true
        }
    }

    store_laws!("RedbStore", Files::new());

    #[test]
    fn no_law_is_left_out() {
        let files = Files::new();
        for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
            assert_eq!(check(law, &files), Verdict::Held, "{law}");
        }
    }
}

#[test]
fn the_memory_store_leaves_out_only_what_needs_a_file() {
    let report = check_all(&on(MemoryStore::new));
    let left_out: Vec<&str> = report.not_declared.iter().map(|(_, what)| *what).collect();
    assert_eq!(left_out, ["durable"; 5]);
    assert_eq!(report.held.len() + 5, LAWS.len());
}
