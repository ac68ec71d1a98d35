//! How a retry is doing, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a retry is doing, since its layer was made.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Tries behind a failed one.
    pub retries: u64,
    /// Waits for refusals of our own layers.
    pub waits: u64,
    /// Calls that were given up although they could have been tried again.
    pub given_up: GivenUp,
    /// Tokens of the budget; `None` without one.
    pub budget: Option<f64>,
}

/// Calls that were given up, by what was missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GivenUp {
    /// All attempts were made.
    pub attempts: u64,
    /// The budget was empty.
    pub budget: u64,
    /// The next try would have come too late: behind the deadline, the time for all tries, or
    /// the retention of the key. Or the other side asked for more than the longest wait.
    pub time: u64,
    /// The source of the pauses had no more.
    pub pauses: u64,
}

impl GivenUp {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.attempts + self.budget + self.time + self.pauses
    }

    pub(super) fn of(counts: &Counts) -> Self {
        let [attempts, budget, time, pauses] =
            counts.given_up.each_ref().map(|count| count.load(Relaxed));
        Self { attempts, budget, time, pauses }
    }
}

/// What was missing for another try.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Attempts,
    Budget,
    Time,
    Pauses,
}

impl Why {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Attempts => "the attempts are spent",
            Self::Budget => "the retry budget is empty",
            Self::Time => "the next try would be too late",
            Self::Pauses => "there are no more pauses",
        }
    }
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) retries: AtomicU64,
    pub(super) waits: AtomicU64,
    /// In the order of [`Why`].
    given_up: [AtomicU64; 4],
}

impl Counts {
    pub(super) fn gave_up(&self, why: Why) {
        let [attempts, budget, time, pauses] = &self.given_up;
        let count = match why {
            Why::Attempts => attempts,
            Why::Budget => budget,
            Why::Time => time,
            Why::Pauses => pauses,
        };
        count.fetch_add(1, Relaxed);
    }
}
