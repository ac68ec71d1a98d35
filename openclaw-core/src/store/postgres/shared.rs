//! What readers and the writer share: the place, the limits, the time, the doubts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::place::Place;
use crate::{Clock, Timestamp, store::tls::Connector};

/// No batch is older than this: a row that expired longer ago is not being touched.
///
/// It is many times what a session of ours may sit on its locks.
pub(super) const GRACE: Duration = Duration::from_secs(600);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) request: Duration,
}

/// What readers and the writer share.
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) tls: Option<Connector>,
    pub(super) limits: Limits,
    /// The time instead of the server's.
    pub(super) clock: Option<Arc<dyn Clock>>,
    /// May it go without being durable?
    pub(super) relaxed: bool,
    /// The latest time that was answered.
    seen: AtomicU64,
    /// Batches whose outcome nobody knows.
    doubts: AtomicU64,
    /// Of those, how many the server is known to be done with.
    settled: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        (place, tls): (Place, Option<Connector>),
        limits: Limits,
        clock: Option<Arc<dyn Clock>>,
        relaxed: bool,
    ) -> Self {
        let (seen, doubts, settled) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { place, tls, limits, clock, relaxed, seen, doubts, settled }
    }

    /// The earliest time that may be answered now.
    pub(super) fn floor(&self) -> Timestamp {
        let now = self.clock.as_ref().map_or_else(Timestamp::default, |clock| clock.now());
        self.seen().max(now)
    }

    /// The latest time that was answered.
    pub(super) fn seen(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Ordering::SeqCst))
    }

    /// This time is being answered: none goes behind it any more.
    pub(super) fn saw(&self, now: Timestamp) {
        self.seen.fetch_max(now.as_millis(), Ordering::SeqCst);
    }

    /// The outcome of a batch is not known, and the server may still be at it.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
    }

    /// The doubts that a wait for the lock settles, if there are any.
    pub(super) fn doubts(&self) -> Option<u64> {
        let doubts = self.doubts.load(Ordering::SeqCst);
        (doubts > self.settled.load(Ordering::SeqCst)).then_some(doubts)
    }

    /// The server is done with this many of them.
    pub(super) fn settle(&self, doubts: u64) {
        self.settled.fetch_max(doubts, Ordering::SeqCst);
    }
}

/// A number of ours as the database keeps it.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number of the database as one of ours.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

/// When a row expires, as the database keeps it.
pub(super) fn expiry(at: Timestamp) -> Option<i64> {
    (at < Timestamp::MAX).then(|| signed(at.as_millis()))
}

/// When a row of the database expires.
pub(super) fn expires(at: Option<i64>) -> Timestamp {
    at.map_or(Timestamp::MAX, |ms| Timestamp::from_millis(unsigned(ms)))
}
