//! One call's place at a breaker: it always ends, also when the call is dropped.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    circuit::Circuit,
    config::{BreakerConfig, OnCancel},
    state::Word,
    window::Outcome,
};
use crate::middleware::Ticks;

/// A place at a breaker.
///
/// Calls of one thread hold the same one, so that threads don't fight for one reference count.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Seat {
    circuit: Arc<Circuit>,
    number: usize,
    ticks: Ticks,
}

thread_local! {
    /// Where this lies tells one thread from another.
    static HERE: u8 = const { 0 };
}

/// The place of this thread among so many.
#[inline]
pub(super) fn place(places: usize) -> usize {
    let address = HERE.with(|here| std::ptr::from_ref(here).addr() as u64);
    let mixed = (address >> 6).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (mixed % places.max(1) as u64) as usize
}

impl Seat {
    pub(super) const fn new(circuit: Arc<Circuit>, number: usize, ticks: Ticks) -> Self {
        Self { circuit, number, ticks }
    }

    pub(super) const fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// The only place of another breaker of the same name, by the same clock.
    pub(super) fn like(&self, config: BreakerConfig, seed: u64) -> Arc<Self> {
        let circuit = Circuit::new(Arc::clone(self.circuit.name()), config, seed, 1);
        Arc::new(Self::new(Arc::new(circuit), 0, self.ticks.clone()))
    }

    pub(super) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The time that the breaker knows.
    #[inline]
    pub(super) fn now(&self) -> Duration {
        self.ticks.elapsed()
    }

    /// Lets a call in; else how long it refuses yet.
    #[inline]
    pub(super) fn admit(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> Result<Lease, Option<Duration>> {
        let ticket = self.circuit.admit(|| self.now())?;
        let seat = Arc::clone(self);
        Ok(Lease { seat, ticket, began: None, deadline, running: false, over: false })
    }
}

/// A call that was let in. Dropped, it is over as its breaker's [`OnCancel`] says.
pub(super) struct Lease {
    seat: Arc<Seat>,
    ticket: Word,
    began: Option<Duration>,
    deadline: Option<Instant>,
    running: bool,
    over: bool,
}

impl Lease {
    /// The inner service is called now.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.running = true;
        if self.ticket.has(Word::SLOW) {
            self.began = Some(self.seat.now());
        }
    }

    /// The call is over; whether it failed is `None` when it does not tell.
    #[inline]
    pub(super) fn end(&mut self, failed: Option<bool>) {
        self.over = true;
        let now = self.began.map(|_| self.seat.now());
        let slow = now.is_some_and(|now| self.is_slow(now));
        let outcome = failed.map(|failed| Outcome { failed, slow });
        self.leave(outcome, now);
    }

    fn is_slow(&self, now: Duration) -> bool {
        let took = self.began.map(|began| now.saturating_sub(began));
        took.is_some_and(|took| self.seat.circuit.is_slow(took))
    }

    #[inline]
    fn leave(&self, outcome: Option<Outcome>, now: Option<Duration>) {
        let seat = &*self.seat;
        let now = || now.unwrap_or_else(|| seat.now());
        seat.circuit.leave(seat.number, self.ticket, outcome, now);
    }

    #[cold]
    fn cancel(&self) {
        if !self.running {
            return self.leave(None, None);
        }
        let now = self.seat.now();
        let slow = self.is_slow(now);
        let late = slow || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let failed = match self.seat.circuit.on_cancel() {
            OnCancel::Ignore => false,
            OnCancel::Failure => true,
            OnCancel::FailureIfSlow => late,
        };
        self.leave(failed.then_some(Outcome { failed, slow }), Some(now));
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}

/// Counts a failure when it is dropped: the inner service panicked.
pub(super) struct Panics<'a>(Option<&'a mut Option<Lease>>);

impl<'a> Panics<'a> {
    #[inline]
    pub(super) const fn of(lease: &'a mut Option<Lease>) -> Self {
        Self(Some(lease))
    }

    /// It did not.
    #[inline]
    pub(super) fn no(mut self) -> Option<&'a mut Option<Lease>> {
        self.0.take()
    }
}

impl Drop for Panics<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut lease) = self.0.take().and_then(Option::take) {
            lease.end(Some(true));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
