//! The policy of our own calls: their head says everything.

use std::{any::Any, sync::Arc};

use tokio::time::Instant;

use super::{
    Advice, Assessment, Dated, Exhausted, Fault, Head, InDoubt, Policy, by_status, dated::ByDate,
};
use crate::{Call, Clock, SystemClock, http::Body};

/// Reads the head of a [`Call`]; the default of every layer.
///
/// An `Ok` is a success, but for the answer of an [`Http`](crate::http::Http) port: that is
/// judged by its status, as [`ByStatus`](super::ByStatus) does.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Effect, Error, TenantId,
///     policy::{ByHead, Policy},
///     skill::{SkillAnswer, SkillManifest},
/// };
///
/// let manifest = SkillManifest::new("refund".parse()?, "1.0.0").effect(Effect::AtMostOnce);
/// let context = Context::new(TenantId::new("acme")?);
/// let call = Call::skill(context, &manifest, Arc::default());
/// let head = Policy::<_, SkillAnswer, Error>::head(&ByHead, &call);
/// assert_eq!(head.effect, Effect::AtMostOnce);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to grow")]
pub struct ByHead;

impl ByHead {
    /// The same, by this clock instead of the machine's.
    ///
    /// It counts for dates in responses that have no `Date` of their own.
    #[must_use]
    pub const fn with_clock(self, clock: Arc<dyn Clock>) -> Dated<Self> {
        Dated::new(self, clock)
    }
}

impl<P, Res, Err> Policy<Call<P>, Res, Err> for ByHead
where
    Res: 'static,
    Err: Fault,
{
    fn head(&self, call: &Call<P>) -> Head {
        Head {
            effect: call.effect(),
            keyed: call.key().is_some(),
            deadline: call.context().deadline(),
            attempt: call.context().attempt(),
        }
    }

    fn assess(&self, outcome: Result<&Res, &Err>) -> Assessment {
        ByDate::<Call<P>, Res, Err>::assess_by(self, &SystemClock, outcome)
    }

    fn advice(&self, outcome: Result<&Res, &Err>) -> Option<Advice> {
        ByDate::<Call<P>, Res, Err>::advice_by(self, &SystemClock, outcome)
    }

    fn stamp(&self, mut call: Call<P>, deadline: Option<Instant>, attempt: u32) -> Call<P> {
        call.stamp(deadline, attempt);
        call
    }

    fn exhausted(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        let mut outcome = outcome.map_err(Fault::into_exhausted);
        if let Ok(answer) = &mut outcome
            && let Some(response) = (answer as &mut dyn Any).downcast_mut::<http::Response<Body>>()
        {
            response.extensions_mut().insert(Exhausted);
        }
        outcome
    }

    fn in_doubt(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        let mut outcome = outcome.map_err(Fault::in_doubt);
        if let Ok(answer) = &mut outcome
            && let Some(response) = (answer as &mut dyn Any).downcast_mut::<http::Response<Body>>()
        {
            response.extensions_mut().insert(InDoubt);
        }
        outcome
    }
}

impl<P, Res, Err> ByDate<Call<P>, Res, Err> for ByHead
where
    Res: 'static,
    Err: Fault,
{
    fn assess_by(&self, clock: &dyn Clock, outcome: Result<&Res, &Err>) -> Assessment {
        match outcome {
            Err(e) => e.assess(),
            Ok(answer) => (answer as &dyn Any)
                .downcast_ref::<http::Response<Body>>()
                .map_or(Assessment::SUCCESS, |response| by_status::assess(response, clock)),
        }
    }

    fn advice_by(&self, clock: &dyn Clock, outcome: Result<&Res, &Err>) -> Option<Advice> {
        let response = (outcome.ok()? as &dyn Any).downcast_ref::<http::Response<Body>>()?;
        Advice::read(response.headers(), clock)
    }
}
