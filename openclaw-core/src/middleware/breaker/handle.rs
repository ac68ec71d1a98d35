//! Watches a breaker and steers it, from outside of any call.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{config::BreakerConfig, lease::Seat, machine::Transition, state::State};
use crate::{Reason, Refusal, Result};

/// Watches a breaker and steers it. Cheap to clone; nothing in it waits.
///
/// Every change begins a new generation: what calls that are under way will answer is not
/// counted any more.
///
/// ```
/// use openclaw_core::middleware::breaker::{BreakerLayer, State};
///
/// let layer = BreakerLayer::new("crm");
/// let handle = layer.handle();
/// handle.force_open();
/// assert_eq!(handle.state(), State::ForcedOpen);
/// handle.force_close();
/// assert_eq!(handle.snapshot().state, State::Closed);
/// ```
#[derive(Clone, Debug)]
pub struct BreakerHandle(Arc<Seat>);

/// What a breaker knew at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its state.
    pub state: State,
    /// How many transitions there were.
    pub generation: u64,
    /// Since when it is in this state.
    pub since: Instant,
    /// Calls in the window; while it is half open, those of the trial.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that were slow.
    pub slow: u32,
    /// Failures in a row, where the settings look at them.
    pub consecutive_failures: u32,
    /// Calls that were refused, since it was made or reset.
    pub refused: u64,
}

impl Snapshot {
    /// The part of calls that failed: 0 to 1; `None` without a call.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        self.part(self.failures)
    }

    /// The part of calls that were slow: 0 to 1; `None` without a call.
    #[must_use]
    pub fn slow_call_rate(&self) -> Option<f64> {
        self.part(self.slow)
    }

    fn part(&self, n: u32) -> Option<f64> {
        (self.calls > 0).then(|| f64::from(n) / f64::from(self.calls))
    }
}

impl BreakerHandle {
    pub(super) const fn new(seat: Arc<Seat>) -> Self {
        Self(seat)
    }

    /// The breaker's name, as its refusals have it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.circuit().name()
    }

    /// Its state. It is open until the first call behind its wait.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.circuit().word().state()
    }

    /// Its state and its counts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let look = self.0.circuit().look(self.0.now());
        let counts = if look.state == State::HalfOpen { look.trial } else { look.counts };
        Snapshot {
            state: look.state,
            generation: look.generation,
            since: self.0.ticks().moment(look.since),
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            consecutive_failures: look.streak,
            refused: self.0.circuit().refused(),
        }
    }

    /// Refuses every call from now on.
    pub fn force_open(&self) {
        self.0.circuit().force(State::ForcedOpen, self.0.now());
    }

    /// Closes it, with an empty window; it may open again, unless it is switched off.
    pub fn force_close(&self) {
        self.0.circuit().force(State::Closed, self.0.now());
    }

    /// Lets every call through from now on, and counts nothing.
    pub fn disable(&self) {
        self.0.circuit().force(State::Disabled, self.0.now());
    }

    /// Lets every call through from now on, and counts.
    pub fn metrics_only(&self) {
        self.0.circuit().force(State::MetricsOnly, self.0.now());
    }

    /// Closes it and forgets what it counted, refusals too.
    pub fn reset(&self) {
        self.0.circuit().reset(self.0.now());
    }

    /// Takes other settings; state, window and a wait that has begun stay.
    ///
    /// A window of another kind, of calls instead of time, starts empty. Switched off it is
    /// [`Disabled`](State::Disabled), open or not, and on again it is closed, as new; one that
    /// is forced into a state stays there.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`BreakerConfig::check`]; the old settings stay then.
    pub fn reload(&self, config: &BreakerConfig) -> Result<()> {
        config.check()?;
        self.0.circuit().reload(config.clone(), self.0.now());
        Ok(())
    }

    /// How long it would refuse a call that came at `now`; `None` lets it in.
    ///
    /// Zero while a trial is under way: nobody knows. The longest duration when it is forced
    /// open. It takes no permit and counts nothing, so that a layer outside may look before
    /// it lets a call wait.
    ///
    /// ```
    /// use openclaw_core::middleware::breaker::BreakerLayer;
    /// use tokio::time::Instant;
    ///
    /// let handle = BreakerLayer::new("crm").handle();
    /// assert_eq!(handle.would_refuse(Instant::now()), None);
    /// ```
    #[must_use]
    pub fn would_refuse(&self, now: Instant) -> Option<Duration> {
        self.0.circuit().would_refuse(self.0.ticks().elapsed_at(now))
    }

    /// Would it refuse a call now? While it is closed, that costs one look and no clock.
    ///
    /// ```
    /// use openclaw_core::middleware::breaker::BreakerLayer;
    ///
    /// let handle = BreakerLayer::new("crm").handle();
    /// assert!(!handle.refuses());
    /// handle.force_open();
    /// assert!(handle.refuses());
    /// ```
    #[must_use]
    pub fn refuses(&self) -> bool {
        match self.state() {
            State::Closed | State::Disabled | State::MetricsOnly => false,
            _ => self.0.circuit().would_refuse(self.0.now()).is_some(),
        }
    }

    /// The refusal of a call that came now, counted as one; `None` lets it in.
    ///
    /// For a layer outside, which answers with it instead of letting a call wait:
    /// [`RateLimitLayer::gate`](crate::middleware::RateLimitLayer::gate). It takes no permit.
    ///
    /// ```
    /// use openclaw_core::{Reason, middleware::breaker::BreakerLayer};
    ///
    /// let handle = BreakerLayer::new("crm").handle();
    /// assert!(handle.refusal().is_none());
    /// handle.force_open();
    /// let refusal = handle.refusal().ok_or("it is open")?;
    /// assert_eq!((refusal.reason(), refusal.by()), (Reason::CircuitOpen, "crm"));
    /// assert_eq!(handle.snapshot().refused, 1);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let after = self.0.circuit().refuse(|| self.0.now())?;
        let refusal = Refusal::new(Reason::CircuitOpen, Arc::clone(self.0.circuit().name()));
        Some(match after {
            Some(after) => refusal.with_retry_after(after),
            None => refusal,
        })
    }

    /// The transitions from now on.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        Transitions { seen: self.0.circuit().word().generation(), seat: Arc::clone(&self.0) }
    }
}

/// The transitions of a breaker, each once and in order.
///
/// The last 32 are kept for whoever is slow; a gap in the generations tells of lost ones.
///
/// ```
/// use openclaw_core::middleware::breaker::{BreakerLayer, State};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let handle = BreakerLayer::new("crm").handle();
/// let mut transitions = handle.subscribe();
/// handle.force_open();
/// let seen = transitions.next().await;
/// assert_eq!((seen.from, seen.to), (State::Closed, State::ForcedOpen));
/// # }
/// ```
#[derive(Debug)]
pub struct Transitions {
    seat: Arc<Seat>,
    seen: u64,
}

impl Transitions {
    /// Waits for the next transition. Loses none when it is dropped.
    pub async fn next(&mut self) -> Transition {
        loop {
            // Registered before the look: a change in between is not missed.
            let changed = self.seat.circuit().changed().notified();
            if let Some(transition) = self.seat.circuit().behind(self.seen) {
                self.seen = transition.generation;
                return transition;
            }
            changed.await;
        }
    }

    /// The next transition, if there was one.
    pub fn try_next(&mut self) -> Option<Transition> {
        let transition = self.seat.circuit().behind(self.seen)?;
        self.seen = transition.generation;
        Some(transition)
    }
}
