//! One limit that many threads share without a lock, as long as only its number changes.

use std::fmt;

use super::{
    gcra::{Pace, Rule},
    line::Line,
};
use crate::middleware::kit::{Atomic, Kit, Lock, Native};

/// One limit: a call changes its number by compare-and-swap, whatever else changes takes a lock.
///
/// A number is judged by what belongs to it: it is read between two looks at the epoch. Whoever
/// changes the rule changes the number, too, so that a late swap fails, unless the number comes
/// back to the nanosecond meanwhile. A pace that comes meanwhile counts from the next call on.
pub(super) struct Words<K: Kit = Native> {
    number: K::Atomic,
    /// Odd while the words below change.
    epoch: K::Atomic,
    pace: K::Atomic,
    silence: K::Atomic,
    moved: K::Atomic,
    cost: K::Atomic,
    ahead: K::Atomic,
    changing: K::Lock<()>,
}

impl<K: Kit> Words<K> {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            number: K::Atomic::new(0),
            epoch: K::Atomic::new(0),
            pace: K::Atomic::new(0),
            silence: K::Atomic::new(0),
            moved: K::Atomic::new(0),
            cost: K::Atomic::new(rule.cost),
            ahead: K::Atomic::new(rule.ahead),
            changing: K::Lock::new(()),
        }
    }

    #[inline]
    fn line(&self) -> Line {
        Line {
            number: self.number.load(),
            pace: Pace(self.pace.load()),
            silence: self.silence.load(),
            moved: self.moved.load(),
            rule: Rule { cost: self.cost.load(), ahead: self.ahead.load() },
        }
    }

    #[inline]
    pub(super) fn look(&self) -> Line {
        loop {
            let epoch = self.epoch.load();
            let line = self.line();
            if epoch.is_multiple_of(2) && self.epoch.load() == epoch {
                return line;
            }
            // Somebody changes it: until then.
            self.changing.with(|()| {});
        }
    }

    #[inline]
    pub(super) fn update(&self, mut change: impl FnMut(&Line) -> Option<u64>) -> bool {
        loop {
            let line = self.look();
            let Some(next) = change(&line) else { return false };
            if self.number.exchange(line.number, next).is_ok() {
                return true;
            }
        }
    }

    pub(super) fn amend(&self, mut change: impl FnMut(&mut Line) -> bool) -> bool {
        self.changing.with(|()| {
            let epoch = self.epoch.load();
            self.epoch.store(epoch.wrapping_add(1));
            let (line, changed) = loop {
                let old = self.line();
                let mut line = old;
                let changed = change(&mut line);
                if self.number.exchange(old.number, line.number).is_ok() {
                    break (line, changed);
                }
            };
            self.pace.store(line.pace.0);
            self.silence.store(line.silence);
            self.moved.store(line.moved);
            self.cost.store(line.rule.cost);
            self.ahead.store(line.rule.ahead);
            self.epoch.store(epoch.wrapping_add(2));
            changed
        })
    }
}

impl<K: Kit> fmt::Debug for Words<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Words").field(&self.look()).finish()
    }
}
