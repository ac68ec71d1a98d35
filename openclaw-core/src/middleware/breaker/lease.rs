//! One call's place at a breaker: it always ends, also when the call is dropped.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    circuit::Circuit,
    config::{BreakerConfig, OnCancel},
    state::Word,
    window::Outcome,
};

/// A place at a breaker.
///
/// Calls of one thread hold the same one, so that threads don't fight for one reference count.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Seat {
    circuit: Arc<Circuit>,
    number: usize,
    epoch: Instant,
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
    pub(super) const fn new(circuit: Arc<Circuit>, number: usize, epoch: Instant) -> Self {
        Self { circuit, number, epoch }
    }

    pub(super) const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The only place of another breaker of the same name, by the same clock.
    pub(super) fn like(&self, config: BreakerConfig, seed: u64) -> Arc<Self> {
        let circuit = Circuit::new(Arc::clone(self.circuit.name()), config, seed, 1);
        Arc::new(Self::new(Arc::new(circuit), 0, self.epoch))
    }

    pub(super) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The time that the breaker knows.
    pub(super) fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    pub(super) fn now(&self) -> Duration {
        self.since_epoch(Instant::now())
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
    began: Option<Instant>,
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
            self.began = Some(Instant::now());
        }
    }

    /// The call is over; whether it failed is `None` when it does not tell.
    #[inline]
    pub(super) fn end(&mut self, failed: Option<bool>) {
        self.over = true;
        let now = self.began.map(|_| Instant::now());
        let slow = now.is_some_and(|now| self.is_slow(now));
        let outcome = failed.map(|failed| Outcome { failed, slow });
        self.leave(outcome, now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        let took = self.began.map(|began| now.saturating_duration_since(began));
        took.is_some_and(|took| self.seat.circuit.is_slow(took))
    }

    #[inline]
    fn leave(&self, outcome: Option<Outcome>, now: Option<Instant>) {
        let seat = &*self.seat;
        let now = || seat.since_epoch(now.unwrap_or_else(Instant::now));
        seat.circuit.leave(seat.number, self.ticket, outcome, now);
    }

    #[cold]
    fn cancel(&self) {
        if !self.running {
            return self.leave(None, None);
        }
        let now = Instant::now();
        let slow = self.is_slow(now);
        let late = slow || self.deadline.is_some_and(|deadline| now >= deadline);
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

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
