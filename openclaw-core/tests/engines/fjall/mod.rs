//! `FjallStore`: what the store contract says, on real directories and on disks that fail.

mod laws;

use std::{path::Path, sync::Arc};

use openclaw_core::store::{FjallStore, StoreError};
use openclaw_testkit::env::ManualClock;

/// Opens a directory that was just closed.
///
/// Another test may start a process at this moment: between fork and exec the child holds every
/// file lock of this process.
fn open_again(path: &Path, clock: &ManualClock) -> FjallStore {
    for _ in 0..100_000 {
        match FjallStore::open(path, Arc::new(clock.clone())) {
            Err(StoreError::Locked(_)) => std::thread::yield_now(),
            opened => return opened.expect("a store"),
        }
    }
    panic!("{} stays locked", path.display());
}
