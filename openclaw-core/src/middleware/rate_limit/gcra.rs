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
    /// What one address may do: 100 calls a minute, all of which may come at once.
    pub const PER_IP: Self = Self { interval: 600_000_000, burst: 100 };

    /// What one key or credential may do: 1,000 calls a minute, all of which may come at once.
    pub const PER_KEY: Self = Self { interval: 60_000_000, burst: 1_000 };

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
    pub(super) const fn ahead(&self) -> u64 {
        self.interval.saturating_mul(self.burst.saturating_sub(1) as u64)
    }

    pub(super) const fn rule(&self) -> Rule {
        Rule { cost: self.interval, ahead: self.ahead() }
    }
}

/// What a call costs, and how far ahead of its time it may come; in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) cost: u64,
    pub(super) ahead: u64,
}

impl Rule {
    /// This rule at the pace that the other side asked for, while it lasts; never a faster one.
    #[inline]
    pub(super) fn at_pace(self, pace: Pace, now: u64) -> Self {
        Self { cost: pace.cost(now).max(self.cost), ..self }
    }

    /// The place of a call that comes now, at the pace that the other side asked for.
    ///
    /// Without a limit what was used up under an earlier one is forgotten, but not a silence.
    #[inline]
    pub(super) fn slot_at(self, pace: Pace, number: u64, now: u64) -> Slot {
        let rule = self.at_pace(pace, now);
        let free = rule.cost == 0 && !pace.is_silent(now);
        rule.slot(if free { 0 } else { number }, now)
    }

    /// The place of a call that comes now.
    #[inline]
    pub(super) fn slot(self, number: u64, now: u64) -> Slot {
        let from = number.max(now);
        let wait = from.saturating_sub(now.saturating_add(self.ahead));
        Slot { wait, from, next: from.saturating_add(self.cost) }
    }

    /// The number under the next rule: as many calls are missing, not as much time.
    ///
    /// No more are missing than the next rule has at once. Places that were given ahead of time
    /// count as calls, too, but never for longer than they would have. While the other side's
    /// word holds, the next call comes no earlier than it would have, and no later for it.
    pub(super) fn carried(self, next: Self, pace: Pace, number: u64, now: u64) -> u64 {
        let number = number.max(now);
        let calls = |span: u64| {
            let span = u128::from(span) * u128::from(next.cost);
            // Without a limit nothing was used up.
            let span = if self.cost == 0 { 0 } else { span.div_ceil(u128::from(self.cost)) };
            u64::try_from(span).unwrap_or(u64::MAX)
        };
        let made = (number - now).min(self.ahead.saturating_add(self.cost));
        let behind = number - now - made;
        let made = calls(made).min(next.ahead.saturating_add(next.cost));
        if pace.is_over(now) {
            return now.saturating_add(made).saturating_add(behind.min(calls(behind)));
        }
        let told = number.saturating_add(next.ahead).saturating_sub(self.ahead);
        let told = told.min(pace.end().saturating_add(next.ahead));
        told.max(now.saturating_add(made.min(next.ahead)))
    }

    /// The number at which `calls` may come at once, and no more; none of them before `then`.
    pub(super) fn leaving(self, calls: u64, then: u64) -> u64 {
        let more = calls.saturating_sub(1).saturating_mul(self.cost);
        then.saturating_add(self.ahead.saturating_sub(more))
    }
}

/// The place of a call: its wait, and the number before and behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) wait: u64,
    pub(super) from: u64,
    pub(super) next: u64,
}

/// What the other side asked for: a slower pace, or silence, for a time.
///
/// One word: the end in tenths of a second, and microseconds a call. Both are rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace(pub(super) u64);

impl Pace {
    const TENTH: u64 = 100_000_000;
    const MICRO: u64 = 1_000;
    const SILENT: u64 = u32::MAX as u64;

    /// No call until then.
    pub(super) fn silent(until: u64) -> Self {
        Self::pack(until, Self::SILENT)
    }

    /// One call each `cost` until then.
    pub(super) fn slow(cost: u64, until: u64) -> Self {
        Self::pack(until, cost.div_ceil(Self::MICRO).min(Self::SILENT - 1))
    }

    fn pack(until: u64, low: u64) -> Self {
        Self(until.div_ceil(Self::TENTH).min(u64::from(u32::MAX)) << 32 | low)
    }

    const fn low(self) -> u64 {
        self.0 & Self::SILENT
    }

    /// When it is over.
    const fn end(self) -> u64 {
        (self.0 >> 32) * Self::TENTH
    }

    /// Is it over?
    pub(super) const fn is_over(self, now: u64) -> bool {
        now >= self.end()
    }

    pub(super) const fn is_silent(self, now: u64) -> bool {
        self.low() == Self::SILENT && !self.is_over(now)
    }

    /// Nanoseconds a call; 0 when it asks for nothing.
    const fn cost(self, now: u64) -> u64 {
        if self.is_over(now) || self.low() == Self::SILENT { 0 } else { self.low() * Self::MICRO }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 10_000_000;

    fn rule(interval: u64, burst: u32) -> Rule {
        Rule { cost: interval, ahead: interval * u64::from(burst - 1) }
    }

    proptest! {
        /// A bucket of `burst` tokens that gets one each `interval`, in exact fractions.
        #[test]
        fn it_is_a_token_bucket(
            interval in 1_u64..1_000, burst in 1_u32..20,
            gaps in prop::collection::vec(0_u64..3_000, 1..200),
        ) {
            let full = interval * u64::from(burst);
            let (mut number, mut now) = (0, START);
            // Tokens times interval.
            let (mut level, mut seen) = (full, now);
            for gap in gaps {
                now += gap;
                level = (level + (now - seen)).min(full);
                seen = now;
                let slot = rule(interval, burst).slot(number, now);
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
            let (mut number, mut waits) = (0, Vec::new());
            for _ in 0..calls {
                let slot = rule(interval, burst).slot(number, START);
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
            interval in 1_u64..1_000, burst in 1_u32..20, remaining in 1_u64..30,
        ) {
            let rule = rule(interval, burst);
            let mut number = rule.leaving(remaining, START);
            let mut at_once = 0;
            while rule.slot(number, START).wait == 0 {
                number = rule.slot(number, START).next;
                at_once += 1;
            }
            prop_assert_eq!(at_once, remaining.min(u64::from(burst)));
        }

        #[test]
        fn what_is_blocked_comes_when_the_block_ends(
            interval in 1_u64..1_000, burst in 1_u32..20, until in 0_u64..100_000,
        ) {
            let rule = rule(interval, burst);
            prop_assert_eq!(rule.slot(rule.leaving(0, START + until), START).wait, until);
        }

        #[test]
        fn as_many_calls_are_missing_under_another_rule(
            interval in 1_u64..1_000, burst in 1_u32..20, made in 0_u64..40,
            next_interval in 1_u64..1_000, next_burst in 1_u32..20,
        ) {
            let (old, next) = (rule(interval, burst), rule(next_interval, next_burst));
            let made = made.min(u64::from(burst));
            let mut number = old.carried(next, Pace::default(), START + made * interval, START);
            let mut at_once = 0;
            while next.slot(number, START).wait == 0 {
                number = next.slot(number, START).next;
                at_once += 1;
            }
            prop_assert_eq!(at_once, u64::from(next_burst).saturating_sub(made));
            prop_assert_eq!(next.slot(number, START).wait, next_interval);
        }

        #[test]
        fn another_rule_keeps_silence_as_it_is(
            interval in 1_u64..1_000, burst in 1_u32..20, until in 0_u64..1 << 40,
            next_interval in 1_u64..1_000, next_burst in 1_u32..20,
        ) {
            let (old, next) = (rule(interval, burst), rule(next_interval, next_burst));
            let until = START + 2 * Pace::TENTH + until;
            let number = old.leaving(0, until);
            let carried = old.carried(next, Pace::silent(until), number, START);
            prop_assert_eq!(next.slot(carried, START).wait, until - START);
        }

        #[test]
        fn a_pace_holds_until_its_end_and_makes_nothing_faster(
            interval in 1_u64..1 << 40, cost in 1_u64..1 << 40, until in 0_u64..1 << 50,
            now in 0_u64..1 << 51,
        ) {
            let slow = rule(interval, 3).at_pace(Pace::slow(cost, until), now);
            prop_assert!(slow.cost >= interval);
            prop_assert!(now >= until || slow.cost >= cost);
            prop_assert!(now < until + Pace::TENTH || slow.cost == interval);
            let silent = Pace::silent(until);
            prop_assert_eq!(rule(interval, 3).at_pace(silent, now), rule(interval, 3));
            prop_assert!(now >= until || silent.is_silent(now));
            prop_assert!(now < until + Pace::TENTH || !silent.is_silent(now));
        }
    }

    #[test]
    fn no_pace_is_over_at_any_time() {
        assert!(Pace::default().is_over(0));
        assert_eq!(rule(7, 2).at_pace(Pace::default(), 0), rule(7, 2));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = NonZeroU32::MAX;
        let quota = Quota::new(most, Duration::MAX).burst(most);
        let rule = Rule { cost: quota.interval, ahead: quota.ahead() };
        assert_eq!(rule.slot(u64::MAX, u64::MAX / 4).next, u64::MAX);
        assert_eq!(rule.leaving(u64::MAX, u64::MAX), u64::MAX);
        let one = Rule { cost: 1, ahead: 0 };
        assert!(one.carried(rule, Pace::default(), u64::MAX, 1) > u64::MAX / 2);
        assert_eq!(
            rule.carried(one, Pace::default(), u64::MAX / 8, u64::MAX / 8 - 1),
            u64::MAX / 8
        );
        assert_eq!(Quota::new(most, Duration::ZERO).interval, 1);
        assert!(Pace::slow(u64::MAX, u64::MAX).cost(0) > 0);
        assert!(Pace::silent(u64::MAX).is_silent(u64::MAX / 64));
    }
}
