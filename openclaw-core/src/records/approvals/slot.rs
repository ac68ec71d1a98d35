//! The slot of an approval in a claim: it is used in the claim's own commit, or not at all.

use std::sync::Arc;

use super::{Approval, ApprovalState, Approvals, Found};
use crate::{
    Digest, Error, ErrorKind, MessageId, Result,
    records::row::Row as _,
    rules::Terms,
    store::{Guard, Op},
    words::planted::{Bug, planted},
};

/// The approval that a claim consumes, and what it has to be good for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: Arc<str>,
    pub(crate) digest: Digest,
    /// The operation of the turn that claims.
    pub(crate) operation: Arc<str>,
    /// Who may not have granted it: the agent, and whose message it answers.
    pub(crate) askers: [Arc<str>; 2],
    /// The terms that hold now; none when no rule asks for it.
    pub(crate) terms: Vec<Terms>,
}

impl Wanted {
    /// An approval for exactly this, wherever it was asked for.
    pub(crate) fn new(id: Arc<str>, digest: Digest) -> Self {
        let (operation, askers) = (Arc::default(), [Arc::default(), Arc::default()]);
        Self { id, digest, operation, askers, terms: Vec::new() }
    }
}

/// The guard and the operation by which a claim consumes an approval.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: Arc<str>,
    pub(crate) guard: Guard,
    pub(crate) op: Op,
}

impl Approvals {
    /// The slot by which a claim of this turn consumes the approval.
    ///
    /// Nothing is written here: the claim's commit checks that nobody used it in between.
    pub(crate) async fn slot(&self, wanted: &Wanted, turn: MessageId) -> Result<Slot> {
        let refuse = |why: &'static str| {
            Error::new(ErrorKind::ApprovalRequired, why).with("approval", &wanted.id)
        };
        let found = self.find(&wanted.id).await?;
        let found = found.ok_or_else(|| refuse("there is no such approval"))?;
        if let Some(why) = unfit(&found, wanted, turn) {
            return Err(refuse(why));
        }
        let Found { approval, version, .. } = found;
        let mut used = Approval { state: ApprovalState::Consumed, ..approval };
        if planted(Bug::ApprovalReused) {
            used.state = ApprovalState::Granted;
        }
        let key = self.key(&wanted.id);
        let op = Op::put(key.clone(), used.encode()?);
        Ok(Slot { id: Arc::clone(&wanted.id), guard: Guard::VersionIs(key, version), op })
    }
}

/// Why this approval is not good for that.
fn unfit(found: &Found, wanted: &Wanted, turn: MessageId) -> Option<&'static str> {
    let Found { approval, now, .. } = found;
    match approval.state_at(*now) {
        ApprovalState::Granted => {}
        ApprovalState::Expired
            if approval.state == ApprovalState::Granted && planted(Bug::ApprovalExpired) => {}
        ApprovalState::Expired => return Some("the approval has expired"),
        ApprovalState::Consumed => return Some("the approval was used before"),
        ApprovalState::Denied => return Some("the approval was denied"),
        ApprovalState::Requested => return Some("nobody has decided yet"),
    }
    let elsewhere =
        |asked: &super::Asked| asked.turn != turn || asked.operation != wanted.operation;
    let bound = approval.digest == wanted.digest && !approval.asked.as_ref().is_some_and(elsewhere);
    if !bound && !planted(Bug::ApprovalUnbound) {
        return Some("the approval is for another request");
    }
    let own = approval.votes.iter().any(|vote| vote.yes && wanted.askers.contains(&vote.by));
    if own && !wanted.terms.is_empty() && !planted(Bug::SelfApproved) {
        return Some("whoever asked has approved it");
    }
    (!approval.meets(&wanted.terms)).then_some("the approval does not meet the terms that hold now")
}
