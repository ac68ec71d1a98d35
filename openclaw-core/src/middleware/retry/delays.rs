//! How long to pause before the next try.

use std::{fmt, sync::Arc, time::Duration};

/// The longest pause, unless said otherwise.
const CAP: Duration = Duration::from_secs(32);

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

/// The pauses of one call, one after the other; `None` ends the retrying.
type Next = Box<dyn FnMut() -> Option<Duration> + Send>;

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
pub struct Delays {
    kind: Kind,
    cap: Duration,
}

#[derive(Clone)]
enum Kind {
    Exponential { base: Duration, factor: f64, jitter: Jitter },
    List(Arc<[Duration]>),
    Source(Arc<dyn DelaySource>),
}

impl Delays {
    /// Pauses that grow by `factor` from `base`, jitter included at most `cap`; full jitter.
    ///
    /// A factor below 1 is taken as 1.
    #[must_use]
    pub const fn exponential(base: Duration, factor: f64, cap: Duration) -> Self {
        Self { kind: Kind::Exponential { base, factor, jitter: Jitter::Full }, cap }
    }

    /// The same pause each time, without jitter.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        let kind = Kind::Exponential { base: pause, factor: 1.0, jitter: Jitter::None };
        Self { kind, cap: pause }
    }

    /// No pause.
    #[must_use]
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// These pauses in their order, the last one again and again.
    #[must_use]
    pub fn list(pauses: impl Into<Arc<[Duration]>>) -> Self {
        Self { kind: Kind::List(pauses.into()), cap: Duration::MAX }
    }

    /// The pauses of a source of your own, each at most 32 s unless [`Delays::cap`] says otherwise.
    #[must_use]
    pub fn source(source: impl DelaySource) -> Self {
        Self { kind: Kind::Source(Arc::new(source)), cap: CAP }
    }

    /// Sets the longest pause, jitter included.
    ///
    /// The other side's Retry-After may still be longer, up to the retry's
    /// [longest wait](super::RetryLayer::longest_wait) and within the deadline.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets how chance moves an exponential pause; the others have none.
    #[must_use]
    pub fn jitter(mut self, moved: Jitter) -> Self {
        if let Kind::Exponential { jitter, .. } = &mut self.kind {
            *jitter = moved;
        }
        self
    }

    /// The pause behind the `failed`-th failed try, of the last pause and 64 random bits.
    ///
    /// Pure. A source of your own has no such pauses: this is zero then.
    #[must_use]
    pub fn pause(&self, failed: u32, last: Duration, random: u64) -> Duration {
        match &self.kind {
            Kind::Source(_) => Duration::ZERO,
            Kind::List(pauses) => {
                let at = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
                pauses.get(at).or_else(|| pauses.last()).copied().unwrap_or_default().min(self.cap)
            }
            Kind::Exponential { base, factor, jitter } => {
                let full = grown(*base, *factor, failed).min(self.cap);
                let pause = match jitter {
                    Jitter::None => full,
                    Jitter::Full => between(Duration::ZERO, full, random),
                    Jitter::Equal => between(full / 2, full, random),
                    Jitter::Decorrelated => {
                        between(*base, last.max(*base).saturating_mul(3), random)
                    }
                };
                pause.min(self.cap)
            }
        }
    }
}

impl Default for Delays {
    /// One second, doubling to 32 s, with full jitter.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), 2.0, CAP)
    }
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = match &self.kind {
            Kind::Source(_) => f.debug_struct("Source"),
            Kind::List(pauses) => {
                let mut f = f.debug_struct("List");
                f.field("pauses", pauses);
                f
            }
            Kind::Exponential { base, factor, jitter } => {
                let mut f = f.debug_struct("Exponential");
                f.field("base", base).field("factor", factor).field("jitter", jitter);
                f
            }
        };
        f.field("cap", &self.cap).finish()
    }
}

/// How far the pauses of one call have come.
#[derive(Default)]
pub(super) struct Pauses {
    last: Duration,
    source: Option<Next>,
}

impl Pauses {
    /// The next pause; `None` when a source has no more.
    pub(super) fn next(
        &mut self,
        delays: &Delays,
        failed: u32,
        draw: impl FnOnce() -> u64,
    ) -> Option<Duration> {
        if let Kind::Source(source) = &delays.kind {
            let pause = self.source.get_or_insert_with(|| source.begin())();
            return pause.map(|pause| pause.min(delays.cap));
        }
        self.last = delays.pause(failed, self.last, draw());
        Some(self.last)
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
