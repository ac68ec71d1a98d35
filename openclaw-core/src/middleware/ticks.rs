//! The monotonic clock that a breaker and a rate limit read at a call.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// The monotonic clock that a layer reads at each call.
///
/// | clock | how it is read | paused time |
/// |---|---|---|
/// | [`runtime`](Self::runtime), the default | the operating system's, as tokio reads it | reaches it |
/// | `counter`, feature `counter` | the processor's time-stamp counter | does not reach it |
///
/// A read of the system's clock is most of what an open breaker and a rate limit cost; `cargo
/// bench --bench middleware` prints both. Timers are the runtime's all the same.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::middleware::Ticks;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let ticks = Ticks::runtime();
/// tokio::time::advance(Duration::from_secs(5)).await;
/// assert_eq!(ticks.elapsed(), Duration::from_secs(5));
/// # }
/// ```
#[derive(Clone)]
pub struct Ticks(Source);

#[derive(Clone)]
enum Source {
    Runtime(Instant),
    #[cfg(feature = "counter")]
    Counter(quanta::Clock, quanta::Instant),
}

impl Ticks {
    /// The runtime's clock, from now on.
    #[must_use]
    pub fn runtime() -> Self {
        Self(Source::Runtime(Instant::now()))
    }

    /// The processor's time-stamp counter, from now on.
    ///
    /// The first one of a process measures how fast it counts, for 200 ms at most: make it at the
    /// start. Where there is no counter that goes evenly, it is the system's clock. The two part
    /// by some millionths, so that a wait of a minute may be off by some microseconds.
    #[cfg(feature = "counter")]
    #[must_use]
    pub fn counter() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.now();
        Self(Source::Counter(clock, start))
    }

    /// The time since it was made.
    #[inline]
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::Runtime(start) => Instant::now().saturating_duration_since(*start),
            #[cfg(feature = "counter")]
            Source::Counter(clock, start) => clock.now().saturating_duration_since(*start),
        }
    }

    /// What [`elapsed`](Self::elapsed) is at a moment of the runtime's clock.
    pub(super) fn elapsed_at(&self, moment: Instant) -> Duration {
        match &self.0 {
            Source::Runtime(start) => moment.saturating_duration_since(*start),
            #[cfg(feature = "counter")]
            Source::Counter(..) => {
                let (now, elapsed) = (Instant::now(), self.elapsed());
                match moment.checked_duration_since(now) {
                    Some(ahead) => elapsed.saturating_add(ahead),
                    None => elapsed.saturating_sub(now.saturating_duration_since(moment)),
                }
            }
        }
    }

    /// The moment of the runtime's clock at which so much has elapsed, now at the latest.
    pub(super) fn moment(&self, elapsed: Duration) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.elapsed_at(now).saturating_sub(elapsed)).unwrap_or(now)
    }
}

impl Default for Ticks {
    fn default() -> Self {
        Self::runtime()
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Runtime(_) => "Ticks(runtime)",
            #[cfg(feature = "counter")]
            Source::Counter(..) => "Ticks(counter)",
        })
    }
}
