//! The state of a breaker, packed into one word that every call reads.

use std::fmt;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Lets calls through and counts them.
    Closed,
    /// Refuses calls until its wait is over.
    Open,
    /// Lets a few calls through, to try.
    HalfOpen,
    /// Refuses calls until somebody changes that.
    ForcedOpen,
    /// Lets calls through and counts nothing.
    Disabled,
    /// Lets calls through and counts them, but never opens.
    MetricsOnly,
}

impl State {
    /// The name: `closed`, `open`, `half_open`, `forced_open`, `disabled`, `metrics_only`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// Are outcomes counted in the window?
    pub(super) const fn counts(self) -> bool {
        matches!(self, Self::Closed | Self::MetricsOnly)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// State, generation and what a call has to do, in 64 bits.
///
/// A call keeps the word it was admitted under. A fast success that finds the same word at
/// its end has nothing to write, but perhaps to count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// A success matters now: it takes the lock.
    pub(super) const ALERT: u64 = 1 << 3;
    /// Successes are counted.
    pub(super) const COUNTED: u64 = 1 << 4;
    /// They are counted by time.
    pub(super) const TIMED: u64 = 1 << 5;
    /// Calls are timed.
    pub(super) const SLOW: u64 = 1 << 6;
    const GENERATION: u32 = 8;

    pub(super) const fn new(state: State, generation: u64, flags: u64) -> Self {
        Self(generation << Self::GENERATION | flags | state as u64)
    }

    #[inline]
    pub(super) const fn state(self) -> State {
        match self.0 & 7 {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::ForcedOpen,
            4 => State::Disabled,
            _ => State::MetricsOnly,
        }
    }

    pub(super) const fn generation(self) -> u64 {
        self.0 >> Self::GENERATION
    }

    #[inline]
    pub(super) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.state(), self.generation())
    }
}

/// Successes that a seat has counted and the window has not taken yet, in 64 bits.
///
/// They belong to one generation and one tick: 12 and 32 bits of them tell that apart, for a
/// late writer would have to sleep through thousands of transitions to be mistaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending(pub(super) u64);

impl Pending {
    const COUNT: u64 = (1 << 20) - 1;

    pub(super) const fn new(generation: u64, tick: u64) -> Self {
        Self(generation << 52 | (tick & 0xFFFF_FFFF) << 20)
    }

    /// One more; `None` when it holds no more.
    pub(super) const fn more(self) -> Option<Self> {
        if self.count() as u64 == Self::COUNT { None } else { Some(Self(self.0 + 1)) }
    }

    pub(super) const fn empty(self) -> Self {
        Self(self.0 & !Self::COUNT)
    }

    pub(super) const fn count(self) -> u32 {
        (self.0 & Self::COUNT) as u32
    }

    pub(super) const fn tick(self) -> u32 {
        (self.0 >> 20) as u32
    }

    pub(super) const fn is_of(self, generation: u64) -> bool {
        self.0 >> 52 == generation & 0xFFF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shown_by_its_name() {
        use State::{Closed, Disabled, ForcedOpen, HalfOpen, MetricsOnly, Open};
        let shown = [Closed, Open, HalfOpen, ForcedOpen, Disabled, MetricsOnly].map(|state| {
            assert_eq!(state.to_string(), state.name());
            state.name()
        });
        let names = ["closed", "open", "half_open", "forced_open", "disabled", "metrics_only"];
        assert_eq!(shown, names);
    }

    #[test]
    fn a_word_gives_back_what_it_was_made_of() {
        use State::{Closed, Disabled, ForcedOpen, HalfOpen, MetricsOnly, Open};
        for state in [Closed, Open, HalfOpen, ForcedOpen, Disabled, MetricsOnly] {
            for generation in [0, 1, 77, u64::MAX >> 8] {
                let word = Word::new(state, generation, Word::ALERT | Word::SLOW);
                assert_eq!((word.state(), word.generation()), (state, generation));
                assert!(word.has(Word::ALERT) && word.has(Word::SLOW));
                assert!(!word.has(Word::COUNTED) && !word.has(Word::TIMED));
            }
        }
    }

    #[test]
    fn pending_successes_know_where_they_belong() {
        let mut pending = Pending::new(0x1_2345, 0x9_8765_4321);
        for n in 0..5 {
            assert_eq!(pending.count(), n);
            pending = pending.more().unwrap();
        }
        assert!(pending.is_of(0x2345) && !pending.is_of(0x2346));
        assert_eq!(pending.tick(), 0x8765_4321);
        assert_eq!(pending.empty(), Pending::new(0x345, 0x8765_4321));
        assert_eq!(Pending(Pending::COUNT).more(), None, "it never runs over");
    }
}
