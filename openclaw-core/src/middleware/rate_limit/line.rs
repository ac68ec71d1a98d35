//! What is kept of one limit, and what advice does to it: arithmetic, without clock and lock.

use super::gcra::{Pace, Rule, Slot};

/// What is kept of one limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// The theoretical arrival time of the next call.
    pub(super) number: u64,
    /// What the other side asked for.
    pub(super) pace: Pace,
    /// When the last silence ends.
    pub(super) silence: u64,
    /// How far silences have moved those who wait, in all.
    pub(super) moved: u64,
    /// What the number is judged by.
    pub(super) rule: Rule,
}

impl Line {
    /// A limit that was never asked.
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Is it as good as one that was never asked?
    pub(super) const fn is_over(&self, now: u64) -> bool {
        self.number <= now && self.pace.is_over(now)
    }

    /// The place of a call that comes now.
    #[inline]
    pub(super) fn slot(&self, now: u64) -> Slot {
        self.rule.slot_at(self.pace, self.number, now)
    }

    /// Goes by another rule: as many calls are missing, not as much time.
    pub(super) fn change(&mut self, rule: Rule, now: u64) {
        if rule != self.rule {
            self.number = self.rule.carried(rule, self.pace, self.number, now);
            self.rule = rule;
        }
    }

    /// The first place that somebody may wait for yet.
    ///
    /// At the cost of the quota, since a slower pace may have come behind those places. Behind a
    /// slower quota fewer seem to wait than do: these go closer together.
    fn first(&self, now: u64) -> Option<u64> {
        let next = self.number.saturating_sub(self.rule.ahead);
        let from = self.silence.max(now.saturating_add(1));
        let waiting = next.saturating_sub(from).checked_div(self.rule.cost)?;
        (waiting > 0).then(|| next.saturating_sub(waiting.saturating_mul(self.rule.cost)))
    }

    fn raise(&mut self, number: u64, now: u64) -> bool {
        // A number before `now` says no more than `now`.
        let tighter = self.number.max(now) < number;
        if tighter {
            self.number = number;
        }
        tighter
    }
}

/// What is learnt of a limit; it makes none looser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    /// Calls that are left until then; none is silence.
    pub(super) calls: u64,
    /// How far apart they are to be.
    pub(super) cost: u64,
    pub(super) until: u64,
    pub(super) now: u64,
    /// Does anybody wait?
    pub(super) queue: bool,
}

impl Lesson {
    /// Tightens a limit; true when it was looser. What ends at once teaches nothing.
    pub(super) fn teach(self, line: &mut Line) -> bool {
        if self.until <= self.now {
            return false;
        }
        if self.calls == 0 { self.silence(line) } else { self.spread(line) }
    }

    /// Nothing until then. Those who wait go on behind it, in their order and as far apart.
    fn silence(self, line: &mut Line) -> bool {
        let first = line.first(self.now).filter(|_| self.queue);
        let by = first.map_or(0, |first| self.until.saturating_sub(first));
        line.number = line.number.saturating_add(by);
        line.moved = line.moved.saturating_add(by);
        line.silence = line.silence.max(self.until);
        let pace = Pace::silent(self.until);
        if !line.pace.is_silent(self.now) || pace.0 > line.pace.0 {
            line.pace = pace;
        }
        line.raise(line.rule.leaving(0, self.until), self.now) || by > 0
    }

    /// So many calls until then, further apart when that is slower than the quota.
    fn spread(self, line: &mut Line) -> bool {
        let slower = self.cost > line.rule.cost;
        let pace = if slower { Pace::slow(self.cost, self.until) } else { Pace::default() };
        // What is said last holds, but for a silence.
        if !line.pace.is_silent(self.now) {
            line.pace = pace;
        }
        line.raise(line.rule.at_pace(pace, self.now).leaving(self.calls, self.now), self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 10 * SECOND;
    const RULE: Rule = Rule { cost: SECOND, ahead: 2 * SECOND };

    fn spread(calls: u64, cost: u64, seconds: u64) -> Lesson {
        Lesson { calls, cost, until: NOW + seconds * SECOND, now: NOW, queue: true }
    }

    fn silence(seconds: u64) -> Lesson {
        spread(0, 0, seconds)
    }

    #[test]
    fn advice_as_fast_as_the_quota_asks_for_no_pace() {
        let mut line = Line::new(RULE);
        spread(3, SECOND, 3).teach(&mut line);
        assert_eq!(line.pace, Pace::default());
        spread(3, 2 * SECOND, 60).teach(&mut line);
        assert_eq!(line.pace, Pace::slow(2 * SECOND, NOW + 60 * SECOND));
        spread(3, SECOND, 3).teach(&mut line);
        assert_eq!(line.pace, Pace::default(), "what was asked for before is over");
    }

    #[test]
    fn what_is_learnt_already_tightens_nothing() {
        let mut line = Line::new(RULE);
        assert!(silence(60).teach(&mut line));
        assert!(!silence(60).teach(&mut line));
        line.number -= 1;
        assert!(silence(60).teach(&mut line));
        assert!(!spread(3, SECOND, 3).teach(&mut Line::new(RULE)), "the whole burst is left");
    }

    #[test]
    fn the_longer_of_two_silences_holds() {
        let mut line = Line::new(RULE);
        silence(60).teach(&mut line);
        silence(30).teach(&mut line);
        spread(1, 2 * SECOND, 90).teach(&mut line);
        assert_eq!((line.pace, line.silence), (Pace::silent(NOW + 60 * SECOND), NOW + 60 * SECOND));
    }

    #[test]
    fn what_ends_at_once_teaches_nothing() {
        for calls in [0, 1] {
            let mut line = Line::new(RULE);
            assert!(!spread(calls, SECOND, 0).teach(&mut line));
            assert_eq!((line.number, line.pace), (0, Pace::default()));
        }
    }

    #[test]
    fn a_silence_keeps_the_distances_of_places_from_before_a_slower_pace() {
        // Ten wait, for places in 1 to 10 s.
        let mut line = Line { number: NOW + 13 * SECOND, ..Line::new(RULE) };
        spread(1, 60 * SECOND, 60).teach(&mut line);
        silence(30).teach(&mut line);
        assert_eq!(line.moved, 29 * SECOND, "{line:?}");
    }

    #[test]
    fn a_silence_moves_only_those_who_wait() {
        // Two have left ahead of time, and nobody waits.
        let mut line = Line { number: NOW + 2 * SECOND, ..Line::new(RULE) };
        silence(5).teach(&mut line);
        assert_eq!((line.moved, line.slot(NOW).wait), (0, 5 * SECOND));
        // Two wait, for places in 1 and 2 s.
        let mut line = Line { number: NOW + 5 * SECOND, ..Line::new(RULE) };
        silence(5).teach(&mut line);
        assert_eq!((line.moved, line.slot(NOW).wait), (4 * SECOND, 7 * SECOND));
    }
}
