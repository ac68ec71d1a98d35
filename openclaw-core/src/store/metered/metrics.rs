//! What is counted, and how it is read.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::Serialize;

use crate::traits::store::{Commit, StoreError};

/// Buckets of a latency: the last one ends at 2³¹ microseconds, about 36 minutes.
const BUCKETS: usize = 32;

/// How a call of a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreOutcome {
    /// It was answered: reads, raises and snapshots.
    Answered,
    /// The commit was applied.
    Applied,
    /// The commit lost a race.
    Conflict,
    /// [`StoreError::Unavailable`].
    Unavailable,
    /// [`StoreError::OutcomeUnknown`].
    OutcomeUnknown,
    /// [`StoreError::Corrupt`].
    Corrupt,
    /// [`StoreError::TooLarge`].
    TooLarge,
    /// [`StoreError::Full`].
    Full,
    /// [`StoreError::Locked`].
    Locked,
    /// [`StoreError::Closed`].
    Closed,
    /// [`StoreError::Unsupported`].
    Unsupported,
    /// [`StoreError::Forbidden`].
    Forbidden,
}

impl StoreOutcome {
    const ALL: [Self; 12] = [
        Self::Answered,
        Self::Applied,
        Self::Conflict,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::Corrupt,
        Self::TooLarge,
        Self::Full,
        Self::Locked,
        Self::Closed,
        Self::Unsupported,
        Self::Forbidden,
    ];

    pub(super) const fn of_commit(outcome: &Result<Commit, StoreError>) -> Self {
        match outcome {
            Ok(Commit::Applied(_)) => Self::Applied,
            Ok(Commit::Conflict(_)) => Self::Conflict,
            Err(e) => Self::of_error(e),
        }
    }

    pub(super) const fn of_error(e: &StoreError) -> Self {
        match e {
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown,
            StoreError::Corrupt(_) => Self::Corrupt,
            StoreError::TooLarge { .. } => Self::TooLarge,
            StoreError::Full(_) => Self::Full,
            StoreError::Locked(_) => Self::Locked,
            StoreError::Closed(_) => Self::Closed,
            StoreError::Unsupported(_) => Self::Unsupported,
            StoreError::Forbidden(_) => Self::Forbidden,
        }
    }
}

/// How a store is doing, since its wrapper was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// Reads of named rows.
    pub get_many: CallMetrics,
    /// Reads of pages.
    pub scan: CallMetrics,
    /// Commits of one transaction.
    pub commit: CallMetrics,
    /// Commits of several: a call is a batch, an outcome that of one of its transactions.
    pub commit_many: CallMetrics,
    /// Raises of the versions.
    pub raise: CallMetrics,
    /// Snapshots that were taken; what is read from them is not counted.
    pub snapshot: CallMetrics,
    /// Operations of the transactions that were applied.
    pub ops: u64,
    /// Bytes of keys and values that were applied.
    pub bytes_written: u64,
    /// Rows that were read.
    pub rows_read: u64,
    /// Bytes of keys and values that were read.
    pub bytes_read: u64,
}

/// The calls of one method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallMetrics {
    /// Calls that began.
    pub calls: u64,
    /// Calls that are under way.
    pub running: u64,
    /// Calls whose caller went away before the answer.
    pub abandoned: u64,
    /// How the others ended, and how long they took; outcomes that never came are left out.
    pub outcomes: BTreeMap<StoreOutcome, StoreLatencies>,
}

impl CallMetrics {
    /// How often this was the outcome.
    #[must_use]
    pub fn count(&self, outcome: StoreOutcome) -> u64 {
        self.outcomes.get(&outcome).map_or(0, |latencies| latencies.count)
    }
}

/// How long calls took, in buckets that double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreLatencies {
    /// How many calls.
    pub count: u64,
    /// All of them together.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// Calls by time: the n-th counts those under 2ⁿ microseconds that no earlier one counts.
    pub buckets: [u64; BUCKETS],
}

impl StoreLatencies {
    /// The time within which this share of the calls ended, rounded up to a bucket's end.
    ///
    /// `0.5` is the median. Zero when there were no calls; never over [`StoreLatencies::max`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use openclaw_core::store::StoreLatencies;
    ///
    /// assert_eq!(StoreLatencies::default().within(0.99), Duration::ZERO);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a bucket is coarser than what a float loses")]
    pub fn within(&self, share: f64) -> Duration {
        let wanted = self.count as f64 * share;
        let mut seen = 0;
        for (count, end) in self.buckets.iter().zip(0..) {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return Duration::from_micros(1 << end).min(self.max);
            }
        }
        self.max
    }
}

/// The counters behind [`StoreMetrics`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) get_many: Calls,
    pub(super) scan: Calls,
    pub(super) commit: Calls,
    pub(super) commit_many: Calls,
    pub(super) raise: Calls,
    pub(super) snapshot: Calls,
    pub(super) ops: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) rows_read: AtomicU64,
    pub(super) bytes_read: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> StoreMetrics {
        StoreMetrics {
            get_many: self.get_many.snapshot(),
            scan: self.scan.snapshot(),
            commit: self.commit.snapshot(),
            commit_many: self.commit_many.snapshot(),
            raise: self.raise.snapshot(),
            snapshot: self.snapshot.snapshot(),
            ops: self.ops.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            rows_read: self.rows_read.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    began: AtomicU64,
    ended: AtomicU64,
    abandoned: AtomicU64,
    /// In the order of [`StoreOutcome::ALL`].
    outcomes: [Latency; StoreOutcome::ALL.len()],
}

#[derive(Debug, Default)]
struct Latency {
    micros: AtomicU64,
    longest: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Calls {
    pub(super) fn begin(&self) {
        self.began.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub(super) fn abandon(&self) {
        self.abandoned.fetch_add(1, Relaxed);
    }

    pub(super) fn record(&self, outcome: StoreOutcome, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let all = StoreOutcome::ALL.iter().zip(&self.outcomes);
        for (_, latency) in all.filter(|(each, _)| **each == outcome) {
            latency.record(micros);
        }
    }

    fn snapshot(&self) -> CallMetrics {
        // What ended is read first: it never outnumbers what began.
        let (abandoned, ended) = (self.abandoned.load(Relaxed), self.ended.load(Relaxed));
        let calls = self.began.load(Relaxed);
        let outcomes = StoreOutcome::ALL.into_iter().zip(&self.outcomes);
        let outcomes = outcomes.map(|(outcome, latency)| (outcome, latency.snapshot()));
        CallMetrics {
            calls,
            running: calls.saturating_sub(ended + abandoned),
            abandoned,
            outcomes: outcomes.filter(|(_, latencies)| latencies.count > 0).collect(),
        }
    }
}

impl Latency {
    fn record(&self, micros: u64) {
        self.micros.fetch_add(micros, Relaxed);
        self.longest.fetch_max(micros, Relaxed);
        let at = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(at).or(self.buckets.last()) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    fn snapshot(&self) -> StoreLatencies {
        let buckets = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        StoreLatencies {
            count: buckets.iter().sum(),
            total: Duration::from_micros(self.micros.load(Relaxed)),
            max: Duration::from_micros(self.longest.load(Relaxed)),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets_that_double_and_the_last_takes_the_rest() {
        let calls = Calls::default();
        for micros in [0, 1, 2, 3, 4, 1_000, u64::MAX / 2] {
            calls.record(StoreOutcome::Applied, Duration::from_micros(micros));
        }
        let all = calls.snapshot();
        let latencies = all.outcomes[&StoreOutcome::Applied];
        let filled: Vec<_> = (0..).zip(latencies.buckets).filter(|(_, n)| *n > 0).collect();
        assert_eq!(filled, [(0, 1), (1, 1), (2, 2), (3, 1), (10, 1), (31, 1)]);
        assert_eq!(latencies.within(0.5), Duration::from_micros(4));
        assert_eq!(latencies.within(6.0 / 7.0), Duration::from_micros(1_024));
    }

    #[test]
    fn every_outcome_has_a_place() {
        let calls = Calls::default();
        for outcome in StoreOutcome::ALL {
            calls.record(outcome, Duration::ZERO);
        }
        assert_eq!(calls.snapshot().outcomes.len(), StoreOutcome::ALL.len());
    }
}
