//! A policy by a clock of one's own.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Advice, Assessment, Head, Policy};
use crate::Clock;

/// A policy that reads dates by a clock of your own.
///
/// Made by [`ByHead::with_clock`](super::ByHead::with_clock) and
/// [`ByStatus::with_clock`](super::ByStatus::with_clock). The clock counts where a response says a
/// date, of its Retry-After or of its limit, and has no `Date` of its own.
#[derive(Clone, Debug)]
pub struct Dated<P> {
    policy: P,
    clock: Arc<dyn Clock>,
}

impl<P> Dated<P> {
    pub(super) const fn new(policy: P, clock: Arc<dyn Clock>) -> Self {
        Self { policy, clock }
    }
}

/// A policy whose reading of an outcome needs the date.
pub(super) trait ByDate<Req, Res, Err>: Policy<Req, Res, Err> {
    /// What an outcome means, by this clock.
    fn assess_by(&self, clock: &dyn Clock, outcome: Result<&Res, &Err>) -> Assessment;

    /// What the other side says of its limit, by this clock.
    fn advice_by(&self, clock: &dyn Clock, outcome: Result<&Res, &Err>) -> Option<Advice>;
}

impl<Req, Res, Err, P: ByDate<Req, Res, Err>> Policy<Req, Res, Err> for Dated<P> {
    fn head(&self, request: &Req) -> Head {
        self.policy.head(request)
    }

    fn assess(&self, outcome: Result<&Res, &Err>) -> Assessment {
        self.policy.assess_by(&*self.clock, outcome)
    }

    fn advice(&self, outcome: Result<&Res, &Err>) -> Option<Advice> {
        self.policy.advice_by(&*self.clock, outcome)
    }

    fn stamp(&self, request: Req, deadline: Option<Instant>, attempt: u32) -> Req {
        self.policy.stamp(request, deadline, attempt)
    }

    fn exhausted(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        self.policy.exhausted(outcome)
    }

    fn in_doubt(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        self.policy.in_doubt(outcome)
    }
}
