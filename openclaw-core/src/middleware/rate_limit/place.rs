//! Taking a place, giving it back, and tightening: on whatever keeps the numbers.

use super::{
    Numbers,
    gcra::{Pace, Rule, Slot},
};

/// A place that was taken, and the pace that it was taken at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) slot: Slot,
    pub(super) pace: Pace,
}

/// Has the other side asked for silence since the place was taken?
pub(super) fn is_silenced<N: Numbers>(numbers: &N, key: &N::Key, now: u64, taken: Taken) -> bool {
    let pace = Pace(numbers.look(key).1);
    pace != taken.pace && pace.is_silent(now)
}

/// Takes the next place of a key, unless it lies behind `last`; then its wait is the answer.
#[inline]
pub(super) fn take<N: Numbers>(
    numbers: &N,
    key: &N::Key,
    now: u64,
    rule: Rule,
    last: u64,
) -> Result<Taken, u64> {
    let mut taken = Taken { slot: Slot { wait: 0, from: 0, next: 0 }, pace: Pace::default() };
    let is_taken = numbers.update(key, now, |number, pace| {
        let pace = Pace(pace);
        let slot = rule.slot_at(pace, number, now);
        taken = Taken { slot, pace };
        (slot.wait == 0 || now.saturating_add(slot.wait) <= last).then_some(slot.next)
    });
    if is_taken { Ok(taken) } else { Err(taken.slot.wait) }
}

/// Gives a place back, if it is the last one: another can't be, since later ones count from it.
pub(super) fn give_back<N: Numbers>(numbers: &N, key: &N::Key, now: u64, slot: Slot) {
    numbers.update(key, now, |number, _| (number == slot.next).then_some(slot.from));
}

/// What is learnt of a limit: this number at least, and this pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    number: u64,
    pace: Pace,
    now: u64,
}

impl Lesson {
    /// Nothing until then.
    pub(super) fn silence(until: u64, rule: Rule, now: u64) -> Self {
        Self { number: rule.leaving(0, until), pace: Pace::silent(until), now }
    }

    /// So many calls until then, each `cost` apart when that is slower than the quota.
    pub(super) fn spread(calls: u64, cost: u64, until: u64, rule: Rule, now: u64) -> Self {
        let pace = if cost > rule.cost { Pace::slow(cost, until) } else { Pace::default() };
        Self { number: rule.at_pace(pace, now).leaving(calls, now), pace, now }
    }

    /// The number of a limit that has learnt this: never a smaller one.
    pub(super) fn number(self, number: u64) -> Option<u64> {
        // A number before `now` says no more than `now`.
        (number.max(self.now) < self.number).then_some(self.number)
    }

    /// The pace of a limit that has learnt this: what is said last, but for a silence.
    pub(super) fn pace(self, pace: u64) -> Option<u64> {
        let silent = Pace(pace).is_silent(self.now);
        let longer = self.pace.is_silent(self.now) && self.pace.0 > pace;
        (self.pace.0 != pace && (!silent || longer)).then_some(self.pace.0)
    }
}

/// Tightens the limit of a key; true when it was looser.
pub(super) fn learn<N: Numbers>(numbers: &N, key: &N::Key, lesson: Lesson) -> bool {
    // The number first: who sees the new pace must have seen the new number.
    let tighter = numbers.update(key, lesson.now, |number, _| lesson.number(number));
    numbers.repace(key, lesson.now, |pace| lesson.pace(pace));
    tighter
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 10 * SECOND;
    const RULE: Rule = Rule { cost: SECOND, ahead: 2 * SECOND };

    #[test]
    fn advice_as_fast_as_the_quota_asks_for_no_pace() {
        let lesson = Lesson::spread(3, SECOND, NOW + 3 * SECOND, RULE, NOW);
        assert_eq!(lesson.pace(0), None);
        let slower = Pace::slow(2 * SECOND, NOW + 60 * SECOND);
        assert_eq!(lesson.pace(slower.0), Some(0), "what was asked for before is over");
    }

    #[test]
    fn what_is_learnt_already_tightens_nothing() {
        let lesson = Lesson::silence(NOW + 60 * SECOND, RULE, NOW);
        let number = lesson.number(0).unwrap();
        assert_eq!(lesson.number(number - 1), Some(number));
        assert_eq!(lesson.number(number), None);
        let all = Lesson::spread(3, SECOND, NOW + 3 * SECOND, RULE, NOW);
        assert_eq!(all.number(0), None, "the whole burst is left");
    }
}
