//! What a load run found.

use std::{fmt, time::Duration};

use serde_json::{Map, Value, json};

use super::{arrivals::float, errors::Errors, latencies::Latencies};

/// What a load run found, and each of its phases.
///
/// Every operation whose intended start lies in the measured time is in exactly one count:
/// `offered = ok + failed + unfinished + not_started`. Operations of the warm-up are in none.
///
/// `Display` is a table, [`Report::to_json`] an object for programs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(super) name: String,
    pub(super) per_s: f64,
    pub(super) elapsed: Duration,
    pub(super) ok: u64,
    pub(super) errors: Errors,
    pub(super) unfinished: u64,
    pub(super) not_started: u64,
    pub(super) queue_peak: usize,
    pub(super) in_flight_peak: usize,
    pub(super) latency: Latencies,
    pub(super) service_time: Latencies,
    pub(super) phases: Vec<Self>,
}

impl Report {
    /// Operations that the schedule asked for.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.sent() + self.not_started
    }

    /// Operations that were started.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.ok + self.failed() + self.unfinished
    }

    /// Operations that answered `Ok`.
    #[must_use]
    pub const fn ok(&self) -> u64 {
        self.ok
    }

    /// Operations that answered an error, or panicked.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.total()
    }

    /// The errors by name, with their counts.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter()
    }

    /// How often an error of this name was answered.
    #[must_use]
    pub fn errors_of(&self, name: &str) -> u64 {
        self.errors.of(name)
    }

    /// Operations that had not answered when the patience ended; they are in no percentile.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// Operations that found no room among those that wait; they are in no percentile.
    #[must_use]
    pub const fn not_started(&self) -> u64 {
        self.not_started
    }

    /// The most operations that waited for a place at once.
    #[must_use]
    pub const fn queue_peak(&self) -> usize {
        self.queue_peak
    }

    /// The most operations under way at once.
    #[must_use]
    pub const fn in_flight_peak(&self) -> usize {
        self.in_flight_peak
    }

    /// From the intended start to the answer, of all that answered `Ok`.
    #[must_use]
    pub const fn latency(&self) -> &Latencies {
        &self.latency
    }

    /// From the real start to the answer: what a closed loop would have called latency.
    #[must_use]
    pub const fn service_time(&self) -> &Latencies {
        &self.service_time
    }

    /// `Ok` answers a second, until the last of them.
    #[must_use]
    pub fn goodput_per_s(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { float(self.ok) / seconds } else { 0.0 }
    }

    /// The measured time: as planned, or until the last answer when that came later.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The rate that was asked for, a second; of several phases the mean.
    #[must_use]
    pub const fn rate_per_s(&self) -> f64 {
        self.per_s
    }

    /// The name of a phase; empty for the whole.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The phases, when there is more than one.
    #[must_use]
    pub fn phases(&self) -> &[Self] {
        &self.phases
    }

    /// Everything, as one JSON object. Times are in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let errors: Map<String, Value> =
            self.errors().map(|(name, count)| (name.to_owned(), count.into())).collect();
        json!({
            "name": self.name,
            "rate_per_s": self.per_s,
            "secs": self.elapsed.as_secs_f64(),
            "offered": self.offered(),
            "sent": self.sent(),
            "ok": self.ok,
            "errors": errors,
            "unfinished": self.unfinished,
            "not_started": self.not_started,
            "queue_peak": self.queue_peak,
            "in_flight_peak": self.in_flight_peak,
            "goodput_per_s": self.goodput_per_s(),
            "latency": self.latency.to_json(),
            "service_time": self.service_time.to_json(),
            "phases": self.phases.iter().map(Self::to_json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.errors.merge(&other.errors);
        self.unfinished += other.unfinished;
        self.not_started += other.not_started;
        self.queue_peak = self.queue_peak.max(other.queue_peak);
        self.in_flight_peak = self.in_flight_peak.max(other.in_flight_peak);
        self.latency.merge(&other.latency);
        self.service_time.merge(&other.service_time);
    }

    fn row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "all" } else { &self.name };
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        write!(
            f,
            "{name:<12} {:>9.1} {:>9.1} {:>8} {:>8} {:>8} {:>11}",
            self.per_s,
            self.goodput_per_s(),
            self.offered(),
            self.ok,
            self.failed(),
            self.not_started,
        )?;
        let l = &self.latency;
        for span in [l.p50(), l.p90(), l.p99(), l.p999(), l.max(), self.service_time.p99()] {
            write!(f, " {:>9.2}", ms(span))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>9} {:>9} {:>8} {:>8} {:>8} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "phase",
            "asked/s",
            "ok/s",
            "offered",
            "ok",
            "failed",
            "not started",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "svc p99"
        )?;
        for phase in &self.phases {
            phase.row(f)?;
        }
        self.row(f)?;
        for (name, count) in self.errors() {
            writeln!(f, "error {name}: {count}")?;
        }
        if self.unfinished > 0 {
            writeln!(f, "unfinished: {}", self.unfinished)?;
        }
        writeln!(f, "most waiting: {}, most under way: {}", self.queue_peak, self.in_flight_peak)
    }
}
