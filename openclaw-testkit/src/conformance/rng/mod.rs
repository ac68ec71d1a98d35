//! The laws of [`Rng`].

mod laws;
mod list;

use std::{fmt, future, sync::Arc};

use openclaw_core::Rng;

use super::{Law, Report, Verdict};

/// Makes the sources of random numbers that the laws try.
///
/// ```
/// use openclaw_core::{Rng, SystemRng};
/// use openclaw_testkit::conformance::rng::{LAWS, RngHarness, check_all};
///
/// struct System;
///
/// impl RngHarness for System {
///     fn fresh(&self) -> Box<dyn Rng> {
///         Box::new(SystemRng::default())
///     }
/// }
///
/// assert_eq!(check_all(&System).held.len(), LAWS.len());
/// ```
pub trait RngHarness: Send + Sync {
    /// A new source.
    fn fresh(&self) -> Box<dyn Rng>;

    /// Does a seed decide the numbers, the same in each new source?
    fn is_seeded(&self) -> bool {
        false
    }

    /// Must time not be paused?
    fn real_time(&self) -> bool {
        true
    }
}

/// A source of random numbers under trial.
pub struct Trial<'a> {
    harness: &'a dyn RngHarness,
    rng: Arc<dyn Rng>,
}

impl<'a> Trial<'a> {
    /// Puts a new source of this harness on trial.
    pub fn new(harness: &'a dyn RngHarness) -> future::Ready<Self> {
        future::ready(Self { harness, rng: harness.fresh().into() })
    }

    fn missing(&self, need: Need) -> Option<&'static str> {
        let seeded = matches!(need, Need::Entropy) && self.harness.is_seeded();
        seeded.then_some("entropy")
    }
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.rng)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    Entropy,
}

crate::__rng_laws! { __law_table {
    /// Every law of a source of random numbers.
    RngHarness, at_once
} }
