//! Windows that really slide, in constant time a call.

use std::{collections::VecDeque, time::Duration};

use super::config::Window;

/// What one call was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl Outcome {
    pub(super) const fn is_plain(self) -> bool {
        !self.failed && !self.slow
    }
}

/// The calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Counts {
    pub(super) const fn add(&mut self, outcome: Outcome) {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(outcome.failed as u32);
        self.slow = self.slow.saturating_add(outcome.slow as u32);
    }

    const fn join(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

/// The outcomes that rates are taken over.
#[derive(Debug)]
pub(super) enum Frame {
    Off,
    Count(Last),
    Time(Tenths),
}

impl Frame {
    pub(super) const fn new(window: Option<Window>) -> Self {
        match window {
            None => Self::Off,
            Some(Window::Count(n)) => Self::Count(Last::new(n)),
            Some(Window::Time(span)) => Self::Time(Tenths::new(span)),
        }
    }

    /// The same outcomes under another width; another kind of window starts empty.
    pub(super) fn resize(&mut self, window: Option<Window>) {
        match (&mut *self, window) {
            (Self::Off, None) => {}
            (Self::Count(last), Some(Window::Count(n))) => last.resize(n),
            (Self::Time(tenths), Some(Window::Time(span))) => tenths.resize(span),
            _ => *self = Self::new(window),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Off => {}
            Self::Count(last) => *last = Last::new(last.width),
            Self::Time(tenths) => tenths.slots = [Slot::default(); TENTHS],
        }
    }

    pub(super) fn push(&mut self, outcome: Outcome, now: Duration) {
        match self {
            Self::Off => {}
            Self::Count(last) => last.push(outcome),
            Self::Time(tenths) => {
                if let Some(slot) = tenths.slot(tenths.tick(now)) {
                    slot.add(outcome);
                }
            }
        }
    }

    /// Takes plain successes that were counted elsewhere, in the tick that ends in these bits.
    pub(super) fn absorb(&mut self, tick: u32, successes: u32, now: Duration) {
        match self {
            Self::Off => {}
            Self::Count(last) => last.skip(successes),
            Self::Time(tenths) => {
                let back = (tenths.tick(now) as u32).wrapping_sub(tick);
                // Another thread's clock may be a tick ahead of this one.
                let at = if back == u32::MAX { Some(tenths.tick(now) + 1) } else { None };
                let at = at.or_else(|| tenths.tick(now).checked_sub(u64::from(back)));
                if let Some(slot) = at.and_then(|at| tenths.slot(at)) {
                    slot.calls = slot.calls.saturating_add(successes);
                }
            }
        }
    }

    pub(super) fn counts(&self, now: Duration) -> Counts {
        match self {
            Self::Off => Counts::default(),
            Self::Count(last) => last.counts,
            Self::Time(tenths) => tenths.counts(tenths.tick(now)),
        }
    }

    /// How long a tick of this window is, in nanoseconds; 0 when it has none.
    pub(super) const fn tick_nanos(&self) -> u64 {
        match self {
            Self::Off | Self::Count(_) => 0,
            Self::Time(tenths) => tenths.width,
        }
    }
}

/// The last so many calls. Plain successes only move the position on.
#[derive(Debug)]
pub(super) struct Last {
    width: u32,
    /// How many calls there were.
    position: u64,
    counts: Counts,
    /// The calls in the window that failed or were slow, by position.
    marked: VecDeque<(u64, Outcome)>,
}

impl Last {
    const fn new(width: u32) -> Self {
        Self {
            width,
            position: 0,
            counts: Counts { calls: 0, failures: 0, slow: 0 },
            marked: VecDeque::new(),
        }
    }

    fn push(&mut self, outcome: Outcome) {
        self.skip(1);
        if !outcome.is_plain() {
            self.marked.push_back((self.position, outcome));
            self.counts.failures += u32::from(outcome.failed);
            self.counts.slow += u32::from(outcome.slow);
        }
    }

    fn skip(&mut self, successes: u32) {
        self.position += u64::from(successes);
        self.counts.calls = self.counts.calls.saturating_add(successes).min(self.width);
        self.slide();
    }

    fn slide(&mut self) {
        let first = self.position.saturating_sub(u64::from(self.counts.calls));
        while let Some((_, outcome)) = self.marked.front().copied().filter(|(at, _)| *at <= first) {
            self.marked.pop_front();
            self.counts.failures -= u32::from(outcome.failed);
            self.counts.slow -= u32::from(outcome.slow);
        }
    }

    fn resize(&mut self, width: u32) {
        self.width = width;
        self.counts.calls = self.counts.calls.min(width);
        self.slide();
    }
}

const TENTHS: usize = 10;

/// The last while, in ten slots.
#[derive(Debug)]
pub(super) struct Tenths {
    /// Nanoseconds of a slot.
    width: u64,
    slots: [Slot; TENTHS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tick: u64,
    counts: Counts,
}

impl Tenths {
    const fn new(span: Duration) -> Self {
        const EMPTY: Slot = Slot { tick: 0, counts: Counts { calls: 0, failures: 0, slow: 0 } };
        Self { width: width(span), slots: [EMPTY; TENTHS] }
    }

    fn tick(&self, now: Duration) -> u64 {
        nanos(now) / self.width
    }

    /// The slot of this tick, emptied of what is older; `None` when it has slid out.
    fn slot(&mut self, tick: u64) -> Option<&mut Counts> {
        let slot = self.slots.get_mut((tick % TENTHS as u64) as usize)?;
        if slot.tick < tick {
            *slot = Slot { tick, counts: Counts::default() };
        }
        (slot.tick == tick).then_some(&mut slot.counts)
    }

    fn counts(&self, tick: u64) -> Counts {
        let mut sum = Counts::default();
        for slot in &self.slots {
            // A slot may be ahead by a tick, when another thread's clock was.
            if slot.tick + TENTHS as u64 > tick {
                sum.join(slot.counts);
            }
        }
        sum
    }

    fn resize(&mut self, span: Duration) {
        let mut other = Self::new(span);
        let mut slots = self.slots;
        slots.sort_by_key(|slot| slot.tick);
        for slot in slots {
            let since = u128::from(slot.tick) * u128::from(self.width);
            let tick = u64::try_from(since / u128::from(other.width)).unwrap_or(u64::MAX);
            if let Some(counts) = other.slot(tick) {
                counts.join(slot.counts);
            }
        }
        *self = other;
    }
}

const fn width(span: Duration) -> u64 {
    let width = span.as_nanos() / TENTHS as u128;
    if width == 0 { 1 } else { width as u64 }
}

/// Nanoseconds as one number; five centuries at most.
#[inline]
pub(super) fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Outcome = Outcome { failed: true, slow: false };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_thread_whose_clock_is_late_takes_nothing_away() {
        let mut frame = Frame::new(Some(Window::Time(at(10))));
        frame.push(BAD, at(25));
        frame.push(BAD, at(24));
        assert_eq!(frame.counts(at(25)).calls, 2, "a tick late, and still in the window");
        frame.push(BAD, at(15));
        assert_eq!(frame.counts(at(25)).calls, 2, "so late that it has slid out");
        frame.absorb(25, 3, at(24));
        assert_eq!(frame.counts(at(25)).calls, 5, "counted by a thread that was a tick ahead");
        assert_eq!(frame.counts(at(34)).calls, 4, "and in the tick of that thread");
        frame.absorb(14, 3, at(25));
        assert_eq!(frame.counts(at(25)).calls, 5);
    }

    #[test]
    fn a_wide_window_keeps_only_what_went_wrong() {
        let mut last = Last::new(1_000_000);
        last.skip(u32::MAX);
        last.push(BAD);
        last.skip(999_999);
        assert_eq!((last.counts.calls, last.counts.failures), (1_000_000, 1));
        assert_eq!(last.marked.len(), 1);
        last.skip(1);
        assert_eq!((last.counts.calls, last.counts.failures), (1_000_000, 0));
    }
}
