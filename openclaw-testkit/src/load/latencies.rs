//! Durations in a histogram.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::arrivals::float;

/// The longest duration that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Durations in a high dynamic range histogram: microseconds, three significant digits.
///
/// Its size does not depend on how many it holds. Up to 2 ms every value is exact; above it the
/// error is under 0.1 %. Over an hour all are alike. An empty one answers zero to every question.
///
/// ```
/// use std::time::Duration;
/// use openclaw_testkit::load::Latencies;
///
/// let mut latencies = Latencies::default();
/// for us in 1..=1000 {
///     latencies.record(Duration::from_micros(us));
/// }
/// assert_eq!(latencies.p50(), Duration::from_micros(500));
/// assert_eq!(latencies.p99(), Duration::from_micros(990));
/// assert_eq!(latencies.max(), Duration::from_micros(1000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    histogram: Option<Histogram<u64>>,
    max: Duration,
}

impl Latencies {
    /// Adds one duration.
    pub fn record(&mut self, took: Duration) {
        if self.histogram.is_none() {
            self.histogram = Histogram::new_with_max(LONGEST, 3).ok();
        }
        self.max = self.max.max(took);
        if let Some(histogram) = &mut self.histogram {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            histogram.saturating_record(us.min(LONGEST));
        }
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        match (&mut self.histogram, &other.histogram) {
            (_, None) => {}
            (None, Some(_)) => self.histogram.clone_from(&other.histogram),
            // Both have the same bounds: nothing is out of range.
            (Some(mine), Some(theirs)) => drop(mine.add(theirs)),
        }
    }

    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// Does it hold none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shortest duration that this share of all does not exceed; the share is from 0 to 1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let us = self.histogram.as_ref().map_or(0, |h| h.value_at_quantile(share));
        Duration::from_micros(us).min(self.max)
    }

    /// The median.
    #[must_use]
    pub fn p50(&self) -> Duration {
        self.quantile(0.50)
    }

    /// What nine in ten do not exceed.
    #[must_use]
    pub fn p90(&self) -> Duration {
        self.quantile(0.90)
    }

    /// What all but one in a hundred do not exceed.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// What all but one in a thousand do not exceed.
    #[must_use]
    pub fn p999(&self) -> Duration {
        self.quantile(0.999)
    }

    /// The longest, to the nanosecond.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// The arithmetic mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let us = self.histogram.as_ref().map_or(0.0, Histogram::mean);
        Duration::from_secs_f64(us / 1e6)
    }

    /// The percentiles in milliseconds, as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "p50_ms": millis(self.p50()),
            "p90_ms": millis(self.p90()),
            "p99_ms": millis(self.p99()),
            "p999_ms": millis(self.p999()),
            "max_ms": millis(self.max()),
            "mean_ms": millis(self.mean()),
        })
    }
}

/// Milliseconds with three decimals.
pub(super) fn millis(span: Duration) -> f64 {
    let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    float(us) / 1e3
}
