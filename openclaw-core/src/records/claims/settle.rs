//! Moves a claim on: sent, settled, reconciled, parked.

use std::{sync::Arc, time::Duration};

use super::{
    Claim, Claims,
    output::{output_behind, unstorable},
};
use crate::{
    Effect, Error, ErrorKind, Happened, Result, Timestamp,
    channel::Reconciled,
    records::{
        audit::{AuditAction, AuditEntry},
        budgets::booked,
        commit::unchanged,
        ledger::{EffectRecord, EffectState, Event, Plan, heard, plan},
        row::Row,
    },
    skill::SkillAnswer,
    store::{Op, Txn},
};

/// What an effect without an answer leaves behind.
#[derive(Debug)]
pub(crate) enum Left {
    /// It is known what became of it.
    Known(Error),
    /// Nobody knows, and it will be asked about or sent again.
    InDoubt(Error),
    /// Nobody knows, and a person has to look.
    Parked(&'static str, Error),
}

/// What the owner of an effect in doubt said, as it is recorded now.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It happened.
    Happened(SkillAnswer),
    /// It did not: look at the record again.
    Again,
    /// It is not known yet.
    NotYet(Duration),
    /// A person has to look.
    Parked(&'static str),
}

impl Claims {
    /// What is to be done with the claim now.
    pub(crate) fn plan(&self, claim: &Claim) -> Plan {
        let EffectRecord { state, effect, .. } = &claim.record;
        // The time matters to what is in doubt only. It is the store's: another process may have
        // sent it first, and its clock showed something else.
        let now = if state.is_in_doubt() { self.time.now() } else { Timestamp::default() };
        plan(state, *effect, now)
    }

    /// Records that a try is about to be sent.
    pub(crate) async fn dispatch(&self, claim: &mut Claim) -> Result<()> {
        let at = self.time.now();
        self.step("dispatch", claim, Event::Dispatch { at }, &[]).await
    }

    /// Records the answer.
    pub(crate) async fn succeeded(&self, claim: &mut Claim, answer: SkillAnswer) -> Result<()> {
        let entry = self.entry(claim, AuditAction::EffectDone, &claim.subject);
        self.step("settle", claim, Event::Succeeded(answer), &[entry]).await
    }

    /// Records a try without an answer: not sent, failed for good, or in doubt.
    ///
    /// An answer that breaks the contract is an answer all the same: the effect is done.
    pub(crate) async fn failed(&self, claim: &mut Claim, e: Error) -> Result<Error> {
        if let Some(output) = output_behind(&claim.record, &e) {
            // Boxed, as all that is rare: every call would carry the room for it.
            return Box::pin(self.broken("settle", claim, output, &e)).await;
        }
        let e = Arc::new(e);
        let event = match e.happened() {
            Happened::Maybe => Event::Lost,
            // Nothing of a read is final: what it waited for may come.
            Happened::No if e.kind().is_transient() || claim.record.effect == Effect::Pure => {
                Event::NotSent
            }
            Happened::No | Happened::Yes => Event::Failed(Arc::clone(&e)),
        };
        // An early try in doubt outweighs a later one that surely failed.
        let action = match claim.record.state_after(event.clone())? {
            EffectState::Unknown { .. } => Some(AuditAction::EffectUnknown),
            EffectState::Failed { .. } => Some(AuditAction::EffectFailed),
            _ => None,
        };
        let entry =
            action.map(|action| self.entry(claim, action, &claim.subject).because(e.kind().code()));
        self.step("settle", claim, event, entry.as_slice()).await?;
        Ok(Arc::into_inner(e)
            .unwrap_or_else(|| Error::new(ErrorKind::Unclassified, "the effect failed")))
    }

    /// Settles what is left when the call has ended with this error.
    pub(crate) async fn left(&self, claim: &mut Claim, e: Error) -> Result<Left> {
        if claim.stale {
            // The store has to be read first: whoever asks next does.
            return Ok(Left::Known(e));
        }
        if matches!(claim.record.state, EffectState::Dispatching { .. }) {
            // The try was cut off before its mark heard an answer.
            let entry = self
                .entry(claim, AuditAction::EffectUnknown, &claim.subject)
                .because(e.kind().code());
            self.step("settle", claim, Event::Lost, &[entry]).await?;
        }
        if !claim.record.state.is_in_doubt() {
            // When the store does not take it, whoever goes on with the claim has it.
            drop(self.give_back(claim).await);
            return Ok(Left::Known(e));
        }
        match self.plan(claim) {
            Plan::Park(reason) => {
                self.park(claim, reason).await?;
                Ok(Left::Parked(reason, e))
            }
            Plan::Dispatch | Plan::Replay | Plan::Reconcile => {
                Ok(Left::InDoubt(e.with_happened(Happened::Maybe)))
            }
        }
    }

    /// Settles a call that ran without a mark: its record would say that it was surely not sent.
    pub(crate) async fn unmarked(&self, claim: &mut Claim, e: Error) -> Result<Left> {
        let (message, subject) = (claim.message, &claim.subject);
        tracing::error!(%message, %subject, "a call has run without a mark: its stack needs a MarkLayer innermost");
        self.dispatch(claim).await?;
        self.left(claim, e).await
    }

    /// Records what the owner of an effect in doubt says.
    pub(crate) async fn heard(&self, claim: &mut Claim, said: Reconciled) -> Result<Heard> {
        match heard(said) {
            Reconciled::Happened(output) => {
                let answer = SkillAnswer::Done(output);
                let entry = self
                    .entry(claim, AuditAction::EffectDone, &claim.record.target)
                    .because("reconciled");
                let event = Event::Succeeded(answer.clone());
                match self.step("reconcile", claim, event, &[entry]).await {
                    Err(e) if unstorable(&e) => {
                        Err(self.broken("reconcile", claim, Arc::default(), &e).await?)
                    }
                    stored => stored.map(|()| Heard::Happened(answer)),
                }
            }
            Reconciled::DidNotHappen => {
                self.step("reconcile", claim, Event::DidNotHappen, &[]).await?;
                Ok(Heard::Again)
            }
            Reconciled::NotYetKnown { retry_after } => Ok(Heard::NotYet(retry_after)),
            Reconciled::CannotKnow => {
                let reason = "nobody can tell whether it happened";
                self.park(claim, reason).await?;
                Ok(Heard::Parked(reason))
            }
        }
    }

    /// Parks it: a person has to look.
    pub(crate) async fn park(&self, claim: &mut Claim, reason: &str) -> Result<()> {
        let entry = self.entry(claim, AuditAction::Parked, &claim.record.target).because(reason);
        self.step("park", claim, Event::Park(reason.into()), &[entry]).await
    }

    /// Moves the record on, in one commit with its audit entries.
    pub(super) async fn step(
        &self,
        label: &'static str,
        claim: &mut Claim,
        event: Event,
        entries: &[AuditEntry],
    ) -> Result<()> {
        self.refresh(claim).await?;
        // What a person has ruled out waits for another order.
        let over = matches!(event, Event::Decided(_));
        let breach = event.breach();
        let state = claim.record.state_after(event)?;
        claim.record.breach = breach;
        let booked = booked(&claim.record.costs, &claim.tenant, &state, over, claim.meter.as_ref());
        let (costs, ops) = booked.unwrap_or_else(|| (claim.record.costs.clone(), Vec::new()));
        let row = claim.row(&costs, &state)?;
        let mut txn = Txn::new(label)
            .guard(claim.fence.guard())
            .guard(unchanged(claim.key.clone(), claim.version))
            .op(Op::put(claim.key.clone(), row));
        let mut ended = None;
        if let Some(lease) = claim.fence.lease().filter(|_| state.is_final()) {
            let parked = matches!(state, EffectState::Parked { .. });
            let now = entries.first().map_or_else(|| self.env.now(), |entry| entry.at);
            let row = lease.ended(self.time.by_store(now), parked);
            txn = txn.op(Op::put(lease.key.clone(), row.encode()?));
            ended = Some(row);
        }
        for entry in entries {
            txn = txn.op(entry.append(&claim.tenant)?);
        }
        let version = self.apply(claim, txn.ops(ops)).await?.version;
        (claim.record.state, claim.record.costs, claim.version) = (state, costs, version);
        if let Some(row) = ended {
            claim.fence.leased_at(row, version);
        }
        Ok(())
    }
}
