//! The laws of tower layers: what a service that wraps another one owes to it.
//!
//! The probe at the bottom forgets its readiness when it is cloned, as a service with a
//! permit does. A layer that clones the inner service and calls the clone, which a
//! `service_fn` never notices, calls it unready.

mod ask;
mod list;
mod on;
mod pass;
mod probe;
mod ready;
mod stack;
mod time;
mod trial;

use std::time::Duration;

use self::trial::Need;
pub use self::{
    ask::Ask,
    on::{On, on},
    probe::{Inner, Probe},
    stack::{Failure, Stack},
    trial::Trial,
};
use super::{Law, Report, Verdict};

/// Puts a layer around the probes that the laws try it with.
///
/// Limits must be set so generously that a hundred calls at once meet none: the laws are
/// about what a layer passes on, not about what it refuses. [`on`] makes one of a layer.
pub trait LayerHarness: Send + Sync {
    /// The layer, new, around a probe of this inner side.
    fn stack(&self, inner: &Inner) -> Stack;

    /// How often one call may call the inner service, when that fails.
    fn attempts(&self) -> usize {
        1
    }

    /// May the layer refuse calls behind a failure, as a breaker does?
    fn refuses_behind_failures(&self) -> bool {
        false
    }

    /// Does the layer answer a repeated call itself, without the inner service?
    fn replays(&self) -> bool {
        false
    }

    /// How long an inner call may take; a timeout must be longer.
    fn patience(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Has the layer threads of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

crate::__layer_laws! { __law_table {
    /// Every law of a tower layer.
    LayerHarness, awaited
} }
