//! The store's time: what several processes date and judge by.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Env, Timestamp};

/// Before the store has told its time.
const UNTOLD: i64 = i64::MIN;

/// The store's clock, as far as this process knows it.
///
/// Leases, turns and pauses in a store are judged by its time
/// ([`Snapshot::as_of`](super::Snapshot::as_of)): who dates them by a clock of its own holds a lease
/// that has run out, or one that never does. Each answer of the store tells how far our clock is
/// off, so that no date costs a read.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Env, store::StoreTime};
///
/// let env = Env::system();
/// let time = StoreTime::new(env.clone());
/// assert!(!time.is_told(), "it is taken for ours");
///
/// let ahead = env.now().after(Duration::from_secs(40));
/// time.told(ahead);
/// assert!(time.is_told() && time.now() >= ahead);
/// ```
#[derive(Debug)]
pub struct StoreTime {
    env: Env,
    /// How many milliseconds it is ahead of ours.
    ahead: AtomicI64,
}

impl StoreTime {
    /// The time of a store beside this environment; the environment's own until it was told.
    #[must_use]
    pub const fn new(env: Env) -> Self {
        Self { env, ahead: AtomicI64::new(UNTOLD) }
    }

    /// The store has told its time.
    pub fn told(&self, store: Timestamp) {
        let ahead = i128::from(store.as_millis()) - i128::from(self.env.now().as_millis());
        self.ahead.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
    }

    /// Has the store ever told its time?
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) != UNTOLD
    }

    /// The store's time now; behind it by what its last answer took, unless ours was set since.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.by_store(self.env.now())
    }

    /// What the store's clock shows when ours shows this.
    #[must_use]
    pub fn by_store(&self, ours: Timestamp) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let ahead = if ahead == UNTOLD { 0 } else { ahead };
        Timestamp::from_millis(ours.as_millis().saturating_add_signed(ahead))
    }
}
