//! The laws of [`Clock`].

mod laws;
mod list;

use std::{fmt, future, sync::Arc, time::Duration};

use openclaw_core::Clock;

use super::{Law, Report, Verdict};

/// Makes the clocks that the laws try.
///
/// ```
/// use openclaw_core::{Clock, SystemClock};
/// use openclaw_testkit::conformance::clock::{ClockHarness, LAWS, check_all};
///
/// struct System;
///
/// impl ClockHarness for System {
///     fn fresh(&self) -> Box<dyn Clock> {
///         Box::new(SystemClock::default())
///     }
/// }
///
/// assert_eq!(check_all(&System).held.len(), LAWS.len() - 1);
/// ```
pub trait ClockHarness: Send + Sync {
    /// A new clock.
    fn fresh(&self) -> Box<dyn Clock>;

    /// Lets this much time go by for the last clock; `false` when only real time moves it.
    fn pass(&self, time: Duration) -> bool {
        let _ = time;
        false
    }

    /// Must time not be paused?
    fn real_time(&self) -> bool {
        true
    }
}

/// A clock under trial.
pub struct Trial<'a> {
    harness: &'a dyn ClockHarness,
    clock: Arc<dyn Clock>,
}

impl<'a> Trial<'a> {
    /// Puts a new clock of this harness on trial.
    pub fn new(harness: &'a dyn ClockHarness) -> future::Ready<Self> {
        future::ready(Self { harness, clock: harness.fresh().into() })
    }

    fn missing(&self, need: Need) -> Option<&'static str> {
        let stands = matches!(need, Need::Moves) && !self.harness.pass(Duration::ZERO);
        stands.then_some("time that a test moves")
    }
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.clock)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    Moves,
}

crate::__clock_laws! { __law_table {
    /// Every law of a clock.
    ClockHarness, at_once
} }
