//! What all services of one limit share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Numbers, Quota,
    gcra::{Pace, Rule, Slot},
    place::{Lesson, Taken, give_back, is_silenced, learn, take},
};
use crate::{
    ErrorKind, Reason, Refusal,
    middleware::Ticks,
    policy::{Advice, Assessment},
};

/// Says that a call would be refused further in: it needs no place then.
pub(super) type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// The quota, how long calls wait, what was learnt; the numbers are the meter's.
pub(crate) struct Shared<M> {
    name: Arc<str>,
    ticks: Ticks,
    pub(super) meter: M,
    /// Nanoseconds a call; 0 is no limit.
    interval: AtomicU64,
    ahead: AtomicU64,
    /// Held while the quota changes: the numbers go from one rule to the next.
    changing: Mutex<()>,
    max_wait: AtomicU64,
    learns: AtomicBool,
    longest_block: AtomicU64,
    gate: OnceLock<Gate>,
    refused: AtomicU64,
    waiting: AtomicU64,
    tightened: AtomicU64,
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
    /// How often a key found no room, and shared the limit of all such keys.
    pub crowded: u64,
}

pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// A number of nanoseconds for a time; never zero, so that a fresh number lies in the past.
#[inline]
const fn at(elapsed: Duration) -> u64 {
    // It is less than 584 years.
    let (secs, nanos) = (elapsed.as_secs(), elapsed.subsec_nanos());
    secs.wrapping_mul(1_000_000_000).wrapping_add(nanos as u64).wrapping_add(1)
}

impl<M> Shared<M> {
    pub(super) fn new(name: Arc<str>, quota: Quota, meter: M) -> Self {
        Self {
            name,
            ticks: Ticks::runtime(),
            meter,
            interval: AtomicU64::new(quota.interval),
            ahead: AtomicU64::new(quota.ahead()),
            changing: Mutex::default(),
            max_wait: AtomicU64::new(0),
            learns: AtomicBool::new(true),
            longest_block: AtomicU64::new(nanos(Duration::from_secs(300))),
            gate: OnceLock::new(),
            refused: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            tightened: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        }
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
            ticks: self.ticks.clone(),
            meter,
            interval: copy(&self.interval),
            ahead: copy(&self.ahead),
            changing: Mutex::default(),
            max_wait: copy(&self.max_wait),
            learns: AtomicBool::new(self.learns.load(Ordering::Relaxed)),
            longest_block: copy(&self.longest_block),
            gate,
            refused: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            tightened: AtomicU64::new(0),
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

    /// Changes the quota: the calls that are missing stay so many, at the pace of the new one.
    pub(super) fn set_quota(&self, quota: Option<Quota>)
    where
        M: Numbers,
    {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.rule();
        let next = quota.map_or(Rule { cost: 0, ahead: 0 }, |quota| quota.rule());
        if next == old {
            return;
        }
        self.ahead.store(next.ahead, Ordering::Relaxed);
        self.interval.store(next.cost, Ordering::Relaxed);
        let now = self.now();
        let carried = |number, pace| {
            let carried = old.carried(next, Pace(pace), number, now);
            // A number before `now` says no more than `now`.
            (carried != number.max(now)).then_some(carried)
        };
        self.meter.update_all(carried, |_| None);
    }

    pub(super) fn set_max_wait(&self, max: Duration) {
        self.max_wait.store(nanos(max), Ordering::Relaxed);
    }

    pub(super) fn set_learning(&self, learns: bool, longest_block: Duration) {
        self.learns.store(learns, Ordering::Relaxed);
        self.longest_block.store(nanos(longest_block), Ordering::Relaxed);
    }

    /// Reads this clock from now on. What was used up by another is forgotten with it.
    pub(super) fn set_ticks(&mut self, ticks: Ticks) {
        self.ticks = ticks;
    }

    /// The time since the limit was made.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        at(self.ticks.elapsed())
    }

    #[inline]
    fn rule(&self) -> Rule {
        let (cost, ahead) = (&self.interval, &self.ahead);
        Rule { cost: cost.load(Ordering::Relaxed), ahead: ahead.load(Ordering::Relaxed) }
    }

    /// When a call that comes now must have its place at the latest.
    pub(super) fn last(&self, now: u64, deadline: Option<Instant>) -> u64 {
        let max = self.max_wait.load(Ordering::Relaxed);
        if max == 0 {
            return now;
        }
        let last = now.saturating_add(max);
        deadline.map_or(last, |deadline| last.min(at(self.ticks.elapsed_at(deadline))))
    }

    pub(super) fn left_the_queue(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn joined_the_queue(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a place, unless it lies behind `last`.
    #[inline]
    pub(super) fn reserve(&self, key: &M::Key, now: u64, last: u64) -> Result<Taken, Refusal>
    where
        M: Numbers,
    {
        let taken = take(&self.meter, key, now, self.rule(), last)
            .map_err(|wait| self.refuse(Duration::from_nanos(wait)))?;
        if taken.slot.wait == 0 && self.refusing.load(Ordering::Relaxed) {
            self.refusing.store(false, Ordering::Relaxed);
        }
        Ok(taken)
    }

    /// Has the other side asked for silence since the place was taken?
    pub(super) fn is_silenced(&self, key: &M::Key, now: u64, taken: Taken) -> bool
    where
        M: Numbers,
    {
        is_silenced(&self.meter, key, now, taken)
    }

    /// How long a call of this key would wait if it came now.
    pub(super) fn peek(&self, key: &M::Key, now: u64) -> Duration
    where
        M: Numbers,
    {
        let (number, pace) = self.meter.look(key);
        Duration::from_nanos(self.rule().slot_at(Pace(pace), number, now).wait)
    }

    #[cold]
    fn refuse(&self, after: Duration) -> Refusal {
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

    /// Gives the last place back.
    pub(super) fn give_back(&self, key: &M::Key, slot: Slot)
    where
        M: Numbers,
    {
        give_back(&self.meter, key, self.now(), slot);
    }

    /// Tightens the limit of a key by what came back; never loosens it.
    pub(super) fn learn(&self, key: &M::Key, means: &Assessment, advice: Option<Advice>)
    where
        M: Numbers,
    {
        let busy =
            means.is_throttled() || !means.local && means.fault == Some(ErrorKind::Unavailable);
        let told = means.retry_after.filter(|_| busy).map(|after| Advice::new(0, after));
        let Some(advice) = told.or(advice) else { return };
        if self.learns.load(Ordering::Relaxed) {
            self.tighten(key, advice);
        }
    }

    pub(super) fn tighten(&self, key: &M::Key, advice: Advice)
    where
        M: Numbers,
    {
        let lesson = self.lesson(advice, self.now());
        if learn(&self.meter, key, lesson) {
            self.tightened.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                limit = &*self.name,
                remaining = advice.remaining,
                "the rate limit is tightened"
            );
        }
    }

    pub(super) fn tighten_all(&self, advice: Advice)
    where
        M: Numbers,
    {
        let lesson = self.lesson(advice, self.now());
        self.meter.update_all(|number, _| lesson.number(number), |pace| lesson.pace(pace));
    }

    /// What advice says: silence, or so many calls spread over the time to the reset.
    fn lesson(&self, advice: Advice, now: u64) -> Lesson {
        let longest = self.longest_block.load(Ordering::Relaxed);
        let reset_in = nanos(advice.reset_in);
        let until = now.saturating_add(reset_in.min(longest));
        match reset_in.checked_div(advice.remaining) {
            None => Lesson::silence(until, self.rule(), now),
            Some(cost) => {
                Lesson::spread(advice.remaining, cost.min(longest), until, self.rule(), now)
            }
        }
    }

    pub(super) fn snapshot(&self) -> RateLimitSnapshot
    where
        M: Numbers,
    {
        let (keys, forgotten, crowded) = self.meter.count();
        RateLimitSnapshot {
            refused: self.refused.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            tightened: self.tightened.load(Ordering::Relaxed),
            keys,
            forgotten,
            crowded,
        }
    }
}

impl<M> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { cost, ahead } = self.rule();
        f.debug_struct("RateLimit")
            .field("name", &self.name)
            .field("interval", &Duration::from_nanos(cost))
            .field("ahead", &Duration::from_nanos(ahead))
            .finish_non_exhaustive()
    }
}
