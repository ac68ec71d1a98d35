//! When operations are meant to start.

use std::time::Duration;

use openclaw_core::Rng as _;

use crate::env::SeededRng;

/// The moments, counted from the start of a run, at which operations are meant to start.
///
/// An iterator without an end. The moments depend on the rate and the seed alone, never on how
/// long an operation takes.
///
/// ```
/// use std::time::Duration;
/// use openclaw_testkit::{env::SeededRng, load::Arrivals};
///
/// let even: Vec<Duration> = Arrivals::constant(4.0).take(3).collect();
/// assert_eq!(even, [0, 250, 500].map(Duration::from_millis));
///
/// let random = || Arrivals::poisson(4.0, SeededRng::new(7)).take(3);
/// assert!(random().eq(random()), "one seed, one schedule");
/// ```
#[derive(Clone, Debug)]
pub struct Arrivals {
    per_s: f64,
    number: u64,
    poisson: Option<SeededRng>,
    /// Seconds from the start to the next random arrival.
    at: f64,
}

/// The longest schedule that is told apart from forever: a century, in seconds.
const CENTURY: f64 = 3.2e9;

impl Arrivals {
    /// An even pace: operation `n` starts at `n / per_s`, so that no error adds up.
    ///
    /// A rate that is not above zero has one arrival, at the start.
    #[must_use]
    pub const fn constant(per_s: f64) -> Self {
        Self { per_s, number: 0, poisson: None, at: 0.0 }
    }

    /// Independent arrivals, as those of many senders: a Poisson process with this mean rate.
    #[must_use]
    pub const fn poisson(per_s: f64, rng: SeededRng) -> Self {
        Self { per_s, number: 0, poisson: Some(rng), at: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = if let Some(rng) = &self.poisson {
            // 53 random bits make a number in (0, 1]: its logarithm is finite.
            let unit = (float(rng.next_u64() >> 11) + 1.0) / float(1 << 53);
            self.at -= unit.ln() / self.per_s;
            self.at
        } else if self.number == 0 {
            0.0
        } else {
            float(self.number) / self.per_s
        };
        self.number += 1;
        let seconds = if seconds >= 0.0 { seconds.min(CENTURY) } else { CENTURY };
        Some(Duration::from_secs_f64(seconds))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}
