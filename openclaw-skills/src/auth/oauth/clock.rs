//! The store's time: the dates of a row are by it, because whoever judges them reads it.

use std::sync::atomic::{AtomicI64, Ordering};

use openclaw_core::{Env, Timestamp};

/// The store's clock, as far as this process knows it.
#[derive(Debug)]
pub(super) struct StoreTime {
    env: Env,
    /// How many milliseconds it is ahead of ours.
    ahead: AtomicI64,
}

impl StoreTime {
    /// Taken for ours, until the store has told it.
    pub(super) const fn new(env: Env) -> Self {
        Self { env, ahead: AtomicI64::new(0) }
    }

    /// The store has told its time.
    pub(super) fn told(&self, store: Timestamp) {
        let ahead = i128::from(store.as_millis()) - i128::from(self.env.now().as_millis());
        self.ahead.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The store's time now; behind it by what its last answer took, unless ours was set since.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_millis(self.env.now().as_millis().saturating_add_signed(ahead))
    }
}
