//! The laws of stores, each on a directory of its own.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
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

use super::open_again;

/// Each store in a directory of its own; the last one is opened again.
struct Directories {
    folder: TempDir,
    clock: ManualClock,
    made: AtomicU32,
    last: Mutex<PathBuf>,
}

impl Directories {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock: ManualClock::default(),
            made: AtomicU32::new(0),
            last: Mutex::default(),
        }
    }

    fn open(&self, path: &Path) -> Box<dyn StateStore> {
        Box::new(open_again(path, &self.clock))
    }
}

#[async_trait::async_trait]
impl StoreHarness for Directories {
    async fn fresh(&self) -> Box<dyn StateStore> {
        let path = self.folder.path().join(self.made.fetch_add(1, Ordering::SeqCst).to_string());
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

store_laws!("FjallStore", Directories::new());

#[test]
fn no_law_is_left_out() {
    let directories = Directories::new();
    for (law, _) in check_all(&on(MemoryStore::new)).not_declared {
        assert_eq!(check(law, &directories), Verdict::Held, "{law}");
    }
}
