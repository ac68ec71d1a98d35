//! What a breaker decides: a state machine that takes the time, and knows no clock and no lock.

use std::{collections::VecDeque, time::Duration};

use super::{
    config::BreakerConfig,
    state::{Pending, State, Word},
    window::{Counts, Frame, Outcome},
};

/// How long a window of calls without a failure is kept for a key that is not used: 5 min.
const IDLE: Duration = Duration::from_secs(300);

/// How many transitions are kept for those who watch.
const KEPT: usize = 32;

/// A breaker went from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state behind.
    pub to: State,
    /// Which one it is: the first is 1, each is one more.
    pub generation: u64,
}

/// The calls of a trial.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    /// Permits that are out or used.
    taken: u32,
    counts: Counts,
}

/// Breaker, without clock and lock.
#[derive(Debug)]
pub(super) struct Machine {
    config: BreakerConfig,
    state: State,
    /// It is disabled by its settings, and by nobody else.
    rests: bool,
    generation: u64,
    since: Duration,
    /// When it last counted a call.
    counted: Duration,
    /// Failures in a row, where they matter.
    streak: u32,
    frame: Frame,
    /// How often it opened without having closed.
    opened: u32,
    until: Duration,
    trial: Trial,
    chance: u64,
    /// The latest transitions.
    log: VecDeque<Transition>,
}

impl Machine {
    pub(super) fn new(config: BreakerConfig, seed: u64) -> Self {
        Self {
            frame: Frame::new(config.window),
            state: if config.enabled { State::Closed } else { State::Disabled },
            rests: !config.enabled,
            config,
            generation: 0,
            since: Duration::ZERO,
            counted: Duration::ZERO,
            streak: 0,
            opened: 0,
            until: Duration::ZERO,
            trial: Trial::default(),
            chance: seed,
            log: VecDeque::new(),
        }
    }

    /// May a call go through? Not when it refuses until then, or until nobody knows when.
    pub(super) fn admit(&mut self, now: Duration) -> Result<(), Option<Duration>> {
        match self.state {
            State::Closed | State::Disabled | State::MetricsOnly => Ok(()),
            State::Open if now < self.until => Err(Some(self.until.saturating_sub(now))),
            State::Open => {
                self.enter(State::HalfOpen, now);
                self.trial.taken = 1;
                Ok(())
            }
            State::HalfOpen if self.trial.taken < self.config.half_open_permits => {
                self.trial.taken += 1;
                Ok(())
            }
            State::HalfOpen if self.trial_is_over(now) => {
                self.enter(State::Open, now);
                Err(Some(self.until.saturating_sub(now)))
            }
            State::HalfOpen | State::ForcedOpen => Err(None),
        }
    }

    /// How long it would refuse a call now; zero when nobody knows, the longest when forced.
    pub(super) fn would_refuse(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Closed | State::Disabled | State::MetricsOnly => None,
            State::ForcedOpen => Some(Duration::MAX),
            State::Open => self.until.checked_sub(now).filter(|left| !left.is_zero()),
            State::HalfOpen if self.trial.taken < self.config.half_open_permits => None,
            State::HalfOpen => Some(Duration::ZERO),
        }
    }

    /// Takes an outcome, unless it belongs to an earlier generation. `None` says nothing.
    pub(super) fn record(&mut self, generation: u64, outcome: Option<Outcome>, now: Duration) {
        if generation != self.generation {
            return;
        }
        match (self.state, outcome) {
            (State::HalfOpen, None) => self.trial.taken = self.trial.taken.saturating_sub(1),
            (State::HalfOpen, Some(outcome)) => {
                self.trial.counts.add(outcome);
                self.decide(now);
            }
            (State::Closed | State::MetricsOnly, Some(outcome)) => self.count(outcome, now),
            _ => {}
        }
    }

    /// Takes successes that were counted elsewhere.
    pub(super) fn absorb(&mut self, pending: Pending, now: Duration) {
        if pending.count() > 0 && pending.is_of(self.generation) && self.state.counts() {
            self.streak = 0;
            self.counted = now;
            self.frame.absorb(pending.tick(), pending.count(), now);
        }
    }

    fn count(&mut self, outcome: Outcome, now: Duration) {
        let before = self.frame.counts(now);
        self.frame.push(outcome, now);
        self.counted = now;
        let counts = self.frame.counts(now);
        let row = self.config.consecutive_failures.unwrap_or(0);
        self.streak = if outcome.failed && row > 0 { self.streak.saturating_add(1) } else { 0 };
        if self.state != State::Closed {
            return;
        }
        let minimum = self.config.minimum();
        // A fast success speaks against nobody, but where it makes the calls enough to judge.
        let due = !outcome.is_plain() || before.calls < minimum;
        let bad = counts.calls >= minimum
            && self.config.is_bad(counts.calls, counts.failures, counts.slow);
        if (row > 0 && self.streak >= row) || (due && bad) {
            self.enter(State::Open, now);
        }
    }

    fn decide(&mut self, now: Duration) {
        let Counts { calls, failures, slow } = self.trial.counts;
        if calls >= self.config.half_open_permits {
            let bad = self.config.is_bad(calls, failures, slow);
            self.enter(if bad { State::Open } else { State::Closed }, now);
        }
    }

    fn trial_is_over(&self, now: Duration) -> bool {
        self.config.half_open_wait.is_some_and(|wait| now >= self.since.saturating_add(wait))
    }

    /// Goes into a state, also into the one it is in; switched off, it rests instead of closing.
    pub(super) fn enter(&mut self, state: State, now: Duration) {
        self.rests = state == State::Closed && !self.config.enabled;
        let state = if self.rests { State::Disabled } else { state };
        self.generation += 1;
        if self.log.len() == KEPT {
            self.log.pop_front();
        }
        let (from, generation) = (self.state, self.generation);
        self.log.push_back(Transition { from, to: state, generation });
        (self.state, self.since) = (state, now);
        match state {
            State::Open => {
                self.until = now.saturating_add(self.wait());
                self.opened = self.opened.saturating_add(1);
            }
            State::HalfOpen => self.trial = Trial::default(),
            State::Closed | State::Disabled | State::MetricsOnly | State::ForcedOpen => {
                self.opened = 0;
            }
        }
        if state.counts() || self.rests {
            self.streak = 0;
            self.frame.clear();
        }
    }

    /// The next open wait: doubled each time, moved by chance, never above the cap.
    fn wait(&mut self) -> Duration {
        let doubled = 1_u32.checked_shl(self.opened).unwrap_or(u32::MAX);
        let cap = self.config.max_open_wait;
        let wait = self.config.open_wait.saturating_mul(doubled).min(cap);
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let unit = (mix(self.chance) >> 11) as f64 / (1_u64 << 53) as f64;
        wait.mul_f64(1.0 + self.config.open_jitter * (2.0 * unit - 1.0)).min(cap)
    }

    /// Takes other settings; state, window and waits that have begun stay.
    pub(super) fn reload(&mut self, config: BreakerConfig, now: Duration) {
        self.frame.resize(config.window);
        let was_enabled = std::mem::replace(&mut self.config, config).enabled;
        if was_enabled != self.config.enabled && (self.rests || self.is_its_own()) {
            self.enter(State::Closed, now);
        }
        if self.config.consecutive_failures.is_none() {
            self.streak = 0;
        }
        if self.state == State::HalfOpen {
            self.decide(now);
        }
    }

    /// Is it in a state that it goes into by itself?
    const fn is_its_own(&self) -> bool {
        matches!(self.state, State::Closed | State::Open | State::HalfOpen)
    }

    /// The word that calls read.
    pub(super) fn word(&self, now: Duration) -> Word {
        let counts = self.frame.counts(now);
        let few = counts.calls < self.config.minimum() && counts.failures + counts.slow > 0;
        let flags = [
            (self.streak > 0 || few, Word::ALERT),
            (!matches!(self.frame, Frame::Off), Word::COUNTED),
            (matches!(self.frame, Frame::Time(_)), Word::TIMED),
            (self.config.slow_call_duration.is_some(), Word::SLOW),
        ];
        let flags = flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
        Word::new(self.state, self.generation, flags)
    }

    /// Is it as a new one is, so that forgetting it loses nothing?
    pub(super) fn is_blank(&self, now: Duration) -> bool {
        let counts = self.counts(now);
        let idle = matches!(self.frame, Frame::Count(_))
            && now.saturating_sub(self.counted) >= IDLE
            && counts.failures + counts.slow == 0;
        let empty = idle || counts == Counts::default();
        (self.state == State::Closed || self.rests) && self.streak == 0 && empty
    }

    pub(super) fn counts(&self, now: Duration) -> Counts {
        self.frame.counts(now)
    }

    /// What the calls of a trial were like.
    pub(super) const fn trial(&self) -> Counts {
        self.trial.counts
    }

    pub(super) const fn config(&self) -> &BreakerConfig {
        &self.config
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) const fn since(&self) -> Duration {
        self.since
    }

    pub(super) const fn until(&self) -> Duration {
        self.until
    }

    pub(super) const fn streak(&self) -> u32 {
        self.streak
    }

    pub(super) const fn tick_nanos(&self) -> u64 {
        self.frame.tick_nanos()
    }

    /// The first kept transition behind this generation.
    pub(super) fn behind(&self, generation: u64) -> Option<Transition> {
        self.log.iter().find(|transition| transition.generation > generation).copied()
    }
}

/// SplitMix64's finaliser: neighbours become strangers.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::breaker::config::Window;

    const GOOD: Option<Outcome> = Some(Outcome { failed: false, slow: false });
    const BAD: Option<Outcome> = Some(Outcome { failed: true, slow: false });

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn machine(edit: impl Fn(&mut BreakerConfig)) -> Machine {
        let mut config = BreakerConfig { open_jitter: 0.0, ..BreakerConfig::default() };
        edit(&mut config);
        Machine::new(config, 7)
    }

    /// Two callers saw the end of the same wait; the trial of the first is over already.
    #[test]
    fn who_comes_late_to_a_trial_meets_the_next_wait() {
        let mut machine = machine(|_| {});
        machine.enter(State::Open, s(0));
        machine.enter(State::HalfOpen, s(60));
        machine.enter(State::Open, s(61));
        assert_eq!(machine.would_refuse(s(62)), Some(s(119)));
        assert_eq!(machine.admit(s(62)), Err(Some(s(119))));
        assert_eq!(machine.state(), State::Open);
        assert_eq!(machine.would_refuse(s(181)), None);
        assert_eq!(machine.admit(s(181)), Ok(()));
        assert_eq!(machine.state(), State::HalfOpen);
    }

    #[test]
    fn failures_in_a_row_count_only_where_the_settings_look_at_them() {
        for (minded, streak) in [(None, 0), (Some(5), 3)] {
            let mut machine = machine(|config| {
                (config.window, config.consecutive_failures) = (Some(Window::Count(10)), minded);
            });
            (0..3).for_each(|_| machine.record(0, BAD, s(1)));
            assert_eq!(machine.streak(), streak, "{minded:?}");
        }
    }

    /// What slid out made the rate bad; only a call that went wrong may say so.
    #[test]
    fn a_success_opens_nothing_where_there_were_calls_enough_before_it() {
        let mut machine = machine(|config| {
            (config.window, config.consecutive_failures) = (Some(Window::Time(s(10))), None);
        });
        (0..10).for_each(|_| machine.record(0, GOOD, s(1)));
        (0..9).for_each(|_| machine.record(0, BAD, s(8)));
        machine.record(0, GOOD, s(8));
        assert_eq!(machine.counts(s(11)), Counts { calls: 10, failures: 9, slow: 0 });
        machine.record(0, GOOD, s(11));
        assert_eq!(machine.state(), State::Closed);
        machine.record(0, BAD, s(11));
        assert_eq!(machine.state(), State::Open);
    }

    /// The first numbers of SplitMix64 from the seed 1234567, as its reference has them.
    #[test]
    fn chance_is_split_mix() {
        let numbers = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973];
        let mut seed = 1_234_567_u64;
        for number in numbers {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            assert_eq!(mix(seed), number);
        }
    }
}
