//! What opens a breaker, for how long, and what closes it again.

use std::time::Duration;

use crate::{Error, ErrorKind, Result};

/// The field that is out of bounds, and why.
type Wrong = (&'static str, &'static str);

/// The longest duration that may be set: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Which calls the rates of a breaker are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Window {
    /// The last so many calls: 1 to 1,000,000.
    Count(u32),
    /// The calls of the last while, by tenths of it: 10 ms to a year.
    Time(Duration),
}

/// What a call means that nobody waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum OnCancel {
    /// Nothing: it is not counted.
    Ignore,
    /// A failure.
    Failure,
    /// A failure when it was already slow, or past its deadline; else nothing. The default.
    ///
    /// Slow is what `slow_call_duration` says: nothing, unless it is set. The deadline is the
    /// request's own; our total timeout writes it where the policy can. A foreign timeout writes
    /// none, so behind it alone calls that hang are never counted: set one of the two, choose
    /// `Failure`, or put an attempt timeout inside.
    #[default]
    FailureIfSlow,
}

/// The settings of a breaker; the table of [`BreakerLayer`](super::BreakerLayer) has the defaults.
///
/// ```
/// use openclaw_core::middleware::breaker::{BreakerConfig, Window};
///
/// let mut config = BreakerConfig::default();
/// config.window = Some(Window::Count(100));
/// config.check()?;
/// config.failure_rate = 0.0;
/// assert!(config.check().unwrap_err().to_string().contains("failure_rate"));
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// Off, it lets every call through and counts nothing. On.
    pub enabled: bool,
    /// The calls that rates are taken over; without, only failures in a row open it. None.
    pub window: Option<Window>,
    /// The part of failed calls that opens it: above 0, at most 1. 0.5.
    pub failure_rate: f64,
    /// From when on a call is slow; without, none is. None.
    pub slow_call_duration: Option<Duration>,
    /// The part of slow calls that opens it: above 0, at most 1. 1.
    pub slow_call_rate: f64,
    /// Failures in a row that open it, whatever the rates. At least 1. 5.
    pub consecutive_failures: Option<u32>,
    /// Calls in the window below which no rate counts. At least 1. 10.
    pub minimum_calls: u32,
    /// How long it stays open the first time. 60 s.
    pub open_wait: Duration,
    /// The longest it stays open: each time that a trial fails, it waits twice as long. 5 min.
    pub max_open_wait: Duration,
    /// The part of a wait by which chance moves it, up or down: 0 to 1. 0.1.
    pub open_jitter: f64,
    /// Calls that are let through to try. At least 1. 3.
    pub half_open_permits: u32,
    /// How long the calls of a trial may take until it counts as failed. 60 s.
    pub half_open_wait: Option<Duration>,
    /// What a call means that nobody waited for. A failure if slow.
    pub on_cancel: OnCancel,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            window: None,
            failure_rate: 0.5,
            slow_call_duration: None,
            slow_call_rate: 1.0,
            consecutive_failures: Some(5),
            minimum_calls: 10,
            open_wait: Duration::from_secs(60),
            max_open_wait: Duration::from_secs(300),
            open_jitter: 0.1,
            half_open_permits: 3,
            half_open_wait: Some(Duration::from_secs(60)),
            on_cancel: OnCancel::FailureIfSlow,
        }
    }
}

impl BreakerConfig {
    /// Looks whether every value is within its bounds.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the first field that is not, also as the context `at`.
    pub fn check(&self) -> Result<()> {
        self.bounds().map_err(|(at, why)| {
            Error::new(ErrorKind::ValidationError, format!("{at}: {why}")).with("at", at)
        })
    }

    /// The first field that is out of bounds.
    pub(crate) fn bounds(&self) -> Result<(), Wrong> {
        self.check_window()?;
        self.check_rates()?;
        self.check_waits()?;
        if self.consecutive_failures.is_none() && self.window.is_none() {
            return Err(("consecutive_failures", "without a window nothing would open it"));
        }
        Ok(())
    }

    fn check_window(&self) -> Result<(), Wrong> {
        match self.window {
            Some(Window::Count(n)) if !(1..=1_000_000).contains(&n) => {
                Err(("window", "it has 1 to 1,000,000 calls"))
            }
            Some(Window::Time(span)) if span < Duration::from_millis(10) => {
                Err(("window", "it is at least 10 ms"))
            }
            Some(Window::Time(span)) => at_most_a_year("window", span),
            Some(Window::Count(_)) | None => Ok(()),
        }
    }

    fn check_rates(&self) -> Result<(), Wrong> {
        let rates = [("failure_rate", self.failure_rate), ("slow_call_rate", self.slow_call_rate)];
        for (at, rate) in rates {
            if !(rate > 0.0 && rate <= 1.0) {
                return Err((at, "it is above 0 and at most 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.open_jitter) {
            return Err(("open_jitter", "it is between 0 and 1"));
        }
        at_least_one("consecutive_failures", self.consecutive_failures.unwrap_or(1))?;
        at_least_one("minimum_calls", self.minimum_calls)?;
        at_least_one("half_open_permits", self.half_open_permits)
    }

    fn check_waits(&self) -> Result<(), Wrong> {
        let waits = [
            ("slow_call_duration", self.slow_call_duration),
            ("open_wait", Some(self.open_wait)),
            ("max_open_wait", Some(self.max_open_wait)),
            ("half_open_wait", self.half_open_wait),
        ];
        for (at, wait) in waits {
            if wait.is_some_and(|wait| wait.is_zero()) {
                return Err((at, "it is longer than zero"));
            }
            at_most_a_year(at, wait.unwrap_or_default())?;
        }
        if self.open_wait > self.max_open_wait {
            return Err(("open_wait", "it is at most max_open_wait"));
        }
        Ok(())
    }

    /// Calls below which no rate counts: a window that holds fewer is enough.
    pub(super) fn minimum(&self) -> u32 {
        match self.window {
            Some(Window::Count(n)) => self.minimum_calls.min(n),
            Some(Window::Time(_)) | None => self.minimum_calls,
        }
    }

    /// Do so many failed and slow ones among so many calls speak against the service?
    pub(super) fn is_bad(&self, calls: u32, failures: u32, slow: u32) -> bool {
        let part = |n: u32| f64::from(n) / f64::from(calls.max(1));
        let slows = self.slow_call_duration.is_some() && part(slow) >= self.slow_call_rate;
        part(failures) >= self.failure_rate || slows
    }
}

fn at_least_one(at: &'static str, n: u32) -> Result<(), Wrong> {
    if n == 0 { Err((at, "it is at least 1")) } else { Ok(()) }
}

fn at_most_a_year(at: &'static str, span: Duration) -> Result<(), Wrong> {
    if span > LONGEST { Err((at, "it is at most a year")) } else { Ok(()) }
}
