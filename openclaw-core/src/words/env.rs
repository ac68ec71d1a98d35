//! Where dates, randomness and ids come from; the only place that may ask the machine.
//!
//! Waiting is `tokio::time`. Everything else that differs from run to run goes through
//! [`Env`], so that one seed replays a whole run.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::MessageId;

/// A date: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest date there is: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The date this many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This date plus `d`, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long `self` is after `earlier`; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The date as RFC 3339 in UTC, with milliseconds: `2026-11-20T08:00:00.000Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms)
            .map_or_else(|_| "9999-12-30T22:00:00.000Z".to_owned(), |t| format!("{t:.3}"))
    }

    /// Reads an RFC 3339 date with any offset; `None` when it is not one, or before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let t: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(t.as_millisecond()).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// When a message with this id was admitted, as [`Env::next_id`] wrote it.
pub(crate) fn date_of(id: MessageId) -> Timestamp {
    Timestamp(u64::try_from(id.as_u128() >> 80).unwrap_or(u64::MAX))
}

/// Tells the date.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The date now. It may step back when an operator sets the machine's clock.
    fn now(&self) -> Timestamp;
}

/// Gives random numbers.
pub trait Rng: Send + Sync + fmt::Debug + 'static {
    /// Sixty-four random bits.
    fn next_u64(&self) -> u64;
}

/// Where dates, randomness and ids come from.
///
/// Cheap to clone. [`Env::system`] is the real one; a test passes its own clock and rng.
///
/// ```
/// use openclaw_core::Env;
///
/// let env = Env::system();
/// let (a, b) = (env.next_id(), env.next_id());
/// assert!(a < b, "ids grow, even within one millisecond");
/// ```
#[derive(Clone, Debug)]
pub struct Env(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    last: Mutex<u128>,
}

impl Env {
    /// The machine's clock and entropy.
    #[must_use]
    pub fn system() -> Self {
        Self::new(SystemClock, SystemRng)
    }

    /// An environment of your own clock and rng.
    #[must_use]
    pub fn new(clock: impl Clock, rng: impl Rng) -> Self {
        Self(Arc::new(Inner { clock: Arc::new(clock), rng: Arc::new(rng), last: Mutex::new(0) }))
    }

    /// The date now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The clock itself, for a store or a channel that wants to keep it.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    /// Sixty-four random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        self.0.rng.next_u64()
    }

    /// A new id, larger than every id before it.
    ///
    /// 48 bits of milliseconds, then 80 bits: random in a new millisecond, counted up by a
    /// random step within one, so that a clock that steps back never breaks the order.
    #[must_use]
    pub fn next_id(&self) -> MessageId {
        let ms = u128::from(self.now().as_millis() & 0xFFFF_FFFF_FFFF);
        let random = self.next_u64();
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = (ms << 80) | (u128::from(random) << 8);
        let stepped = last.saturating_add(1 + u128::from(random >> 40));
        *last = if *last >> 80 < ms { fresh } else { stepped };
        MessageId::from_u128(*last)
    }

    /// Makes sure that later ids are larger than `seen`.
    ///
    /// Called once after a restart with the newest id in the store.
    pub fn ids_after(&self, seen: MessageId) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(seen.as_u128());
    }
}

impl Clock for Arc<dyn Clock> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the date"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The machine's entropy.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemRng;

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            // No entropy source: std's hasher keys are the machine's other one.
            use std::hash::{BuildHasher, RandomState};
            RandomState::new().hash_one(SystemClock.now())
        })
    }
}
