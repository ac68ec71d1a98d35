//! Taking a place and giving it back: on whatever keeps the numbers.

use super::{Numbers, gcra::Slot, line::Line};

/// A place that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) slot: Slot,
    /// When its turn comes.
    pub(super) at: u64,
    /// How far silences had moved those who wait.
    moved: u64,
}

impl Taken {
    /// Where it is now: silences move all who wait by as much, so that they keep their order.
    pub(super) fn behind(self, line: &Line) -> Self {
        let by = line.moved.saturating_sub(self.moved);
        let at = self.at.saturating_add(by).max(line.silence);
        let (from, next) = (self.slot.from.saturating_add(by), self.slot.next.saturating_add(by));
        Self { slot: Slot { from, next, ..self.slot }, at, moved: line.moved }
    }
}

/// Takes the next place of a key, unless it lies behind `last`; then its wait is the answer.
#[inline]
pub(super) fn take<N: Numbers>(
    numbers: &N,
    key: &N::Key,
    now: u64,
    last: u64,
) -> Result<Taken, u64> {
    let mut taken = Taken { slot: Slot { wait: 0, from: 0, next: 0 }, at: now, moved: 0 };
    let is_taken = numbers.update(key, now, |line| {
        let slot = line.slot(now);
        taken = Taken { slot, at: now.saturating_add(slot.wait), moved: line.moved };
        (slot.wait == 0 || taken.at <= last).then_some(slot.next)
    });
    if is_taken { Ok(taken) } else { Err(taken.slot.wait) }
}

/// Gives a place back, if it is the last one: another can't be, since later ones count from it.
pub(super) fn give_back<N: Numbers>(numbers: &N, key: &N::Key, now: u64, taken: Taken) {
    numbers.update(key, now, |line| {
        let slot = taken.behind(line).slot;
        (line.number == slot.next).then_some(slot.from)
    });
}
