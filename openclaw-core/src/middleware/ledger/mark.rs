//! The innermost layer: records that a try is sent, and what became of it.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

use super::{NAME, Stored};
use crate::{
    Call, Effect, Error, ErrorKind, Reason, Refusal, Result,
    records::{
        claims::{Claim, Slot, failed_before, unsettled, unstorable},
        ledger::{EffectState, Plan},
    },
    words::planted::{Bug, planted},
};

/// Records each try before it is sent, and its outcome after it.
///
/// Stands innermost, behind limits, permits and the breaker: what waits there is surely not
/// sent. It needs the claim that a [`LedgerLayer`](super::LedgerLayer) opened outside: without
/// one it refuses with [`Reason::NotRecorded`], and nothing runs unrecorded. `Pure` calls pass.
///
/// A try that the record forbids is not sent: [`Reason::InDoubt`] when an earlier one may have
/// happened. When the outcome can't be recorded the call ends with an error that says `Maybe`; an
/// answer that no row has room for is recorded as done without it, and given to nobody.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Error, Reason, Refusal, TenantId, middleware::MarkLayer,
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::InvalidId> {
/// let refund = service_fn(|_: Call<Arc<serde_json::Value>>| async { Ok(SkillAnswer::done(1.into())) });
/// let unclaimed = ServiceBuilder::new().layer(MarkLayer::new()).service(refund);
/// let manifest = SkillManifest::new("shop.refund".parse()?, "1.0.0");
/// let call = Call::skill(Context::new(TenantId::new("acme")?), &manifest, Arc::default());
/// let e: Error = unclaimed.oneshot(call).await.unwrap_err();
/// assert_eq!(e.refusal().map(Refusal::reason), Some(Reason::NotRecorded));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct MarkLayer;

impl MarkLayer {
    /// The mark; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for MarkLayer {
    type Service = Mark<S>;

    fn layer(&self, inner: S) -> Mark<S> {
        Mark { inner }
    }
}

/// A service whose tries are recorded; made by [`MarkLayer`].
#[derive(Clone, Debug)]
pub struct Mark<S> {
    inner: S,
}

impl<S, P> Service<Call<P>> for Mark<S>
where
    S: Service<Call<P>, Error = Error> + Clone + Send + 'static,
    S::Response: Stored,
    S::Future: Send + 'static,
    P: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = MarkFuture<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call<P>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        MarkFuture(Box::pin(marked(call, async move |call| inner.call(call).await)))
    }
}

/// The answer to come of a [`Mark`].
pub struct MarkFuture<R>(Pin<Box<dyn Future<Output = Result<R>> + Send>>);

impl<R> Future for MarkFuture<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for MarkFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkFuture")
    }
}

/// Makes one try under the claim that came with the call.
pub(crate) async fn marked<P, R: Stored, F>(
    call: Call<P>,
    run: impl FnOnce(Call<P>) -> F,
) -> Result<R>
where
    F: Future<Output = Result<R>>,
{
    let Some(slot) = Slot::of(&call) else {
        if call.effect() == Effect::Pure {
            return run(call).await;
        }
        return Err(Refusal::new(Reason::NotRecorded, NAME).into());
    };
    slot.mark();
    let early = planted(Bug::EffectBeforeDispatch);
    let call = match &slot.meter {
        Some(meter) => call.with_meter(meter.clone()),
        None => call,
    };
    let (mut run, mut call) = (Some(run), Some(call));
    let mut go = || Some((run.take()?)(call.take()?));
    let mut outcome = None;
    if early && let Some(running) = go() {
        outcome = Some(running.await);
    }
    dispatched(&slot).await?;
    // Held by nobody while it runs: the lease is renewed meanwhile.
    if outcome.is_none()
        && let Some(running) = go()
    {
        outcome = Some(running.await);
    }
    let outcome = outcome.unwrap_or_else(|| Err(Refusal::new(Reason::NotRecorded, NAME).into()));
    settled(&slot, outcome).await
}

/// Records that a try is about to be sent, when the record allows one.
async fn dispatched(slot: &Slot) -> Result<()> {
    let mut claim = slot.claim.lock().await;
    may_send(&slot.claims.plan(&claim), &claim.record.state)?;
    slot.claims.dispatch(&mut claim).await.map_err(unrecorded)
}

/// Refuses a try that this plan for this state forbids.
pub(crate) fn may_send(plan: &Plan, state: &EffectState) -> Result<()> {
    match plan {
        Plan::Dispatch => Ok(()),
        Plan::Replay => Err(match state {
            EffectState::Failed { kind, message, happened } => {
                failed_before(*kind, message, *happened)
            }
            state => in_doubt(state.name()),
        }),
        Plan::Park(reason) => Err(in_doubt(reason)),
        Plan::Reconcile => Err(in_doubt("its owner is asked first")),
    }
}

async fn settled<R: Stored>(slot: &Slot, outcome: Result<R>) -> Result<R> {
    let mut claim = slot.claim.lock().await;
    match outcome {
        Ok(answer) => match kept(slot, &mut claim, &answer).await {
            Ok(()) => Ok(answer),
            // It is done all the same: never again, and somebody has to look.
            Err(e) if unstorable(&e) => {
                let broken = slot.claims.broken("settle", &mut claim, Arc::default(), &e);
                Err(Box::pin(broken).await.map_err(unsettled)?)
            }
            Err(e) => Err(unsettled(e)),
        },
        Err(e) => Err(slot.claims.failed(&mut claim, e).await.map_err(unsettled)?),
    }
}

async fn kept<R: Stored>(slot: &Slot, claim: &mut Claim, answer: &R) -> Result<()> {
    slot.claims.succeeded(claim, answer.store()?).await
}

/// What the store could not record was not sent.
pub(crate) fn unrecorded(e: Error) -> Error {
    match e.kind() {
        ErrorKind::Unavailable | ErrorKind::ServerError => {
            Error::from(Refusal::new(Reason::NotRecorded, NAME)).with_source(e)
        }
        _ => e,
    }
}

pub(super) fn in_doubt(reason: &str) -> Error {
    Refusal::new(Reason::InDoubt, NAME).with_detail(reason).exhausted().into()
}
