//! What all services of one limit share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Direct, Numbers, Quota,
    gcra::Rule,
    line::Lesson,
    place::{Taken, give_back, take},
};
use crate::{
    ErrorKind, Reason, Refusal,
    middleware::Ticks,
    policy::{Advice, Assessment},
};

/// Says how a call of this key would be refused further in.
pub(super) type Gate<K> = Arc<dyn Fn(&K) -> Option<Refusal> + Send + Sync>;

/// The settings of one layer, and the limit that it shares with the clones it came from.
pub(crate) struct Shared<M: Numbers> {
    name: Arc<str>,
    ticks: Ticks,
    limit: Arc<Limit<M>>,
    max_wait: AtomicU64,
    learns: AtomicBool,
    longest_block: AtomicU64,
    gate: Option<Gate<M::Key>>,
}

/// A limit: its numbers and quota, and what became of its calls.
struct Limit<M> {
    meter: M,
    refused: AtomicU64,
    waiting: AtomicU64,
    tightened: AtomicU64,
    refusing: AtomicBool,
}

impl<M> Limit<M> {
    fn new(meter: M) -> Arc<Self> {
        Arc::new(Self {
            meter,
            refused: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            tightened: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        })
    }
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

impl Shared<Direct> {
    pub(super) fn new(name: Arc<str>, quota: Quota) -> Self {
        Self {
            name,
            ticks: Ticks::runtime(),
            limit: Limit::new(Direct::new(quota.rule())),
            max_wait: AtomicU64::new(0),
            learns: AtomicBool::new(true),
            longest_block: AtomicU64::new(nanos(Duration::from_secs(300))),
            gate: None,
        }
    }

    /// What calls are judged by.
    pub(super) fn rule(&self) -> Rule {
        self.meter().fresh().rule
    }

    /// The same settings around limits by key; none has used up anything.
    pub(super) fn by_key<N: Numbers>(&self, meter: N) -> Shared<N> {
        let gate = self.gate.clone().map(|gate| Arc::new(move |_: &N::Key| gate(&())) as _);
        self.remade(Limit::new(meter), gate)
    }

    /// The same settings by another clock; what was used up by this one is forgotten.
    pub(super) fn by_ticks(&self, ticks: Ticks) -> Self {
        let limit = Limit::new(Direct::new(self.rule()));
        Self { ticks, ..self.remade(limit, self.gate.clone()) }
    }
}

impl<M: Numbers> Shared<M> {
    /// The same limit, with settings of its own.
    pub(super) fn fork(&self) -> Self {
        self.remade(Arc::clone(&self.limit), self.gate.clone())
    }

    fn remade<N: Numbers>(&self, limit: Arc<Limit<N>>, gate: Option<Gate<N::Key>>) -> Shared<N> {
        let copy = |n: &AtomicU64| AtomicU64::new(n.load(Ordering::Relaxed));
        Shared {
            name: Arc::clone(&self.name),
            ticks: self.ticks.clone(),
            limit,
            max_wait: copy(&self.max_wait),
            learns: AtomicBool::new(self.learns.load(Ordering::Relaxed)),
            longest_block: copy(&self.longest_block),
            gate,
        }
    }

    #[inline]
    pub(super) fn meter(&self) -> &M {
        &self.limit.meter
    }

    pub(super) fn set_gate(&mut self, gate: Gate<M::Key>) {
        self.gate = Some(gate);
    }

    /// How a call of this key would be refused further in.
    pub(super) fn refused_further_in(&self, key: &M::Key) -> Option<Refusal> {
        self.gate.as_ref().and_then(|gate| gate(key))
    }

    /// Changes the quota: the calls that are missing stay so many, at the pace of the new one.
    pub(super) fn set_quota(&self, quota: Option<Quota>) {
        let rule = quota.map_or(Rule { cost: 0, ahead: 0 }, |quota| quota.rule());
        let now = self.now();
        self.meter().amend_all(|line| {
            line.change(rule, now);
            true
        });
    }

    pub(super) fn set_max_wait(&self, max: Duration) {
        self.max_wait.store(nanos(max), Ordering::Relaxed);
    }

    pub(super) fn set_learning(&self, learns: bool, longest_block: Duration) {
        self.learns.store(learns, Ordering::Relaxed);
        self.longest_block.store(nanos(longest_block), Ordering::Relaxed);
    }

    /// The time since the limit was made.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        at(self.ticks.elapsed())
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
        self.limit.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn joined_the_queue(&self) {
        self.limit.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a place, unless it lies behind `last`.
    #[inline]
    pub(super) fn reserve(&self, key: &M::Key, now: u64, last: u64) -> Result<Taken, Refusal> {
        let taken = take(self.meter(), key, now, last).map_err(|wait| self.refuse(key, wait))?;
        if taken.slot.wait == 0 && self.limit.refusing.load(Ordering::Relaxed) {
            self.limit.refusing.store(false, Ordering::Relaxed);
        }
        Ok(taken)
    }

    /// How long a call of this key would wait if it came now.
    pub(super) fn peek(&self, key: &M::Key, now: u64) -> Duration {
        Duration::from_nanos(self.meter().look(key).slot(now).wait)
    }

    /// Refuses a call for want of a place, unless it is refused further in anyway.
    #[cold]
    pub(super) fn refuse(&self, key: &M::Key, wait: u64) -> Refusal {
        self.refused_further_in(key).unwrap_or_else(|| self.refuse_here(wait))
    }

    fn refuse_here(&self, wait: u64) -> Refusal {
        let after = Duration::from_nanos(wait);
        self.limit.refused.fetch_add(1, Ordering::Relaxed);
        if !self.limit.refusing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = &*self.name,
                after_ms = after.as_millis(),
                "the rate limit refuses"
            );
        }
        Refusal::new(Reason::RateLimited, Arc::clone(&self.name)).with_retry_after(after)
    }

    /// Gives the last place back.
    pub(super) fn give_back(&self, key: &M::Key, taken: Taken) {
        give_back(self.meter(), key, self.now(), taken);
    }

    /// Tightens the limit of a key by what came back; never loosens it.
    pub(super) fn learn(&self, key: &M::Key, means: &Assessment, advice: Option<Advice>) {
        let busy =
            means.is_throttled() || !means.local && means.fault == Some(ErrorKind::Unavailable);
        let told = means.retry_after.filter(|_| busy).map(|after| Advice::new(0, after));
        let Some(advice) = told.or(advice) else { return };
        if self.learns.load(Ordering::Relaxed) {
            self.tighten(key, advice);
        }
    }

    pub(super) fn tighten(&self, key: &M::Key, advice: Advice) {
        let lesson = self.lesson(advice);
        if self.meter().amend(key, lesson.now, |line| lesson.teach(line)) {
            self.limit.tightened.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                limit = &*self.name,
                remaining = advice.remaining,
                "the rate limit is tightened"
            );
        }
    }

    pub(super) fn tighten_all(&self, advice: Advice) {
        let lesson = self.lesson(advice);
        self.meter().amend_all(|line| lesson.teach(line));
    }

    /// What advice says: silence, or so many calls spread over the time to the reset.
    fn lesson(&self, advice: Advice) -> Lesson {
        let (now, longest) = (self.now(), self.longest_block.load(Ordering::Relaxed));
        let reset_in = nanos(advice.reset_in);
        let cost = reset_in.checked_div(advice.remaining).unwrap_or(0);
        Lesson {
            calls: advice.remaining,
            cost: cost.min(longest),
            until: now.saturating_add(reset_in.min(longest)),
            now,
            queue: self.limit.waiting.load(Ordering::Relaxed) > 0,
        }
    }

    pub(super) fn snapshot(&self) -> RateLimitSnapshot {
        let (keys, forgotten, crowded) = self.meter().count();
        RateLimitSnapshot {
            refused: self.limit.refused.load(Ordering::Relaxed),
            waiting: self.limit.waiting.load(Ordering::Relaxed),
            tightened: self.limit.tightened.load(Ordering::Relaxed),
            keys,
            forgotten,
            crowded,
        }
    }
}

impl<M: Numbers> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { cost, ahead } = self.meter().fresh().rule;
        f.debug_struct("RateLimit")
            .field("name", &self.name)
            .field("interval", &Duration::from_nanos(cost))
            .field("ahead", &Duration::from_nanos(ahead))
            .finish_non_exhaustive()
    }
}
