//! Approvals: what people decide, and the turns that wait for it.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Due, Gateway, Inner,
    control::look_up,
    lock,
    seek::{To, enqueue},
};
use crate::{
    MessageId, Principal, Result, TenantId, Timestamp,
    agent::{Resolution, Waiting},
    records::{
        Approval, ApprovalState, Approvals, Vote,
        approvals::{Found, raced},
        audit::{AuditAction, AuditEntry},
        commit::{self, Known, unchanged},
        live::{Live, TurnRow, live_key},
        partitions::partition_of,
        row::Row as _,
    },
    store::{Op, Txn, Version},
    words::planted::{Bug, planted},
};

/// Lost races before a person hears of them.
const RACES: usize = 5;

/// How soon an approval is looked at again that somebody else works on.
const SOON: Duration = Duration::from_secs(1);

/// How often one is looked at where other replicas may record decisions about it.
const OTHERS: Duration = Duration::from_secs(10);

/// A turn that waits for an approval, as it was read.
struct Waits {
    id: MessageId,
    row: TurnRow,
    version: Version,
    partition: u16,
}

impl Gateway {
    /// The approvals of a tenant: what is asked, and what was decided.
    #[must_use]
    pub fn approvals(&self, tenant: &TenantId) -> Approvals {
        Approvals::new(Arc::clone(&self.inner.store), tenant.clone())
    }

    /// Records a person's word on an approval; a turn that waits for it goes on.
    ///
    /// The principal's tenant says whose approval it is, and its subject who decides. The word,
    /// its audit entry and the turn are one commit. One no ends the request, and takes back what
    /// was granted and not used; the same word of the same person again changes nothing. An order
    /// goes on when its future is dropped.
    ///
    /// Whoever asked is known by the names that the message brought: the agent's, and the sender's
    /// `id`. Give people the same subject here; a channel whose ids are its own, such as a chat
    /// platform's, needs a host that maps them, and an unverified sender may be anybody.
    ///
    /// With replicas ask the one that has the turn: `Replica::gateway_of`.
    ///
    /// # Errors
    /// `NOT_FOUND` when the principal's tenant has no such approval; `PERMISSION_DENIED` when
    /// the person asked for it, or is not named in its terms; `CONFLICT` when it is decided, its
    /// time is over, or others decide at this moment; `VALIDATION_ERROR` for too long a memo.
    pub async fn decide_approval(
        &self,
        by: &Principal,
        id: &str,
        vote: Vote,
    ) -> Result<ApprovalState> {
        let (inner, by, id) = (Arc::clone(&self.inner), by.clone(), id.to_owned());
        self.inner.order(async move { decide(&inner, &by, &id, vote).await }).await
    }
}

async fn decide(inner: &Arc<Inner>, by: &Principal, id: &str, vote: Vote) -> Result<ApprovalState> {
    let approvals = Approvals::new(Arc::clone(&inner.store), by.tenant.clone());
    for _ in 0..RACES {
        let found = approvals.of(by, id).await?;
        inner.open_for(found.approval.turn())?;
        let Some(next) = found.voted(by, &vote)? else { return Ok(found.approval.state) };
        let waits = waiting(inner, &by.tenant, id, &next).await?;
        let (guard, ops) = approvals.step(id, &found, &next)?;
        let fence = waits.as_ref().map(|waits| inner.fences.guard(waits.partition));
        let fence = fence.unwrap_or_else(|| inner.fences.any());
        let txn = Txn::new("vote").guard(fence).guard(guard).ops(ops);
        let turn = next.turn();
        let unseen = waits.is_none() && next.state != ApprovalState::Requested;
        let outcome = resumed(inner, &by.tenant, waits, id, &next, txn).await;
        if unseen {
            // Its turn may have been on its way to the store, and waits by now.
            inner.look_soon(&by.tenant, turn);
        }
        if outcome? {
            return Ok(next.state);
        }
    }
    Err(raced(id))
}

/// The turn that goes on by this decision; `None` when none of ours waits for it.
async fn waiting(
    inner: &Inner,
    tenant: &TenantId,
    id: &str,
    approval: &Approval,
) -> Result<Option<Waits>> {
    if approval.state == ApprovalState::Requested || planted(Bug::DecisionUnheard) {
        return Ok(None);
    }
    let turn = approval.turn();
    let live = commit::read::<Live>(&*inner.store, &live_key(tenant, turn)).await?;
    let Some((Live::Turn(row), version)) = live else { return Ok(None) };
    let partition = partition_of(tenant, &row.envelope.conversation);
    let ours = waits_for(&row).is_some_and(|waited| waited == id) && inner.fences.holds(partition);
    Ok(ours.then_some(Waits { id: turn, row, version, partition }))
}

fn waits_for(row: &TurnRow) -> Option<&str> {
    match &row.waiting {
        Some(Waiting::Approval { approval }) => Some(approval),
        _ => None,
    }
}

/// Commits a step of an approval, and the turn that goes on with it; false when it lost a race.
async fn resumed(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    waits: Option<Waits>,
    approval: &str,
    next: &Approval,
    mut txn: Txn,
) -> Result<bool> {
    let Some(Waits { id, row, version, .. }) = waits else {
        return won(inner, commit::commit(&*inner.store, txn).await?).map(|won| won.is_some());
    };
    let decided = next.decided_by().filter(|_| next.state != ApprovalState::Expired);
    let (by, memo) = decided.map_or(("gateway", ""), |vote| (&*vote.by, &*vote.memo));
    let value = json!({ "approval": approval, "state": next.state.name(), "memo": memo });
    let resolution = Some(Resolution::new(by, value));
    let row = TurnRow { waiting: None, resolution, failed: 0, ..row };
    let key = live_key(tenant, id);
    let entry = AuditEntry::new(inner.env.now(), AuditAction::Resumed, id, by);
    txn = txn
        .guard(unchanged(key.clone(), version))
        .op(Op::put(key, Live::Turn(row.clone()).encode()?))
        .op(entry.append(tenant)?);
    match commit::commit(&*inner.store, txn).await {
        Ok(known) => {
            let Some(version) = won(inner, known)? else { return Ok(false) };
            enqueue(inner, tenant, id, Live::Turn(row), version, To::Front);
            inner.start_turns();
            Ok(true)
        }
        Err(e) => Err(look_up(inner, tenant, id, e, To::Front)),
    }
}

/// The version of a commit; `None` when it lost a race, an error when its fence is lost.
fn won(inner: &Inner, known: Known) -> Result<Option<Version>> {
    match known {
        Known::Applied(applied) => Ok(Some(applied.version)),
        lost @ Known::Lost { guard: 0, .. } => Err(inner.fenced(lost)),
        Known::Lost { .. } => Ok(None),
    }
}

/// Looks after a turn that waits: resumes it when its approval is decided or over.
///
/// When to look again; `None` when somebody else resumes it, or nobody has to.
pub(super) async fn look_after(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    turn: MessageId,
    row: &TurnRow,
    version: Version,
) -> Result<Option<Timestamp>> {
    let Some(id) = waits_for(row) else { return Ok(None) };
    let approvals = Approvals::new(Arc::clone(&inner.store), tenant.clone());
    // One that the gateway did not ask for is told by whoever resolves the turn.
    let Some(found) = approvals.find(id).await?.filter(|found| found.approval.turn() == turn)
    else {
        return Ok(None);
    };
    let partition = partition_of(tenant, &row.envelope.conversation);
    if !inner.fences.holds(partition) {
        return Ok(None);
    }
    let now = inner.env.now();
    let state = found.approval.state_at(found.now);
    if state == ApprovalState::Requested {
        let left = found.approval.expires.since(found.now);
        let most = if inner.fences.is_whole() { left } else { left.min(OTHERS) };
        return Ok(Some(now.after(most.max(SOON))));
    }
    if planted(Bug::DecisionUnheard) || lock(&inner.sought).contains(&turn) {
        return Ok(Some(now.after(SOON)));
    }
    let waits = Waits { id: turn, row: row.clone(), version, partition };
    let next = Approval { state, ..found.approval.clone() };
    let mut txn = Txn::new("resolve").guard(inner.fences.guard(partition));
    if state != found.approval.state {
        txn = expired(&approvals, id, &found, &next, txn)?;
    }
    let over = resumed(inner, tenant, Some(waits), id, &next, txn).await?;
    Ok((!over).then(|| now.after(SOON)))
}

/// The time of an approval is over: that is written down with what follows from it.
fn expired(
    approvals: &Approvals,
    id: &str,
    found: &Found,
    next: &Approval,
    txn: Txn,
) -> Result<Txn> {
    let (guard, ops) = approvals.step(id, found, next)?;
    Ok(txn.guard(guard).ops(ops))
}

impl Inner {
    /// Looks after a turn that waits for an approval from now on.
    ///
    /// It may have been decided before the turn was seen to wait.
    pub(super) fn watch_approval(&self, tenant: &TenantId, turn: MessageId, on: Option<&Waiting>) {
        if matches!(on, Some(Waiting::Approval { .. })) {
            self.look_soon(tenant, turn);
        }
    }

    /// Looks at once whether this turn waits for something that is decided.
    fn look_soon(&self, tenant: &TenantId, turn: MessageId) {
        let entry = (Timestamp::default(), tenant.clone(), turn, Due::Turn);
        lock(&self.due).insert(entry);
        self.due_changed.notify_one();
    }
}
