//! The way of one call: its seat, its claim, its run, and what is left of it.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower_service::Service;

use super::{
    Approved, LEASE, NAME, Payload, Shared, Stored,
    desk::{End, Found, Id, Lead},
    errand::Errand,
    mark::{in_doubt, unrecorded},
};
use crate::{
    Call, Effects, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Reason, Refusal, Result,
    TenantId, Timestamp,
    channel::Reconciled,
    records::{
        claims::{
            Claim, Fence, GONE, Heard, Lease, LeaseRow, Leave, Left, Opened, Place, Slot, Wanted,
            broken_message, fingerprint, keyed, not_yet, subject,
        },
        ledger::{EffectRecord, EffectState, Plan},
    },
    skill::SkillAnswer,
    words::caught::caught,
};

/// One call on its way.
pub(super) struct Course<P, R> {
    pub(super) shared: Arc<Shared<P, R>>,
    pub(super) id: Id,
    /// What is called, when it is a skill that rules guard.
    pub(super) errand: Option<Arc<Errand>>,
}

/// What a call came to, and for how long that counts.
enum Outcome<R> {
    /// For good.
    Ended(End<R>, Duration),
    /// The first answer or error of a call that ended for good.
    First(Result<R>, End<R>),
    /// Not for good.
    Open(Result<R>),
}

/// A call that needs no record.
pub(super) async fn plain<S, P>(mut inner: S, call: Call<P>) -> Result<S::Response>
where
    S: Service<Call<P>, Error = Error>,
{
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(call).await
}

pub(super) fn reused() -> Error {
    Refusal::new(Reason::KeyReused, NAME).into()
}

impl<P, R> Shared<P, R> {
    /// Where the effect of a key is recorded, under a lease of this layer that is still to begin.
    pub(super) fn place(
        &self,
        tenant: &TenantId,
        name: &IdempotencyKey,
        subject: Arc<str>,
        length: Duration,
    ) -> Place {
        let (key, lease) = keyed(tenant, name);
        let row = LeaseRow {
            owner: self.owner,
            nonce: self.calls.fetch_add(1, Ordering::Relaxed),
            until: Timestamp::default(),
            expires: None,
        };
        let retention = self.settings.retention;
        let lease = Lease { key: lease, version: None, row, length, retention };
        Place {
            tenant: tenant.clone(),
            payer: None,
            message: name.turn().unwrap_or(MessageId::from_u128(0)),
            key,
            fence: Fence::Leased(lease),
            subject,
        }
    }
}

impl<P: Payload, R: Stored> Course<P, R> {
    pub(super) async fn run<S>(self, inner: S, call: Call<P>) -> Result<R>
    where
        S: Service<Call<P>, Response = R, Error = Error> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        if call.context().effects() == Effects::Withheld {
            let why = "effects are withheld in this run";
            return Err(Error::new(ErrorKind::Unsupported, why).with("target", call.target()));
        }
        loop {
            let now = || self.shared.claims.env().now();
            match self.shared.desk.enter(&self.id, &call, now) {
                Found::Lead(lead) => return self.lead(lead, inner, call).await,
                Found::Ended(end) => return end.into_outcome(),
                Found::Reused => return Err(reused()),
                Found::Full => return Err(Refusal::new(Reason::Overloaded, NAME).into()),
                Found::Join(told) => {
                    // Nothing told: the first one was dropped, or it is remembered.
                    match by(call.context().deadline(), told.heard()).await {
                        Some(None) => {}
                        Some(Some(e)) => return Err(e),
                        None => return Err(busy(self.length(&call))),
                    }
                }
            }
        }
    }

    async fn lead<S>(&self, lead: Lead<'_, P, R>, inner: S, call: Call<P>) -> Result<R>
    where
        S: Service<Call<P>, Response = R, Error = Error> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let outcome = match self.open(&call).await {
            Ok(Opened::Ours(claim)) => self.claimed(claim, inner, call).await,
            Ok(Opened::Ended(record, left)) => replay(&record, left),
            Ok(Opened::Busy(left)) => Outcome::Open(Err(busy(left))),
            Ok(Opened::Reused) => Outcome::Open(Err(reused())),
            // What rules and people say is for one caller: those who wait ask for themselves.
            Err(e) if self.errand.is_some() => return Err(unrecorded(e)),
            Err(e) => Outcome::Open(Err(unrecorded(e))),
        };
        let now = self.shared.claims.env().now();
        match outcome {
            Outcome::Ended(end, left) => {
                lead.ended(end.clone(), now.after(left));
                end.into_outcome()
            }
            Outcome::First(outcome, end) => {
                lead.ended(end, now.after(self.shared.settings.retention));
                outcome
            }
            Outcome::Open(Err(e)) => {
                lead.failed(&e);
                Err(e)
            }
            Outcome::Open(ok) => ok,
        }
    }

    async fn open(&self, call: &Call<P>) -> Result<Opened> {
        let claim = self.wanted(call)?;
        let leave = match &self.errand {
            // Boxed, as all that is rare: every call would carry the room for it.
            Some(errand) => {
                let (claims, request) = (&self.shared.claims, &claim.record.request);
                Box::pin(errand.leave(claims, claim.place(), call, request)).await?
            }
            None => self.approved(call),
        };
        self.shared.claims.lease(claim, leave).await
    }

    /// The claim that a call wants to have.
    fn wanted(&self, call: &Call<P>) -> Result<Box<Claim>> {
        let Some(name) = call.key() else {
            return Err(Refusal::new(Reason::NotRecorded, NAME).into());
        };
        let request = call.payload().record().map_err(|e| e.with_happened(Happened::No))?;
        let subject = subject(call.target(), name.operation());
        let length = self.length(call);
        let mut place = self.shared.place(call.context().tenant(), name, subject, length);
        place.payer = call.context().shared_payer().cloned();
        let record = EffectRecord {
            target: Arc::clone(call.shared_target()),
            fingerprint: fingerprint(call.target(), &request),
            request,
            effect: call.effect(),
            approval: None,
            version: self.errand.as_ref().map(|errand| Arc::clone(errand.version())),
            state: EffectState::NEW,
            breach: None,
            costs: Vec::new(),
        };
        Ok(Claim::new(place, record))
    }

    /// The approval that the host finds for the call, when one is asked for.
    fn approved(&self, call: &Call<P>) -> Leave {
        let approved = self.shared.settings.approvals.as_ref().and_then(|find| find(call));
        approved
            .map_or(Leave::Free, |Approved { id, digest }| Leave::Approved(Wanted::new(id, digest)))
    }

    fn length(&self, call: &Call<P>) -> Duration {
        let spare = Duration::from_secs(5);
        self.shared.settings.lease.unwrap_or_else(|| {
            call.context().deadline().map_or(LEASE, |deadline| {
                deadline.saturating_duration_since(Instant::now()).saturating_add(spare)
            })
        })
    }

    async fn claimed<S>(&self, mut claim: Box<Claim>, inner: S, call: Call<P>) -> Outcome<R>
    where
        S: Service<Call<P>, Response = R, Error = Error> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let claims = &self.shared.claims;
        if let Some(errand) = &self.errand
            && let Err(e) = Box::pin(errand.fit(claims, &mut claim, &call)).await
        {
            drop(Box::pin(claims.release(&mut claim)).await);
            return Outcome::Open(Err(e));
        }
        loop {
            let settled = match claims.plan(&claim) {
                Plan::Dispatch => return self.sent(claim, inner, call).await,
                Plan::Replay => return replay(&claim.record, self.shared.settings.retention),
                // Boxed, as all that is rare: every call would carry the room for it.
                Plan::Park(reason) => {
                    let parked = Box::pin(claims.park(&mut claim, reason)).await;
                    parked.map(|()| Some(Err(in_doubt(reason))))
                }
                Plan::Reconcile => Box::pin(self.reconcile(&call, &mut claim)).await,
            };
            match settled {
                Ok(None) => {}
                Ok(Some(Ok(()))) => return replay(&claim.record, self.shared.settings.retention),
                Ok(Some(Err(e))) | Err(e) => {
                    // Whoever asks next need not wait; without the store it does.
                    drop(Box::pin(claims.release(&mut claim)).await);
                    return Outcome::Open(Err(e.with_happened(Happened::Maybe)));
                }
            }
        }
    }

    /// Asks the owner of an effect in doubt. `None`: look at the record again.
    async fn reconcile(&self, call: &Call<P>, claim: &mut Claim) -> Result<Option<Result<()>>> {
        let settings = &self.shared.settings;
        let (hook, patience) = match &self.errand {
            Some(errand) => errand.owner(),
            None => (settings.reconcile.as_deref().map(|hook| hook as _), settings.patience),
        };
        let intent = claim.intent(call, Arc::clone(&claim.record.request));
        let said = match (hook, intent) {
            (Some(hook), Some(intent)) => {
                let late = || Err(Error::new(ErrorKind::Timeout, "the owner did not answer"));
                let asked = caught("the reconcile hook", hook.reconcile(&intent));
                let asked = timeout(patience, asked);
                let said = by(call.context().deadline(), asked).await;
                said.and_then(Result::ok).unwrap_or_else(late)?
            }
            _ => Reconciled::CannotKnow,
        };
        if let (Some(errand), Reconciled::Happened(output)) = (&self.errand, &said)
            && let Err(e) = SkillAnswer::Done(Arc::clone(output)).judged_by(&*errand.skill)
        {
            let output = Arc::clone(output);
            self.shared.claims.broken("reconcile", claim, output, &e).await?;
            // Its record tells it from now on.
            return Ok(Some(Ok(())));
        }
        Ok(match self.shared.claims.heard(claim, said).await? {
            Heard::Happened(_) => Some(Ok(())),
            Heard::Again => None,
            Heard::NotYet(after) => Some(Err(not_yet(call.target(), after))),
            Heard::Parked(reason) => Some(Err(in_doubt(reason))),
        })
    }

    /// Runs the call under its claim, and settles what is left.
    async fn sent<S>(&self, claim: Box<Claim>, inner: S, call: Call<P>) -> Outcome<R>
    where
        S: Service<Call<P>, Response = R, Error = Error> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let third = self.length(&call) / 3;
        let slot = Slot::new(Arc::clone(&self.shared.claims), claim);
        let call = call.with_slot(Arc::<Slot>::clone(&slot));
        let outcome = alive(pin!(plain(inner, call)), &slot, third).await;
        let mut claim = slot.claim.lock().await;
        match outcome {
            Ok(answer) if matches!(claim.record.state, EffectState::Done { .. }) => {
                Outcome::First(Ok(answer.clone()), End::Done(answer))
            }
            Ok(answer) => {
                // A layer between answered itself, or there is no mark.
                let e = Error::new(ErrorKind::Cancelled, "something else answered");
                let unmarked = claim.is_unsent() && !slot.is_marked();
                drop(Box::pin(self.left(&mut claim, e, unmarked)).await);
                Outcome::Open(Ok(answer))
            }
            Err(e) => {
                // What is cut off where it waits says `Maybe`, too: then others have met a mark.
                let marks = self.errand.is_some() || self.shared.claims.has_marks();
                let unmarked = claim.is_unsent() && !marks && e.happened() != Happened::No;
                Box::pin(self.failed(&mut claim, e, unmarked)).await
            }
        }
    }

    async fn failed(&self, claim: &mut Claim, e: Error, unmarked: bool) -> Outcome<R> {
        if let Some(end) = failure(&claim.record) {
            return Outcome::First(Err(e), end);
        }
        if !unmarked && !claim.is_fresh() {
            // Its lease covers what nobody saw end.
            return Outcome::Open(Err(e));
        }
        Outcome::Open(Err(match self.left(claim, e, unmarked).await {
            Ok(Left::Known(e) | Left::InDoubt(e)) => e,
            Ok(Left::Parked(reason, e)) => in_doubt(reason).with_source(e),
            Err(e) => e.with_happened(Happened::Maybe),
        }))
    }

    /// Settles what is left of a call: whoever asks next need not wait.
    async fn left(&self, claim: &mut Claim, e: Error, unmarked: bool) -> Result<Left> {
        let claims = &self.shared.claims;
        let left = if unmarked {
            // Its lease covers a doubt that the store did not take.
            Ok(Box::pin(claims.unmarked(claim, e)).await?)
        } else {
            claims.left(claim, e).await
        };
        drop(claims.release(claim).await);
        left
    }
}

/// What this comes to until then; `None` when it takes longer.
async fn by<T>(deadline: Option<Instant>, coming: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, coming).await.ok(),
        None => Some(coming.await),
    }
}

/// Runs it, and renews its lease meanwhile.
async fn alive<F: Future>(
    mut running: Pin<&mut F>,
    slot: &Arc<Slot>,
    third: Duration,
) -> F::Output {
    // Not before it has to be waited for.
    let mut renewing: Option<Pin<Box<dyn Future<Output = Infallible> + Send>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = running.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        let renewing = renewing.get_or_insert_with(|| Box::pin(renew(Arc::clone(slot), third)));
        renewing.as_mut().poll(cx).map(|never| match never {})
    })
    .await
}

async fn renew(slot: Arc<Slot>, third: Duration) -> Infallible {
    loop {
        sleep(third.max(Duration::from_millis(1))).await;
        let mut claim = slot.claim.lock().await;
        let renewed = slot.claims.renew(&mut claim).await;
        drop(claim);
        if renewed.is_err_and(|e| e.kind() == ErrorKind::Conflict) {
            // Somebody else has it: what we commit loses.
            return pending().await;
        }
    }
}

/// The error that a record tells for good.
fn failure<R>(record: &EffectRecord) -> Option<End<R>> {
    let (kind, message, happened) = match (&record.state, &record.breach) {
        (EffectState::Failed { kind, message, happened }, _) => {
            (*kind, Arc::clone(message), *happened)
        }
        (EffectState::Done { .. }, Some(why)) => {
            (ErrorKind::ValidationError, broken_message(why).into(), Happened::Yes)
        }
        _ => return None,
    };
    Some(End::Failed { kind, message, happened })
}

fn replay<R: Stored>(record: &EffectRecord, left: Duration) -> Outcome<R> {
    if let Some(end) = failure(record) {
        return Outcome::Ended(end, left);
    }
    match &record.state {
        EffectState::Done { answer } => match R::restore(SkillAnswer::clone(answer)) {
            Ok(answer) => Outcome::Ended(End::Done(answer), left),
            Err(e) => Outcome::Open(Err(e)),
        },
        EffectState::Parked { reason, .. } => Outcome::Open(Err(in_doubt(reason))),
        state => Outcome::Open(Err(in_doubt(state.name()))),
    }
}

/// What is recorded of a call whose skill is not here: its end, or that it is in doubt.
///
/// What was surely not sent, and nobody approved, ends as the look-up did.
pub(crate) fn recorded<R: Stored>(
    record: &EffectRecord,
    asked: [u8; 16],
    missing: Error,
) -> Result<R> {
    match (&record.state, &record.approval) {
        (EffectState::Claimed { .. }, None) => Err(missing),
        _ if record.fingerprint != asked => Err(reused()),
        (EffectState::Claimed { .. }, Some(_)) => {
            let gone = Error::new(ErrorKind::Conflict, GONE).with_happened(Happened::No);
            Err(gone.with("target", &record.target).exhausted())
        }
        _ => match replay(record, Duration::ZERO) {
            Outcome::Ended(end, _) => end.into_outcome(),
            Outcome::First(outcome, _) | Outcome::Open(outcome) => outcome,
        },
    }
}

fn busy(left: Duration) -> Error {
    let refusal = Refusal::new(Reason::InProgress, NAME);
    refusal.with_retry_after(left.max(Duration::from_millis(1))).into()
}
