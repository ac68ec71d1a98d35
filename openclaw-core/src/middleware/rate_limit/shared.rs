//! What all services of one limit share.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Meter, Quota,
    gcra::{Slot, blocked, slot, with_remaining},
};
use crate::{
    Reason, Refusal,
    policy::{Advice, Assessment},
};

/// Says that a call would be refused further in: it needs no place then.
pub(super) type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// The quota, how long calls wait, what was learnt; the numbers are the meter's.
pub(crate) struct Shared<M> {
    name: Arc<str>,
    epoch: Instant,
    pub(super) meter: M,
    /// Nanoseconds a call; 0 is no limit.
    interval: AtomicU64,
    tolerance: AtomicU64,
    max_wait: AtomicU64,
    learns: AtomicBool,
    longest_block: AtomicU64,
    gate: OnceLock<Gate>,
    refused: AtomicU64,
    waiting: AtomicU64,
    blocks: AtomicU64,
    refusing: AtomicBool,
}

/// How a limit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSnapshot {
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that wait for their place now.
    pub waiting: u64,
    /// How often the other side's advice tightened the limit.
    pub tightened: u64,
    /// Keys on hand.
    pub keys: usize,
    /// Keys that were forgotten because their time was over.
    pub forgotten: u64,
    /// Calls that shared the limit of those whose keys found no room.
    pub crowded: u64,
}

pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl<M> Shared<M> {
    pub(super) fn new(name: Arc<str>, quota: Quota, meter: M) -> Self {
        let shared = Self {
            name,
            epoch: Instant::now(),
            meter,
            interval: AtomicU64::new(0),
            tolerance: AtomicU64::new(0),
            max_wait: AtomicU64::new(0),
            learns: AtomicBool::new(true),
            longest_block: AtomicU64::new(nanos(Duration::from_secs(300))),
            gate: OnceLock::new(),
            refused: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        };
        shared.set_quota(Some(quota));
        shared
    }

    /// A new limit of the same settings around another meter.
    pub(super) fn remade<N>(&self, meter: N) -> Shared<N> {
        let copy = |n: &AtomicU64| AtomicU64::new(n.load(Ordering::Relaxed));
        let gate = OnceLock::new();
        if let Some(refused) = self.gate.get() {
            gate.get_or_init(|| Arc::clone(refused));
        }
        Shared {
            name: Arc::clone(&self.name),
            epoch: self.epoch,
            meter,
            interval: copy(&self.interval),
            tolerance: copy(&self.tolerance),
            max_wait: copy(&self.max_wait),
            learns: AtomicBool::new(self.learns.load(Ordering::Relaxed)),
            longest_block: copy(&self.longest_block),
            gate,
            refused: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        }
    }

    /// Sets the gate, once.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.gate.get_or_init(|| gate);
    }

    pub(super) fn is_closed_further_in(&self) -> bool {
        self.gate.get().is_some_and(|refused| refused())
    }

    pub(super) fn set_quota(&self, quota: Option<Quota>) {
        self.tolerance.store(quota.map_or(0, |quota| quota.tolerance()), Ordering::Relaxed);
        self.interval.store(quota.map_or(0, |quota| quota.interval), Ordering::Relaxed);
    }

    pub(super) fn set_max_wait(&self, max: Duration) {
        self.max_wait.store(nanos(max), Ordering::Relaxed);
    }

    pub(super) fn set_learning(&self, learns: bool, longest_block: Duration) {
        self.learns.store(learns, Ordering::Relaxed);
        self.longest_block.store(nanos(longest_block), Ordering::Relaxed);
    }

    /// The time since the limit was made; never zero, so that a fresh number lies in the past.
    pub(super) fn at(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch)).saturating_add(1)
    }

    fn rule(&self) -> (u64, u64) {
        (self.interval.load(Ordering::Relaxed), self.tolerance.load(Ordering::Relaxed))
    }

    pub(super) fn left_the_queue(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn joined_the_queue(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a place, if it comes within the longest wait and before the deadline.
    pub(super) fn reserve<Req>(
        &self,
        key: &M::Key,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Result<Slot, Refusal>
    where
        M: Meter<Req>,
    {
        let at = self.at(now);
        let (interval, tolerance) = self.rule();
        let mut max = self.max_wait.load(Ordering::Relaxed);
        if max > 0
            && let Some(deadline) = deadline
        {
            max = max.min(nanos(deadline.saturating_duration_since(now)));
        }
        let mut taken = Slot { wait: 0, next: 0 };
        let placed = self.meter.update(key, at, |number| {
            taken = slot(number, at, interval, tolerance);
            (taken.wait <= max).then_some(taken.next)
        });
        if placed {
            if taken.wait == 0 && self.refusing.load(Ordering::Relaxed) {
                self.refusing.store(false, Ordering::Relaxed);
            }
            return Ok(taken);
        }
        Err(self.refuse(Duration::from_nanos(taken.wait)))
    }

    pub(super) fn refuse(&self, after: Duration) -> Refusal {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if !self.refusing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = &*self.name,
                after_ms = after.as_millis(),
                "the rate limit refuses"
            );
        }
        Refusal::new(Reason::RateLimited, Arc::clone(&self.name)).with_retry_after(after)
    }

    /// Gives the last place back; another one than the last can't be.
    pub(super) fn give_back<Req>(&self, key: &M::Key, next: u64)
    where
        M: Meter<Req>,
    {
        let (interval, _) = self.rule();
        let back = |number: u64| (number == next).then(|| next.saturating_sub(interval));
        self.meter.update(key, 0, back);
    }

    /// Tightens the limit of a key by what came back; never loosens it.
    pub(super) fn learn<Req>(&self, key: &M::Key, means: &Assessment, advice: Option<Advice>)
    where
        M: Meter<Req>,
    {
        let throttled = means.is_throttled();
        if advice.is_none() && !throttled || !self.learns.load(Ordering::Relaxed) {
            return;
        }
        let told = means.retry_after.filter(|_| throttled).map(|after| Advice::new(0, after));
        let Some(advice) = told.or(advice) else { return };
        self.tighten(key, advice);
    }

    pub(super) fn tighten<Req>(&self, key: &M::Key, advice: Advice)
    where
        M: Meter<Req>,
    {
        let at = self.at(Instant::now());
        let tight = self.tight(at, advice);
        if tight > 0 && self.meter.update(key, at, |number| (number < tight).then_some(tight)) {
            self.blocks.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                limit = &*self.name,
                remaining = advice.remaining,
                "the rate limit is tightened"
            );
        }
    }

    pub(super) fn tighten_all<Req>(&self, advice: Advice)
    where
        M: Meter<Req>,
    {
        let tight = self.tight(self.at(Instant::now()), advice);
        self.meter.update_all(|number| (number < tight).then_some(tight));
    }

    /// The number that allows no more than the advice.
    fn tight(&self, at: u64, advice: Advice) -> u64 {
        let (interval, tolerance) = self.rule();
        if advice.remaining > 0 {
            return if interval == 0 {
                0
            } else {
                with_remaining(advice.remaining, at, interval, tolerance)
            };
        }
        let longest = self.longest_block.load(Ordering::Relaxed);
        blocked(at.saturating_add(nanos(advice.reset_in).min(longest)), interval, tolerance)
    }

    pub(super) fn snapshot<Req>(&self) -> RateLimitSnapshot
    where
        M: Meter<Req>,
    {
        let (keys, forgotten, crowded) = self.meter.count();
        RateLimitSnapshot {
            refused: self.refused.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            tightened: self.blocks.load(Ordering::Relaxed),
            keys,
            forgotten,
            crowded,
        }
    }
}

impl<M> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (interval, tolerance) = self.rule();
        f.debug_struct("RateLimit")
            .field("name", &self.name)
            .field("interval", &Duration::from_nanos(interval))
            .field("tolerance", &Duration::from_nanos(tolerance))
            .finish_non_exhaustive()
    }
}
