//! The store's time: leases and first tries are dated by it, because whoever judges them reads it.

use std::sync::atomic::Ordering;

use super::{Claim, Claims};
use crate::Timestamp;

impl Claims {
    /// The store has told its time.
    pub(super) fn told(&self, store: Timestamp) {
        let ahead = i128::from(store.as_millis()) - i128::from(self.env.now().as_millis());
        self.ahead.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
    }

    /// The store's time now, as far as we know.
    pub(super) fn now(&self) -> Timestamp {
        self.by_store(self.env.now())
    }

    /// What the store's clock shows when ours shows this.
    pub(super) fn by_store(&self, ours: Timestamp) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_millis(ours.as_millis().saturating_add_signed(ahead))
    }
}

impl Claim {
    /// Does its lease end when it should, by what the store's clock shows now?
    ///
    /// A commit has taken its time meanwhile: a third of the lease is left for that.
    pub(super) fn is_dated(&self, now: Timestamp) -> bool {
        let Some(lease) = self.fence.lease() else { return true };
        let due = now.after(lease.length);
        let until = lease.row.until;
        due.since(until).max(until.since(due)) <= lease.length / 3
    }
}
