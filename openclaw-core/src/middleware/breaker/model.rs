//! A breaker beside a plain list of outcomes: whatever happens, both say the same.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    circuit::Circuit,
    config::{BreakerConfig, Window},
    state::{State, Word},
    window::{Counts, Outcome},
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Something that happens to a breaker.
#[derive(Clone, Debug)]
enum Step {
    /// Calls that are made and answered at once.
    Call {
        times: u32,
        outcome: Option<Outcome>,
        seat: usize,
    },
    /// A call that takes until it is finished.
    Begin,
    Finish {
        which: usize,
        outcome: Option<Outcome>,
        seat: usize,
    },
    Wait(Duration),
    Force(State),
}

/// A call that was let in, on both sides.
struct Begun {
    ticket: Word,
    generation: u32,
}

/// The breaker as one would first write it: every outcome is kept and counted again.
struct Plain {
    config: BreakerConfig,
    state: State,
    generation: u32,
    outcomes: Vec<(Duration, Outcome)>,
    until: Duration,
    since: Duration,
    waits: u32,
    out: u32,
    trial: Vec<Outcome>,
}

impl Plain {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed,
            generation: 0,
            outcomes: Vec::new(),
            until: Duration::ZERO,
            since: Duration::ZERO,
            waits: 0,
            out: 0,
            trial: Vec::new(),
        }
    }

    fn go(&mut self, state: State, now: Duration) {
        (self.state, self.since) = (state, now);
        self.generation += 1;
        (self.out, self.trial) = (0, Vec::new());
        match state {
            State::Open => {
                let wait = self.config.open_wait * 2_u32.pow(self.waits.min(20));
                self.until = now + wait.min(self.config.max_open_wait);
                self.waits += 1;
            }
            State::HalfOpen => {}
            _ => self.waits = 0,
        }
        if matches!(state, State::Closed | State::MetricsOnly) {
            self.outcomes.clear();
        }
    }

    fn window(&self, now: Duration) -> Vec<Outcome> {
        let skipped = |n: u32| self.outcomes.len().saturating_sub(n as usize);
        let kept: Box<dyn Iterator<Item = &(Duration, Outcome)>> = match self.config.window {
            None => Box::new([].iter()),
            Some(Window::Count(n)) => Box::new(self.outcomes.iter().skip(skipped(n))),
            Some(Window::Time(span)) => {
                let tenth = (span / 10).as_nanos();
                let first = (now.as_nanos() / tenth + 1).saturating_sub(10) * tenth;
                Box::new(self.outcomes.iter().filter(move |(at, _)| at.as_nanos() >= first))
            }
        };
        kept.map(|(_, outcome)| *outcome).collect()
    }

    fn bad(&self, outcomes: &[Outcome]) -> bool {
        let share = |n: usize| n as f64 / outcomes.len() as f64;
        let failed = share(outcomes.iter().filter(|o| o.failed).count());
        let slow = share(outcomes.iter().filter(|o| o.slow).count());
        let minds_slow = self.config.slow_call_duration.is_some();
        failed >= self.config.failure_rate || minds_slow && slow >= self.config.slow_call_rate
    }

    fn admit(&mut self, now: Duration) -> Result<u32, Option<Duration>> {
        if self.state == State::Open && now >= self.until {
            self.go(State::HalfOpen, now);
        }
        match self.state {
            State::Open => return Err(Some(self.until - now)),
            State::ForcedOpen => return Err(None),
            State::HalfOpen if self.out == self.config.half_open_permits => {
                let over = self.config.half_open_wait.is_some_and(|w| now >= self.since + w);
                if over {
                    self.go(State::Open, now);
                    return Err(Some(self.until - now));
                }
                return Err(None);
            }
            State::HalfOpen => self.out += 1,
            _ => {}
        }
        Ok(self.generation)
    }

    fn finish(&mut self, generation: u32, outcome: Option<Outcome>, now: Duration) {
        if generation != self.generation {
            return;
        }
        match (self.state, outcome) {
            (State::HalfOpen, None) => self.out -= 1,
            (State::HalfOpen, Some(outcome)) => {
                self.trial.push(outcome);
                if self.trial.len() == self.config.half_open_permits as usize {
                    let to = if self.bad(&self.trial) { State::Open } else { State::Closed };
                    self.go(to, now);
                }
            }
            (State::Closed | State::MetricsOnly, Some(outcome)) => self.count(outcome, now),
            _ => {}
        }
    }

    fn count(&mut self, outcome: Outcome, now: Duration) {
        let before = self.window(now).len();
        self.outcomes.push((now, outcome));
        let window = self.window(now);
        let enough = match self.config.window {
            Some(Window::Count(n)) => self.config.minimum_calls.min(n) as usize,
            _ => self.config.minimum_calls as usize,
        };
        let judged = outcome.failed || outcome.slow || before < enough;
        let rate = judged && window.len() >= enough && self.bad(&window);
        let row = self.config.consecutive_failures.is_some_and(|k| self.row() >= k as usize);
        if self.state == State::Closed && (rate || row) {
            self.go(State::Open, now);
        }
    }

    fn row(&self) -> usize {
        self.outcomes.iter().rev().take_while(|(_, o)| o.failed).count()
    }

    fn counts(&self, now: Duration) -> Counts {
        let mut counts = Counts::default();
        self.window(now).into_iter().for_each(|outcome| counts.add(outcome));
        counts
    }
}

/// Both sides, and the calls that are under way.
struct Pair {
    plain: Plain,
    circuit: Circuit,
    now: Duration,
    begun: Vec<Begun>,
}

impl Pair {
    fn new(config: BreakerConfig, seats: usize) -> Self {
        let circuit = Circuit::new("it".into(), config.clone(), 7, seats);
        Self { plain: Plain::new(config), circuit, now: Duration::ZERO, begun: Vec::new() }
    }

    fn begin(&mut self) -> bool {
        let expected = self.plain.admit(self.now);
        let refuses = self.circuit.would_refuse(self.now);
        let admitted = self.circuit.admit(|| self.now);
        assert_eq!(admitted.is_ok(), expected.is_ok(), "at {:?}", self.now);
        match (admitted, expected) {
            (Ok(ticket), Ok(generation)) => {
                assert_eq!(refuses, None);
                self.begun.push(Begun { ticket, generation });
                true
            }
            (admitted, expected) => {
                assert_eq!(admitted.err(), expected.err());
                false
            }
        }
    }

    fn finish(&mut self, which: usize, outcome: Option<Outcome>, seat: usize) {
        if self.begun.is_empty() {
            return;
        }
        let Begun { ticket, generation } = self.begun.swap_remove(which % self.begun.len());
        self.plain.finish(generation, outcome, self.now);
        self.circuit.leave(seat, ticket, outcome, || self.now);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Call { times, outcome, seat } => {
                for _ in 0..times {
                    if self.begin() {
                        self.finish(self.begun.len() - 1, outcome, seat);
                    }
                }
            }
            Step::Begin => {
                self.begin();
            }
            Step::Finish { which, outcome, seat } => self.finish(which, outcome, seat),
            Step::Wait(span) => self.now += span,
            Step::Force(state) => {
                self.plain.go(state, self.now);
                self.circuit.force(state, self.now);
            }
        }
    }

    /// `look` collects what the seats have counted, so it is not asked after every step.
    fn compare(&self, look: bool) {
        assert_eq!(self.circuit.word().state(), self.plain.state, "at {:?}", self.now);
        if !look {
            return;
        }
        let look = self.circuit.look(self.now);
        assert_eq!(look.generation, u64::from(self.plain.generation));
        assert_eq!(look.since, self.plain.since);
        assert_eq!(look.counts, self.plain.counts(self.now), "at {:?}", self.now);
        if self.plain.config.consecutive_failures.is_some() {
            let row = self.plain.row();
            assert_eq!(look.streak as usize, row, "failures in a row");
        }
    }
}

fn outcome() -> impl Strategy<Value = Option<Outcome>> {
    prop_oneof![
        6 => Just(Some(Outcome { failed: false, slow: false })),
        5 => Just(Some(Outcome { failed: true, slow: false })),
        2 => Just(Some(Outcome { failed: false, slow: true })),
        1 => Just(Some(Outcome { failed: true, slow: true })),
        1 => Just(None),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    use State::{Closed, Disabled, ForcedOpen, HalfOpen, MetricsOnly, Open};
    let states = prop::sample::select(vec![
        Closed,
        Disabled,
        ForcedOpen,
        HalfOpen,
        MetricsOnly,
        MetricsOnly,
        Open,
    ]);
    prop_oneof![
        12 => (1_u32..6, outcome(), 0_usize..3)
            .prop_map(|(times, outcome, seat)| Step::Call { times, outcome, seat }),
        4 => Just(Step::Begin),
        4 => (any::<usize>(), outcome(), 0_usize..3)
            .prop_map(|(which, outcome, seat)| Step::Finish { which, outcome, seat }),
        5 => (0_u64..400).prop_map(|ms| Step::Wait(MS(ms))),
        1 => (400_u64..20_000).prop_map(|ms| Step::Wait(MS(ms))),
        1 => states.prop_map(Step::Force),
    ]
}

fn config() -> impl Strategy<Value = BreakerConfig> {
    let window = prop_oneof![
        1 => Just(None),
        3 => (1_u32..12).prop_map(|n| Some(Window::Count(n))),
        3 => (10_u64..2_000).prop_map(|ms| Some(Window::Time(MS(ms)))),
    ];
    let rate = || prop::sample::select(vec![0.01, 0.2, 1.0 / 3.0, 0.5, 0.9, 1.0]);
    let rates = (rate(), rate(), any::<bool>());
    let numbers = (prop::option::of(1_u32..7), 1_u32..9, 1_u32..5);
    let waits = (1_u64..900, prop::option::of(1_u64..900));
    (window, rates, numbers, waits).prop_map(|(window, rates, numbers, waits)| {
        let (failure_rate, slow_call_rate, minds_slow) = rates;
        let (consecutive_failures, minimum_calls, half_open_permits) = numbers;
        BreakerConfig {
            enabled: true,
            window,
            failure_rate,
            slow_call_duration: minds_slow.then_some(MS(1)),
            slow_call_rate,
            consecutive_failures: consecutive_failures.or(window.is_none().then_some(3)),
            minimum_calls,
            open_wait: MS(waits.0),
            max_open_wait: MS(waits.0 * 5),
            open_jitter: 0.0,
            half_open_permits,
            half_open_wait: waits.1.map(MS),
            on_cancel: super::OnCancel::Ignore,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_breaker_does_what_a_plain_list_of_outcomes_says(
        config in config(),
        seats in 1_usize..4,
        steps in prop::collection::vec((step(), prop::bool::weighted(0.2)), 1..120),
    ) {
        config.check().unwrap();
        let mut pair = Pair::new(config, seats);
        for (step, look) in &steps {
            pair.step(step);
            pair.compare(*look);
        }
        pair.compare(true);
    }
}
