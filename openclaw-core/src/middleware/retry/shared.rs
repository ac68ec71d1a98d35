//! What all services of one layer share: settings, budget, chance, counts.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Budget, Delays, RetrySnapshot,
    delays::Pauses,
    snapshot::{Counts, GivenUp, Why},
};
use crate::{Rng, SystemRng, policy::Assessment};

/// The longest that another's word is waited for, unless said otherwise: as long as a rate limit
/// heeds one.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

pub(crate) struct Shared {
    attempts: AtomicU32,
    waits: AtomicU32,
    /// In nanoseconds; the largest is without end.
    within: AtomicU64,
    /// In nanoseconds; the largest is without end.
    longest_wait: AtomicU64,
    delays: Mutex<Delays>,
    budget: Budget,
    spends: AtomicBool,
    /// Every draw takes the next number, whichever clone draws.
    dice: Arc<AtomicU64>,
    counts: Counts,
}

impl Shared {
    pub(super) fn new(delays: Delays) -> Self {
        Self {
            attempts: AtomicU32::new(3),
            waits: AtomicU32::new(0),
            within: AtomicU64::new(u64::MAX),
            longest_wait: AtomicU64::new(nanos(LONGEST_WAIT)),
            delays: Mutex::new(delays),
            budget: Budget::default(),
            spends: AtomicBool::new(true),
            dice: Arc::new(AtomicU64::new(SystemRng.next_u64())),
            counts: Counts::default(),
        }
    }

    /// The same settings, counted anew. They draw from the same dice: copies would repeat them.
    pub(super) fn fork(&self) -> Self {
        Self {
            attempts: AtomicU32::new(self.attempts()),
            waits: AtomicU32::new(self.waits()),
            within: AtomicU64::new(self.within.load(Relaxed)),
            longest_wait: AtomicU64::new(self.longest_wait.load(Relaxed)),
            delays: Mutex::new(self.delays()),
            budget: self.budget.clone(),
            spends: AtomicBool::new(self.spends.load(Relaxed)),
            dice: Arc::clone(&self.dice),
            counts: Counts::default(),
        }
    }

    #[inline]
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Relaxed)
    }

    pub(super) fn set_attempts(&self, attempts: u32) {
        self.attempts.store(attempts.max(1), Relaxed);
    }

    #[inline]
    pub(super) fn waits(&self) -> u32 {
        self.waits.load(Relaxed)
    }

    pub(super) fn set_waits(&self, waits: u32) {
        self.waits.store(waits, Relaxed);
    }

    #[inline]
    pub(super) fn within(&self) -> Option<Duration> {
        let nanos = self.within.load(Relaxed);
        (nanos < u64::MAX).then(|| Duration::from_nanos(nanos))
    }

    pub(super) fn set_within(&self, total: Option<Duration>) {
        self.within.store(total.map_or(u64::MAX, nanos), Relaxed);
    }

    /// Is this longer than anybody's word is waited for?
    pub(super) fn is_too_long(&self, wait: Duration) -> bool {
        let longest = self.longest_wait.load(Relaxed);
        longest < u64::MAX && wait > Duration::from_nanos(longest)
    }

    pub(super) fn set_longest_wait(&self, longest: Duration) {
        self.longest_wait.store(nanos(longest), Relaxed);
    }

    fn delays(&self) -> Delays {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_delays(&self, delays: Delays) {
        *self.delays.lock().unwrap_or_else(PoisonError::into_inner) = delays;
    }

    pub(super) fn budget(&self) -> Option<&Budget> {
        self.spends.load(Relaxed).then_some(&self.budget)
    }

    pub(super) fn share_budget(&mut self, budget: Option<Budget>) {
        self.spends.store(budget.is_some(), Relaxed);
        self.budget = budget.unwrap_or_default();
    }

    pub(super) fn set_budget(&self, tokens: u32) {
        if tokens > 0 {
            self.budget.set_most(tokens);
        }
        self.spends.store(tokens > 0, Relaxed);
    }

    pub(super) fn set_seed(&mut self, seed: u64) {
        self.dice = Arc::new(AtomicU64::new(seed));
    }

    #[inline]
    pub(super) fn went_well(&self) {
        if let Some(budget) = self.budget() {
            budget.deposit();
        }
    }

    pub(super) fn withdraw(&self, throttled: bool) -> bool {
        self.budget().is_none_or(|budget| budget.withdraw(throttled))
    }

    /// The pause behind this many failures; `None` when a source has no more.
    pub(super) fn pause(&self, pauses: &mut Pauses, failed: u32) -> Option<Duration> {
        pauses.next(&self.delays(), failed, || self.draw())
    }

    /// The next 64 random bits: SplitMix64 (Steele, Lea, Flood, 2014), on one counter.
    fn draw(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.dice.fetch_add(GAMMA, Relaxed).wrapping_add(GAMMA);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn tries_again(&self, tries: u32, pause: Duration, means: &Assessment) {
        self.counts.retries.fetch_add(1, Relaxed);
        tracing::debug!(tries, pause_ms = pause.as_millis(), fault = ?means.fault, "trying again");
    }

    pub(super) fn waits_for(&self, pause: Duration, means: &Assessment) {
        self.counts.waits.fetch_add(1, Relaxed);
        tracing::debug!(pause_ms = pause.as_millis(), fault = ?means.fault, "waiting for a layer");
    }

    pub(super) fn gave_up(&self, why: Why, tries: u32, means: &Assessment) {
        self.counts.gave_up(why);
        tracing::warn!(tries, fault = ?means.fault, why = why.text(), "gave up trying");
    }

    pub(super) fn snapshot(&self) -> RetrySnapshot {
        RetrySnapshot {
            retries: self.counts.retries.load(Relaxed),
            waits: self.counts.waits.load(Relaxed),
            given_up: GivenUp::of(&self.counts),
            budget: self.budget().map(Budget::left),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("attempts", &self.attempts())
            .field("delays", &self.delays())
            .field("within", &self.within())
            .field("budget", &self.budget())
            .finish_non_exhaustive()
    }
}
