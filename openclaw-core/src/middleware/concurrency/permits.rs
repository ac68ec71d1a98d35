//! Permits that can grow and shrink, and the arithmetic that does it.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{ErrorKind, Reason, Refusal, policy::Assessment};

/// What a limit is multiplied by when the other side has too much.
const BACK_OFF: f64 = 0.9;

/// The next limit: additive increase, multiplicative decrease.
///
/// TCP's congestion avoidance (RFC 5681), as Netflix's concurrency-limits applies it to calls: a
/// full round of successes while the limit is in use adds one, a sign of overload takes a tenth.
pub(super) fn adapt(
    limit: f64,
    bounds: &RangeInclusive<usize>,
    means: &Assessment,
    busy: usize,
) -> f64 {
    let next = if tells_overload(means) {
        limit * BACK_OFF
    } else if means.is_success() && as_f64(busy) * 2.0 >= limit {
        limit + 1.0 / limit.max(1.0)
    } else {
        limit
    };
    next.clamp(as_f64(*bounds.start()), as_f64(*bounds.end()))
}

/// Does the other side have too much?
fn tells_overload(means: &Assessment) -> bool {
    means.is_throttled()
        || !means.local && matches!(means.fault, Some(ErrorKind::Timeout | ErrorKind::Overloaded))
}

fn as_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is clamped between two sizes"
)]
fn as_size(limit: f64) -> usize {
    limit as usize
}

/// The permits of a limit.
#[derive(Debug)]
pub(super) struct Permits {
    name: Arc<str>,
    semaphore: Semaphore,
    size: Mutex<Size>,
    /// Permits that are out and must not come back.
    owed: AtomicUsize,
    /// Permits there are, in and out.
    limit: AtomicUsize,
    adapts: AtomicBool,
    /// How often overload has lowered the limit.
    cuts: AtomicU64,
    refused: AtomicU64,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Size {
    bounds: RangeInclusive<usize>,
    exact: f64,
}

impl Size {
    fn is_fixed(&self) -> bool {
        self.bounds.start() == self.bounds.end()
    }
}

/// How a limit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencySnapshot {
    /// The most calls in flight.
    pub limit: usize,
    /// Calls in flight now.
    pub in_flight: usize,
    /// Calls that wait for a permit now.
    pub waiting: usize,
    /// Calls that were refused.
    pub refused: u64,
}

/// The permits, and how long the calls of one layer wait for them.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) permits: Arc<Permits>,
    max_wait: AtomicU64,
}

impl Terms {
    pub(super) fn new(permits: Arc<Permits>, max_wait: Duration) -> Self {
        let terms = Self { permits, max_wait: AtomicU64::new(0) };
        terms.set_max_wait(max_wait);
        terms
    }

    pub(super) fn set_max_wait(&self, max: Duration) {
        let max = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        self.max_wait.store(max, Ordering::Relaxed);
    }

    pub(super) fn max_wait(&self) -> Duration {
        Duration::from_nanos(self.max_wait.load(Ordering::Relaxed))
    }
}

impl Permits {
    pub(super) fn new(name: Arc<str>, bounds: RangeInclusive<usize>) -> Self {
        let limit = fit(*bounds.end());
        let bounds = fit(*bounds.start()).min(limit)..=limit;
        let size = Size { bounds, exact: as_f64(limit) };
        Self {
            name,
            semaphore: Semaphore::new(limit),
            adapts: AtomicBool::new(!size.is_fixed()),
            cuts: AtomicU64::new(0),
            size: Mutex::new(size),
            owed: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            refused: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A permit that is free now.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        self.semaphore.try_acquire().ok()?.forget();
        Some(Permit::new(Arc::clone(self)))
    }

    /// The next permit, in the order of those who ask.
    pub(super) async fn next(self: Arc<Self>) -> Option<Permit> {
        let waiting = Waiting::join(Arc::clone(&self));
        self.semaphore.acquire().await.ok()?.forget();
        drop(waiting);
        Some(Permit::new(self))
    }

    pub(super) fn refuse(&self) -> Refusal {
        if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(limit = &*self.name, "the concurrency limit refuses for the first time");
        }
        Refusal::new(Reason::Overloaded, Arc::clone(&self.name))
    }

    /// Changes the bounds; the permits that are out stay out until they come back.
    ///
    /// What an adaptive limit has found stays, within the new bounds.
    pub(super) fn resize(&self, bounds: RangeInclusive<usize>) {
        let end = fit(*bounds.end());
        let bounds = fit(*bounds.start()).min(end)..=end;
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let (least, most) = (as_f64(*bounds.start()), as_f64(end));
        size.exact = if size.is_fixed() { most } else { size.exact.clamp(least, most) };
        size.bounds = bounds;
        self.adapts.store(!size.is_fixed(), Ordering::Relaxed);
        self.grow_to(if size.exact < most { as_size(size.exact) } else { end });
    }

    /// Learns from an outcome, when the limit adapts.
    ///
    /// Overload lowers it once a round: what began before the last time was sent into the same.
    fn learn(&self, cuts: u64, means: impl FnOnce() -> Assessment) {
        if !self.adapts.load(Ordering::Relaxed) {
            return;
        }
        let means = means();
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if tells_overload(&means) {
            if self.cuts.load(Ordering::Relaxed) != cuts {
                return;
            }
            self.cuts.store(cuts.wrapping_add(1), Ordering::Relaxed);
        }
        let busy = self.snapshot().in_flight;
        size.exact = adapt(size.exact, &size.bounds, &means, busy);
        self.grow_to(as_size(size.exact));
    }

    /// Makes it so many permits; whoever calls holds the lock of the size.
    fn grow_to(&self, next: usize) {
        let now = self.limit.swap(next, Ordering::Relaxed);
        if next < now {
            let gone = self.semaphore.forget_permits(now - next);
            self.owed.fetch_add(now - next - gone, Ordering::Relaxed);
        } else if next > now {
            let mut more = next - now;
            // What was owed need not come back first.
            let settle = |owed: usize| Some(owed - owed.min(more));
            let owed = self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, settle);
            more -= owed.unwrap_or_default().min(more);
            self.semaphore.add_permits(more);
        }
    }

    pub(super) fn snapshot(&self) -> ConcurrencySnapshot {
        let limit = self.limit.load(Ordering::Relaxed);
        let owed = self.owed.load(Ordering::Relaxed);
        ConcurrencySnapshot {
            limit,
            in_flight: (limit + owed).saturating_sub(self.semaphore.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// At least one permit, and no more than a semaphore holds.
fn fit(limit: usize) -> usize {
    limit.clamp(1, Semaphore::MAX_PERMITS)
}

/// The right to one call; it goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    of: Arc<Permits>,
    /// How often the limit had been lowered when the call began.
    cuts: u64,
}

impl Permit {
    fn new(of: Arc<Permits>) -> Self {
        Self { cuts: of.cuts.load(Ordering::Relaxed), of }
    }

    /// The call is over: its limit learns from the outcome.
    pub(super) fn learn(self, means: impl FnOnce() -> Assessment) {
        self.of.learn(self.cuts, means);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let owed = &self.of.owed;
        let one_less = |owed: usize| owed.checked_sub(1);
        let gone = owed.load(Ordering::Relaxed) > 0
            && owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        if !gone {
            self.of.semaphore.add_permits(1);
        }
    }
}

/// Somebody waits, for as long as this lives.
struct Waiting(Arc<Permits>);

impl Waiting {
    fn join(permits: Arc<Permits>) -> Self {
        permits.waiting.fetch_add(1, Ordering::Relaxed);
        Self(permits)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_round_of_successes_adds_one_and_overload_takes_a_tenth() {
        let bounds = 1..=100;
        let mut limit = 10.0;
        for _ in 0..10 {
            limit = adapt(limit, &bounds, &Assessment::SUCCESS, 10);
        }
        assert!((10.9..=11.0).contains(&limit), "{limit}");
        let busy = Assessment::fault(ErrorKind::RateLimited);
        assert!((adapt(20.0, &bounds, &busy, 20) - 18.0).abs() < 1e-9);
        let idle = adapt(20.0, &bounds, &Assessment::SUCCESS, 3);
        assert!((idle - 20.0).abs() < 1e-9, "a limit that is not in use proves nothing");
        let ours = busy.refused_here(true);
        assert!((adapt(20.0, &bounds, &ours, 20) - 20.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn permits_add_up_whatever_happens(
            steps in prop::collection::vec((0_u8..4, 1_usize..20), 1..200),
        ) {
            let permits = Arc::new(Permits::new("test".into(), 8..=8));
            let mut out = Vec::new();
            for (step, n) in steps {
                match step {
                    0 | 1 => out.extend(permits.take()),
                    2 => drop(out.pop()),
                    _ => permits.resize(n..=n),
                }
                let seen = permits.snapshot();
                prop_assert_eq!(seen.in_flight, out.len());
            }
            out.clear();
            let limit = permits.snapshot().limit;
            let free: Vec<_> = std::iter::from_fn(|| permits.take()).collect();
            prop_assert_eq!(free.len(), limit);
        }

        #[test]
        fn an_adaptive_limit_stays_in_its_bounds(
            outcomes in prop::collection::vec(prop_oneof![
                Just(Assessment::SUCCESS),
                Just(Assessment::fault(ErrorKind::Timeout)),
                Just(Assessment::fault(ErrorKind::NotFound)),
            ], 0..500),
        ) {
            let permits = Arc::new(Permits::new("test".into(), 2..=16));
            for means in outcomes {
                permits.take().unwrap().learn(|| means);
                let limit = permits.snapshot().limit;
                prop_assert!((2..=16).contains(&limit));
            }
            (0..200).for_each(|_| {
                permits.take().unwrap().learn(|| Assessment::fault(ErrorKind::Timeout));
            });
            prop_assert_eq!(permits.snapshot().limit, 2);
        }
    }
}
