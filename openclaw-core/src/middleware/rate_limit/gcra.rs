//! The generic cell rate algorithm: one number, and arithmetic.
//!
//! ITU-T I.371, "virtual scheduling": the number is the theoretical arrival time of the next
//! call, in nanoseconds since the limiter was made. As in governor's `gcra`, a decision is a
//! pure function of that number, the time and the quota, stored by compare-and-swap.

use std::{num::NonZeroU32, time::Duration};

/// How many calls in a time, and how many at once.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use openclaw_core::middleware::Quota;
///
/// let hundred = NonZeroU32::new(100).ok_or("zero")?;
/// let quota = Quota::per_minute(hundred).burst(NonZeroU32::MIN);
/// assert_eq!(quota.interval(), Duration::from_millis(600));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Nanoseconds a call.
    pub(super) interval: u64,
    pub(super) burst: u32,
}

impl Quota {
    /// So many calls in this time, all of which may come at once.
    ///
    /// The time a call is rounded down to whole nanoseconds, and is at least one.
    #[must_use]
    pub fn new(calls: NonZeroU32, per: Duration) -> Self {
        let interval = per.as_nanos() / u128::from(calls.get());
        // A burst must fit into the half of the range that dates are not in.
        let longest = u64::MAX / 4 / u64::from(calls.get());
        let interval = u64::try_from(interval).unwrap_or(longest).clamp(1, longest);
        Self { interval, burst: calls.get() }
    }

    /// So many calls a second.
    #[must_use]
    pub fn per_second(calls: NonZeroU32) -> Self {
        Self::new(calls, Duration::from_secs(1))
    }

    /// So many calls a minute.
    #[must_use]
    pub fn per_minute(calls: NonZeroU32) -> Self {
        Self::new(calls, Duration::from_secs(60))
    }

    /// So many calls an hour.
    #[must_use]
    pub fn per_hour(calls: NonZeroU32) -> Self {
        Self::new(calls, Duration::from_secs(3_600))
    }

    /// Sets how many calls may come at once.
    #[must_use]
    pub fn burst(mut self, calls: NonZeroU32) -> Self {
        self.burst = calls.get();
        self.interval = self.interval.min(u64::MAX / 4 / u64::from(self.burst));
        self
    }

    /// The time between two calls when the limit is used up.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How far calls may run ahead of their times.
    pub(super) const fn tolerance(&self) -> u64 {
        self.interval.saturating_mul(self.burst as u64)
    }
}

/// What a call may do: come after this wait, and the number behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) wait: u64,
    pub(super) next: u64,
}

/// The slot of a call that comes now.
pub(super) fn slot(number: u64, now: u64, interval: u64, tolerance: u64) -> Slot {
    let next = number.max(now).saturating_add(interval);
    Slot { wait: next.saturating_sub(now.saturating_add(tolerance)), next }
}

/// The number at which `remaining` calls may come at once, and no more.
pub(super) fn with_remaining(remaining: u64, now: u64, interval: u64, tolerance: u64) -> u64 {
    now.saturating_add(tolerance.saturating_sub(interval.saturating_mul(remaining)))
}

/// The number at which nothing may come until `until`.
pub(super) fn blocked(until: u64, interval: u64, tolerance: u64) -> u64 {
    until.saturating_add(tolerance).saturating_sub(interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A bucket of `burst` tokens that gets one each `interval`, in exact fractions.
        #[test]
        fn it_is_a_token_bucket(
            interval in 1_u64..1_000, burst in 1_u32..20,
            gaps in prop::collection::vec(0_u64..3_000, 1..200),
        ) {
            let tolerance = interval * u64::from(burst);
            let (mut number, mut now) = (0, 10_000_000);
            // Tokens times interval.
            let (mut level, mut seen) = (tolerance, now);
            for gap in gaps {
                now += gap;
                level = (level + (now - seen)).min(tolerance);
                seen = now;
                let slot = slot(number, now, interval, tolerance);
                prop_assert_eq!(slot.wait == 0, level >= interval);
                if slot.wait == 0 {
                    number = slot.next;
                    level -= interval;
                } else {
                    prop_assert_eq!(slot.wait, interval - level);
                }
            }
        }

        #[test]
        fn reserved_slots_are_an_interval_apart_and_in_order(
            interval in 1_u64..1_000, burst in 1_u32..20, calls in 1_usize..100,
        ) {
            let tolerance = interval * u64::from(burst);
            let now = 10_000_000;
            let (mut number, mut waits) = (0, Vec::new());
            for _ in 0..calls {
                let slot = slot(number, now, interval, tolerance);
                number = slot.next;
                waits.push(slot.wait);
            }
            for (n, wait) in waits.iter().enumerate() {
                let late = (n as u64 + 1).saturating_sub(u64::from(burst));
                prop_assert_eq!(*wait, late * interval);
            }
        }

        #[test]
        fn advice_leaves_exactly_what_remains(
            interval in 1_u64..1_000, burst in 1_u32..20, remaining in 0_u64..30,
        ) {
            let tolerance = interval * u64::from(burst);
            let now = 10_000_000;
            let mut number = with_remaining(remaining, now, interval, tolerance);
            let mut at_once = 0;
            while slot(number, now, interval, tolerance).wait == 0 {
                number = slot(number, now, interval, tolerance).next;
                at_once += 1;
            }
            prop_assert_eq!(at_once, remaining.min(u64::from(burst)));
        }

        #[test]
        fn what_is_blocked_comes_when_the_block_ends(
            interval in 1_u64..1_000, burst in 1_u32..20, until in 0_u64..100_000,
        ) {
            let tolerance = interval * u64::from(burst);
            let now = 10_000_000;
            let number = blocked(now + until, interval, tolerance);
            prop_assert_eq!(slot(number, now, interval, tolerance).wait, until);
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = NonZeroU32::MAX;
        let quota = Quota::new(most, Duration::MAX).burst(most);
        let now = u64::MAX / 4;
        let taken = slot(u64::MAX, now, quota.interval, quota.tolerance());
        assert_eq!(taken.next, u64::MAX);
        assert_eq!(Quota::new(most, Duration::ZERO).interval, 1);
    }
}
