//! What a guarded call may do, by what was decided of it and by what people said.

use std::sync::Arc;

use super::{Claim, Claims, Place, Wanted, decide::Looked, fingerprint};
use crate::{
    Digest, Error, ErrorKind, Result,
    records::{
        approvals::{Approval, ApprovalState, Approvals, Asked, Found},
        audit::{AuditAction, AuditEntry},
        budgets::booked,
        commit::{Known, unchanged},
        ledger::{EffectRecord, EffectState},
        row::Row as _,
    },
    rules::{Decision, Denial, Terms},
    store::{Guard, Key, Op, Txn},
};

/// Where a call stands before its claim.
#[derive(Debug)]
pub(crate) enum Gate {
    /// It may be claimed, and consumes this.
    Pass(Option<Wanted>),
    /// It may not, and that is final.
    Refused(Error),
    /// People were asked, and have not decided.
    Waits(Arc<str>, Error),
    /// It was claimed before anybody asked for an approval.
    Unapproved(&'static str),
}

/// A call, as people are asked about it.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) asked: Asked,
    /// The approval that the agent names.
    pub(crate) named: Option<Arc<str>>,
}

impl Guarded {
    fn digest(&self, place: &Place) -> Digest {
        let Asked { skill, version, input, .. } = &self.asked;
        Approval::digest_of(&place.tenant, skill, version, input)
    }

    fn wanted(&self, id: Arc<str>, digest: Digest, terms: Vec<Terms>) -> Wanted {
        let operation = Arc::clone(&self.asked.operation);
        let askers = [&self.asked.agent, &self.asked.sender].map(Arc::clone);
        Wanted { id, digest, operation, askers, terms }
    }
}

/// Lost races before a caller hears of them.
const RACES: usize = 5;

impl Claims {
    /// What a call may do under this decision.
    ///
    /// What is recorded already counts first: a done effect answers from its record, whatever
    /// the rules say by now.
    pub(crate) async fn gate(
        &self,
        place: &Place,
        guarded: Guarded,
        decision: Decision,
    ) -> Result<Gate> {
        if decision == Decision::Allow {
            let wanted = guarded.named.clone().map(|id| {
                let digest = guarded.digest(place);
                guarded.wanted(id, digest, Vec::new())
            });
            return Ok(Gate::Pass(wanted));
        }
        // Boxed, as all that is rare: every call would carry the room for it.
        Box::pin(self.narrow(place, guarded, decision)).await
    }

    async fn narrow(&self, place: &Place, guarded: Guarded, decision: Decision) -> Result<Gate> {
        if let Some(found) = self.looked(place).await? {
            return match known(&found.record, &guarded.asked, &decision) {
                Recorded::Counts => Ok(Gate::Pass(None)),
                Recorded::Unapproved => {
                    let Looked { record, entry, .. } = found;
                    let mut claim = Claim::new(place.clone(), record);
                    claim.opened(entry.version);
                    self.give_back(&mut claim).await?;
                    Ok(Gate::Unapproved("the effect was claimed before it needed an approval"))
                }
                Recorded::Denied(denial) => {
                    self.denied(place, &guarded, &denial, Some(found)).await
                }
            };
        }
        match decision {
            Decision::Allow => Ok(Gate::Pass(None)),
            Decision::Deny(denial) => self.denied(place, &guarded, &denial, None).await,
            Decision::RequireApproval(terms) => self.person(place, guarded, terms).await,
        }
    }

    /// Records that a rule refused the call, and gives back what its unsent claim has reserved.
    async fn denied(
        &self,
        place: &Place,
        guarded: &Guarded,
        denial: &Denial,
        unsent: Option<Looked>,
    ) -> Result<Gate> {
        let Asked { skill, .. } = &guarded.asked;
        let action = AuditAction::CallDenied;
        let entry = AuditEntry::new(self.env.now(), action, place.message, &*place.subject)
            .because(Arc::clone(&denial.code));
        let txn = place.who().txn("deny").op(entry.append(&place.tenant)?);
        let txn = match unsent {
            Some(found) => giving_back(txn, place, found)?,
            None => txn,
        };
        match self.commit(txn).await? {
            Known::Applied(_) => Ok(Gate::Refused(refused(denial, skill))),
            lost @ Known::Lost { .. } => Err(self.lost(lost)),
        }
    }

    /// What people said of the call, or that they are asked now.
    async fn person(&self, place: &Place, guarded: Guarded, terms: Vec<Terms>) -> Result<Gate> {
        let digest = guarded.digest(place);
        if let Some(id) = guarded.named.clone() {
            return Ok(Gate::Pass(Some(guarded.wanted(id, digest, terms))));
        }
        let approvals = Approvals::new(Arc::clone(&self.store), place.tenant.clone());
        let Asked { turn, operation, .. } = &guarded.asked;
        let id = Approvals::id_of(*turn, operation, &digest, &terms);
        for _ in 0..RACES {
            let (found, now) = self.noted(approvals.look(&id).await)?;
            if let Some(found) = found {
                return Ok(match found.approval.state_at(found.now) {
                    ApprovalState::Granted => Gate::Pass(Some(guarded.wanted(id, digest, terms))),
                    _ => said(&id, &found),
                });
            }
            let asked = Asked { at: now, ..guarded.asked.clone() };
            let approval = Approval::requested(digest, asked, terms.clone());
            if self.request(place, approvals.key(&id), &id, &approval).await? {
                return Ok(waits(&id, &approval));
            }
        }
        Err(Error::new(ErrorKind::Conflict, "the approval changes all the time"))
    }

    /// Asks people; false when somebody else has just asked them.
    async fn request(
        &self,
        place: &Place,
        key: Key,
        id: &str,
        approval: &Approval,
    ) -> Result<bool> {
        let entry =
            AuditEntry::new(self.env.now(), approval.action(), place.message, &*place.subject)
                .because(format!("approval {id}"));
        let who = place.who();
        let txn = who
            .txn("request")
            .guard(Guard::Absent(key.clone()))
            .op(Op::put(key, approval.encode()?))
            .op(entry.append(&place.tenant)?);
        match self.commit(txn).await? {
            Known::Applied(_) => Ok(true),
            Known::Lost { guard, .. } if guard == who.guards() => Ok(false),
            lost @ Known::Lost { .. } => Err(self.lost(lost)),
        }
    }
}

/// This commit, with what an unsent claim has reserved given back.
fn giving_back(txn: Txn, place: &Place, found: Looked) -> Result<Txn> {
    let Looked { mut record, entry, .. } = found;
    let unsent = booked(&record.costs, &place.tenant, &record.state, true, None);
    let Some((costs, ops)) = unsent else { return Ok(txn) };
    record.costs = costs;
    let put = Op::put(place.key.clone(), record.encode()?);
    Ok(txn.guard(unchanged(place.key.clone(), entry.version)).op(put).ops(ops))
}

/// What a record means under a decision that is not a plain yes.
enum Recorded {
    /// It goes on as it is recorded.
    Counts,
    Unapproved,
    Denied(Denial),
}

fn known(record: &EffectRecord, asked: &Asked, decision: &Decision) -> Recorded {
    let unsent = matches!(record.state, EffectState::Claimed { .. });
    let same = record.fingerprint == fingerprint(&record.target, &asked.input);
    match decision {
        // What may have been sent is settled; what was surely not is refused by now.
        Decision::Deny(denial) if unsent && same => Recorded::Denied(denial.clone()),
        Decision::RequireApproval(_) if unsent && same && record.approval.is_none() => {
            Recorded::Unapproved
        }
        _ => Recorded::Counts,
    }
}

fn waits(id: &Arc<str>, approval: &Approval) -> Gate {
    let reasons: Vec<&str> = approval.terms.iter().map(|terms| &*terms.reason).collect();
    let e = Error::new(ErrorKind::ApprovalRequired, "nobody has decided yet")
        .with_public(format!("an approval is required: {}", reasons.join("; ")))
        .with("approval", id);
    Gate::Waits(Arc::clone(id), e)
}

/// What is told of an approval that was not granted, or is of no use any more.
fn said(id: &Arc<str>, found: &Found) -> Gate {
    let approval = &found.approval;
    let over = |why: &'static str| {
        Error::new(ErrorKind::ApprovalRequired, why)
            .with_public(why)
            .with("approval", id)
            .exhausted()
    };
    Gate::Refused(match approval.state_at(found.now) {
        ApprovalState::Requested => return waits(id, approval),
        ApprovalState::Denied => no(id, approval),
        ApprovalState::Consumed => over("the approval was used before"),
        _ if approval.votes.is_empty() => over("nobody answered in time"),
        _ if approval.meets(&approval.terms) => over("the approval was not used in time"),
        _ => over("too few people said yes in time"),
    })
}

/// A person's no, in that person's words.
fn no(id: &Arc<str>, approval: &Approval) -> Error {
    let (by, memo) = approval.denied_by().map_or(("somebody", ""), |vote| (&*vote.by, &*vote.memo));
    let colon = if memo.is_empty() { "" } else { ": " };
    let told = format!("{by} said no{colon}{memo}");
    Error::new(ErrorKind::PermissionDenied, told.clone()).with_public(told).with("approval", id)
}

/// A rule's no.
pub(crate) fn refused(denial: &Denial, skill: &str) -> Error {
    let Denial { code, reason } = denial;
    Error::new(ErrorKind::PermissionDenied, reason.to_string())
        .with_public(reason.to_string())
        .with("code", code)
        .with("skill", skill)
}
