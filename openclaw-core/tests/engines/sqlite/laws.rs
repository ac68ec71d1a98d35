//! The laws of stores, on a file of SQLite.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use openclaw_core::store::{MemoryStore, SqliteStore, StateStore};
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
struct Files {
    folder: TempDir,
    clock: ManualClock,
    made: AtomicU32,
    last: Mutex<PathBuf>,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: ManualClock::default(),
            made: AtomicU32::new(0),
            last: Mutex::default(),
        }
    }

    fn open(&self, path: &Path) -> Box<dyn StateStore> {
        Box::new(SqliteStore::open(path, Arc::new(self.clock.clone())).expect("a store"))
    }
}

#[async_trait::async_trait]
impl StoreHarness for Files {
    async fn fresh(&self) -> Box<dyn StateStore> {
        let name = format!("{}.db", self.made.fetch_add(1, Ordering::SeqCst));
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

store_laws!("SqliteStore", Files::new());

#[test]
fn no_law_is_left_out() {
    let files = Files::new();
    for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
        assert_eq!(check(law, &files), Verdict::Held, "{law}");
    }
}
