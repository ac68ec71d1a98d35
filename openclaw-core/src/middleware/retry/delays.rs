//! How long to pause before the next try.

use std::{fmt, sync::Arc, time::Duration};

/// How chance moves a pause.
///
/// The names, and why full jitter is the default, are of "Exponential Backoff And Jitter" by
/// Marc Brooker (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Anywhere between nothing and the pause. The default.
    #[default]
    Full,
    /// Anywhere between half the pause and the pause.
    Equal,
    /// Anywhere between the base and three times the pause before.
    Decorrelated,
    /// Not at all: every client comes back at the same moment.
    None,
}

/// A source of pauses that is not ours.
pub trait DelaySource: Send + Sync + 'static {
    /// The pauses of one call, in order; `None` ends the retrying.
    fn begin(&self) -> Box<dyn FnMut() -> Option<Duration> + Send>;
}

/// The pauses between tries.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::middleware::{Delays, Jitter};
///
/// let delays = Delays::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(5))
///     .jitter(Jitter::None);
/// let pauses: Vec<_> = (1..=4).map(|n| delays.pause(n, Duration::ZERO, 0).as_secs()).collect();
/// assert_eq!(pauses, [1, 2, 4, 5]);
/// ```
#[derive(Clone)]
pub struct Delays(Kind);

#[derive(Clone)]
enum Kind {
    Exponential { base: Duration, factor: f64, cap: Duration, jitter: Jitter },
    List(Arc<[Duration]>),
    Source(Arc<dyn DelaySource>),
}

impl Delays {
    /// Pauses that grow by `factor` from `base`, jitter included at most `cap`; full jitter.
    ///
    /// A factor below 1 is taken as 1.
    #[must_use]
    pub const fn exponential(base: Duration, factor: f64, cap: Duration) -> Self {
        Self(Kind::Exponential { base, factor, cap, jitter: Jitter::Full })
    }

    /// The same pause each time, without jitter.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        Self(Kind::Exponential { base: pause, factor: 1.0, cap: pause, jitter: Jitter::None })
    }

    /// No pause.
    #[must_use]
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// These pauses in their order, the last one again and again.
    #[must_use]
    pub fn list(pauses: impl Into<Arc<[Duration]>>) -> Self {
        Self(Kind::List(pauses.into()))
    }

    /// The pauses of a source of your own.
    #[must_use]
    pub fn source(source: impl DelaySource) -> Self {
        Self(Kind::Source(Arc::new(source)))
    }

    /// Sets how chance moves an exponential pause; the others have none.
    #[must_use]
    pub fn jitter(mut self, moved: Jitter) -> Self {
        if let Kind::Exponential { jitter, .. } = &mut self.0 {
            *jitter = moved;
        }
        self
    }

    /// The pause behind the `failed`-th failed try, of the last pause and 64 random bits.
    ///
    /// Pure. A source of your own has no such pauses: this is zero then.
    #[must_use]
    pub fn pause(&self, failed: u32, last: Duration, random: u64) -> Duration {
        match &self.0 {
            Kind::Source(_) => Duration::ZERO,
            Kind::List(pauses) => {
                let at = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
                pauses.get(at).or_else(|| pauses.last()).copied().unwrap_or_default()
            }
            Kind::Exponential { base, factor, cap, jitter } => {
                let full = grown(*base, *factor, failed).min(*cap);
                let pause = match jitter {
                    Jitter::None => full,
                    Jitter::Full => between(Duration::ZERO, full, random),
                    Jitter::Equal => between(full / 2, full, random),
                    Jitter::Decorrelated => {
                        between(*base, last.max(*base).saturating_mul(3), random)
                    }
                };
                pause.min(*cap)
            }
        }
    }

    /// Starts the source of one call, when the pauses are a source's.
    pub(super) fn begin(&self) -> Option<Box<dyn FnMut() -> Option<Duration> + Send>> {
        match &self.0 {
            Kind::Source(source) => Some(source.begin()),
            _ => None,
        }
    }
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Source(_) => f.write_str("Source"),
            Kind::List(pauses) => f.debug_tuple("List").field(pauses).finish(),
            Kind::Exponential { base, factor, cap, jitter } => f
                .debug_struct("Exponential")
                .field("base", base)
                .field("factor", factor)
                .field("cap", cap)
                .field("jitter", jitter)
                .finish(),
        }
    }
}

/// `base` times `factor` to the number of failures before this one.
fn grown(base: Duration, factor: f64, failed: u32) -> Duration {
    let power = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = base.as_secs_f64() * factor.max(1.0).powi(power);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A duration from `low` to `high`, by 64 random bits.
fn between(low: Duration, high: Duration, random: u64) -> Duration {
    let span = high.saturating_sub(low).as_nanos();
    let nanos = (span + 1).saturating_mul(u128::from(random)) >> 64;
    low.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}
