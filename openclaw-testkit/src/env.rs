//! Time and randomness that a test holds in its hand.
//!
//! ```
//! use std::time::Duration;
//! use openclaw_core::{Clock, Env};
//! use openclaw_testkit::env::{EPOCH, ManualClock, SeededRng};
//!
//! let clock = ManualClock::new(EPOCH);
//! let env = Env::new(clock.clone(), SeededRng::new(7));
//! clock.advance(Duration::from_secs(60));
//! assert_eq!(env.now().since(EPOCH), Duration::from_secs(60));
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use openclaw_core::{Clock, Env, Rng, Timestamp};
use tokio::time::Instant;

/// When the clocks of tests begin: 2026-01-01T00:00:00Z.
pub const EPOCH: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// An environment whose dates follow tokio's paused time and whose numbers follow the seed.
///
/// Make it inside the runtime whose time is paused: the same seed then gives the same run.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use openclaw_testkit::env::test_env;
///
/// assert_eq!(test_env(7).next_id(), test_env(7).next_id());
/// assert_ne!(test_env(7).next_id(), test_env(8).next_id());
/// # }
/// ```
#[must_use]
pub fn test_env(seed: u64) -> Env {
    Env::new(PausedClock::new(EPOCH), SeededRng::new(seed))
}

/// A clock that moves only when it is told to. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at this date.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(at.as_millis())))
    }

    /// Moves on, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let moved = |now: u64| Some(now.saturating_add(ms));
        // It never fails: the closure always has an answer.
        let _before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
    }

    /// Jumps to a date, forward or back, as when an operator sets the machine's clock.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new(EPOCH)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that follows tokio's time, so that paused and auto-advanced time moves dates too.
#[derive(Clone, Debug)]
pub struct PausedClock {
    epoch: Timestamp,
    began: Instant,
}

impl PausedClock {
    /// A clock that shows `epoch` now.
    #[must_use]
    pub fn new(epoch: Timestamp) -> Self {
        Self { epoch, began: Instant::now() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.epoch.after(self.began.elapsed())
    }
}

/// Random numbers that one seed decides: SplitMix64. Clones draw from the same stream.
///
/// ```
/// use openclaw_testkit::env::SeededRng;
///
/// let (a, b) = (SeededRng::new(1), SeededRng::new(1));
/// let dice: Vec<u64> = (0..8).map(|_| a.below(6)).collect();
/// assert_eq!(dice, (0..8).map(|_| b.below(6)).collect::<Vec<_>>());
/// ```
#[derive(Clone, Debug)]
pub struct SeededRng(Arc<AtomicU64>);

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededRng {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A stream of its own, decided by this one: draws there don't shift draws here.
    #[must_use]
    pub fn split(&self) -> Self {
        Self::new(self.next_u64())
    }

    /// A number under `n`; 0 when `n` is 0.
    #[must_use]
    pub fn below(&self, n: u64) -> u64 {
        // The high half of a product: no modulo, and a bias under n / 2^64.
        let wide = u128::from(self.next_u64()) * u128::from(n);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// True with this probability: never at 0, always at 1.
    #[must_use]
    pub fn chance(&self, p: f64) -> bool {
        const STEPS: u32 = 1 << 24;
        f64::from(u32::try_from(self.below(u64::from(STEPS))).unwrap_or_default())
            < p * f64::from(STEPS)
    }

    /// One of the items; `None` when there are none.
    #[must_use]
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(items.len()).unwrap_or(u64::MAX));
        items.get(usize::try_from(at).unwrap_or_default())
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(GAMMA, Ordering::SeqCst).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
