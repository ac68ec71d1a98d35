//! One breaker for all calls of a layer.

use std::sync::Arc;

use super::{
    circuit::Circuit,
    config::BreakerConfig,
    handle::BreakerHandle,
    lease::{Seat, place},
};
use crate::middleware::Ticks;

/// Threads above this share places: more costs memory, and an outcome that takes the lock time.
const SEATS: usize = 8;

/// One breaker for all calls of a layer.
#[derive(Clone, Debug)]
pub struct One(Arc<[Arc<Seat>; SEATS]>);

impl One {
    pub(super) fn new(name: Arc<str>, config: BreakerConfig, seed: u64, ticks: &Ticks) -> Self {
        let circuit = Arc::new(Circuit::new(name, config, seed, SEATS));
        let seat = |number| Arc::new(Seat::new(Arc::clone(&circuit), number, ticks.clone()));
        Self(Arc::new(std::array::from_fn(seat)))
    }

    /// This thread's place.
    #[inline]
    pub(super) fn seat(&self) -> &Arc<Seat> {
        let [first, ..] = &*self.0;
        self.0.get(place(SEATS)).unwrap_or(first)
    }

    pub(super) fn circuit(&self) -> &Circuit {
        let [first, ..] = &*self.0;
        first.circuit()
    }

    pub(super) fn handle(&self) -> BreakerHandle {
        let [first, ..] = &*self.0;
        BreakerHandle::new(Arc::clone(first))
    }
}
