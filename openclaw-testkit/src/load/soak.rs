//! What grows over time.

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{resident_bytes, slope::slope};

/// Where a sample comes from.
type Read = Box<dyn FnMut() -> Option<f64> + Send>;

/// Something that is looked at, and how fast it may grow.
struct Gauge {
    name: String,
    /// Growth an hour that is still fine.
    bound: f64,
    read: Read,
    samples: Vec<(f64, f64)>,
}

/// Samples gauges at an interval, and says which of them grow.
///
/// Run it beside the load: `tokio::join!(soak.run(), load.run(…))`. It samples at once and then
/// at each interval until the time is over. A gauge that answers `None` has no sample then.
///
/// ```
/// use std::time::Duration;
/// use openclaw_testkit::load::{Soak, Verdict};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut rows = 0.0;
/// let report = Soak::new(Duration::from_secs(3600), Duration::from_secs(60))
///     .gauge("tasks", 1.0, || Some(12.0))
///     .gauge("rows", 100.0, move || {
///         rows += 5.0;
///         Some(rows)
///     })
///     .run()
///     .await;
/// assert_eq!(report.verdict("tasks"), Verdict::Holds);
/// assert_eq!(report.verdict("rows"), Verdict::Grows, "300 an hour, where 100 are fine");
/// assert!(!report.holds());
/// # }
/// ```
#[must_use = "end it with `run`"]
pub struct Soak {
    span: Duration,
    every: Duration,
    settle: Duration,
    gauges: Vec<Gauge>,
}

impl fmt::Debug for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.gauges.iter().map(|gauge| &*gauge.name).collect();
        f.debug_struct("Soak").field("gauges", &names).finish_non_exhaustive()
    }
}

impl Soak {
    /// Looks for this long, at this interval; an interval under a millisecond counts as one.
    pub fn new(span: Duration, every: Duration) -> Self {
        let every = every.max(Duration::from_millis(1));
        Self { span, every, settle: Duration::ZERO, gauges: Vec::new() }
    }

    /// Takes no samples for this long at first: caches and pools fill up. None.
    pub const fn settle(mut self, span: Duration) -> Self {
        self.settle = span;
        self
    }

    /// Watches a number that may grow by `bound` an hour.
    pub fn gauge(
        mut self,
        name: impl Into<String>,
        bound: f64,
        read: impl FnMut() -> Option<f64> + Send + 'static,
    ) -> Self {
        let (name, read) = (name.into(), Box::new(read));
        self.gauges.push(Gauge { name, bound, read, samples: Vec::new() });
        self
    }

    /// Watches the memory of this process, in bytes, under the name `rss`. Linux only.
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
    pub fn memory(self, bytes_an_hour: f64) -> Self {
        self.gauge("rss", bytes_an_hour, || resident_bytes().map(|bytes| bytes as f64))
    }

    /// Samples until the time is over.
    pub async fn run(mut self) -> SoakReport {
        let start = Instant::now();
        let mut at = self.settle;
        while at <= self.span {
            sleep_until(start + at).await;
            let hours = start.elapsed().as_secs_f64() / 3600.0;
            for gauge in &mut self.gauges {
                gauge.samples.extend((gauge.read)().map(|value| (hours, value)));
            }
            at += self.every;
        }
        SoakReport(self.gauges.into_iter().map(Growth::of).collect())
    }
}

/// Does a gauge stay within its bound?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Its slope is not above the bound.
    Holds,
    /// Its slope is above the bound.
    Grows,
    /// There are too few samples for a slope.
    Unknown,
}

/// What became of one gauge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Growth {
    /// The gauge.
    pub name: String,
    /// How many samples there are.
    pub samples: usize,
    /// The first and the last sample.
    pub ends: Option<(f64, f64)>,
    /// The least-squares slope, in units an hour; `None` with fewer than two samples.
    pub per_hour: Option<f64>,
    /// The slope that is still fine, in units an hour.
    pub bound: f64,
}

impl Growth {
    fn of(gauge: Gauge) -> Self {
        let Gauge { name, bound, samples, .. } = gauge;
        let ends = samples.first().zip(samples.last()).map(|((_, a), (_, b))| (*a, *b));
        Self { name, samples: samples.len(), ends, per_hour: slope(&samples), bound }
    }

    /// Does it stay within its bound?
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.per_hour {
            Some(slope) if slope <= self.bound => Verdict::Holds,
            Some(_) => Verdict::Grows,
            None => Verdict::Unknown,
        }
    }
}

/// What became of each gauge. `Display` is a table.
#[derive(Clone, Debug)]
pub struct SoakReport(Vec<Growth>);

impl SoakReport {
    /// The gauges, in the order they were added.
    #[must_use]
    pub fn gauges(&self) -> &[Growth] {
        &self.0
    }

    /// What is said of this gauge; `Unknown` when there is none of that name.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Verdict {
        let gauge = self.0.iter().find(|gauge| gauge.name == name);
        gauge.map_or(Verdict::Unknown, Growth::verdict)
    }

    /// Do all gauges stay within their bounds? An unknown one does not count as growth.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.iter().all(|gauge| gauge.verdict() != Verdict::Grows)
    }

    /// Everything, as a JSON array.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let gauge = |g: &Growth| {
            json!({
                "name": g.name,
                "samples": g.samples,
                "first": g.ends.map(|(first, _)| first),
                "last": g.ends.map(|(_, last)| last),
                "per_hour": g.per_hour,
                "bound": g.bound,
                "holds": g.verdict() == Verdict::Holds,
            })
        };
        self.0.iter().map(gauge).collect()
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16} {:>8} {:>16} {:>16} {:>8}",
            "gauge", "samples", "per hour", "bound", "verdict"
        )?;
        for g in &self.0 {
            let slope = g.per_hour.map_or_else(|| "-".to_owned(), |slope| format!("{slope:.1}"));
            let verdict = format!("{:?}", g.verdict()).to_lowercase();
            writeln!(
                f,
                "{:<16} {:>8} {slope:>16} {:>16.1} {verdict:>8}",
                g.name, g.samples, g.bound
            )?;
        }
        Ok(())
    }
}
