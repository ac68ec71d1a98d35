//! The atomics and the lock of a layer's state as a scheduler of threads sees them.

use shuttle::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::kit::{Atomic, Kit, Lock};
use crate::words::flag::Bit;

/// What shuttle watches.
#[derive(Debug)]
pub(super) struct Checked;

impl Kit for Checked {
    type Atomic = AtomicU64;
    type Bit = Watched;
    type Lock<T> = Mutex<T>;
}

impl Atomic for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::SeqCst);
    }

    fn add(&self, more: u64) {
        self.fetch_add(more, Ordering::SeqCst);
    }

    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
    }
}

/// A bit that shuttle watches.
#[derive(Debug)]
pub(super) struct Watched(AtomicBool);

impl Default for Watched {
    fn default() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl Bit for Watched {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        let up = self.0.load(Ordering::SeqCst);
        // Others run before an access: this one lets them run behind the first, too.
        self.0.load(Ordering::SeqCst);
        up
    }
}

impl<T> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock().unwrap())
    }
}
