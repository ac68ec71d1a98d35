//! The atomics and the lock of a layer's state, so that a model checker can bring its own.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::words::flag::Bit;

/// Sixty-four shared bits.
pub(super) trait Atomic: Send + Sync + 'static {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    fn add(&self, more: u64);
    /// Writes `new` where `old` still stands; else what stands there.
    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64>;
}

/// A lock that is held for a few instructions.
pub(super) trait Lock<T> {
    fn new(value: T) -> Self;
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

/// Where atomics and locks come from.
pub(super) trait Kit: Send + Sync + 'static {
    type Atomic: Atomic;
    type Bit: Bit;
    type Lock<T>: Lock<T>;
}

/// The machine's own.
#[derive(Debug)]
pub(super) struct Native;

impl Kit for Native {
    type Atomic = AtomicU64;
    type Bit = AtomicBool;
    type Lock<T> = Mutex<T>;
}

impl Atomic for AtomicU64 {
    #[inline]
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn add(&self, more: u64) {
        self.fetch_add(more, Ordering::Relaxed);
    }

    #[inline]
    fn exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
}

impl<T> Lock<T> for Mutex<T> {
    #[inline]
    fn new(value: T) -> Self {
        Self::new(value)
    }

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
