//! The phases of a run, one after the other, as one row of moments.

use std::time::Duration;

use super::{Phase, arrivals::Arrivals};
use crate::env::SeededRng;

/// An operation of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Counted from the start of the run.
    pub(super) at: Duration,
    /// Its phase; `None` while warming up.
    pub(super) phase: Option<usize>,
}

/// All operations of a run, in order.
#[derive(Debug)]
pub(super) struct Schedule {
    phases: Vec<Phase>,
    warm_up: Duration,
    rng: Option<SeededRng>,
    phase: usize,
    /// When the present phase began and ends.
    from: Duration,
    until: Duration,
    arrivals: Option<Arrivals>,
}

impl Schedule {
    pub(super) fn new(phases: Vec<Phase>, warm_up: Duration, rng: Option<SeededRng>) -> Self {
        // The first phase begins early, by the warm-up.
        let until = warm_up + phases.first().map_or(Duration::ZERO, |phase| phase.span);
        let mut schedule =
            Self { phases, warm_up, rng, phase: 0, from: Duration::ZERO, until, arrivals: None };
        schedule.arrivals = schedule.arrivals();
        schedule
    }

    fn arrivals(&self) -> Option<Arrivals> {
        let per_s = self.phases.get(self.phase)?.per_s;
        Some(match &self.rng {
            Some(rng) => Arrivals::poisson(per_s, rng.split()),
            None => Arrivals::constant(per_s),
        })
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        loop {
            let at = self.from.saturating_add(self.arrivals.as_mut()?.next()?);
            if at < self.until {
                return Some(Due { at, phase: (at >= self.warm_up).then_some(self.phase) });
            }
            self.phase += 1;
            self.from = self.until;
            self.until += self.phases.get(self.phase)?.span;
            self.arrivals = self.arrivals();
        }
    }
}
