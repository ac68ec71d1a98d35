//! Recovery: everything that was acknowledged and not finished goes on.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Inner, lock,
    seek::{To, enqueue},
};
use crate::{
    Result, TenantId,
    records::{
        inbox::{marked_tenant, tenant_marks},
        ledger::EffectState,
        live::{Live, TurnRow, id_behind, live_rows},
        partitions::partition_of,
        row::Row,
    },
    store::{Entry, Op, StateStore as _, StateStoreExt as _, Txn},
    words::planted::{Bug, planted},
};

/// What a start found of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Messages that an agent still has to answer.
    pub turns: usize,
    /// Replies that still have to go out, those in doubt included.
    pub replies: usize,
    /// Replies that may have been sent when the process died.
    pub in_doubt: usize,
    /// Suspended turns.
    pub waiting: usize,
}

impl Recovered {
    /// Was there nothing left to do?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.turns + self.replies + self.waiting == 0
    }
}

/// Puts every live row back into its lane: turns as they were admitted, replies as they were made.
pub(super) async fn recover(inner: &Arc<Inner>) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut replies = Vec::new();
    for (mark, _) in inner.store.scan_all(tenant_marks()).await? {
        let Some(tenant) = marked_tenant(&mark) else { continue };
        let rows = live_rows(&tenant);
        for (key, entry) in inner.store.scan_all(rows.clone()).await? {
            let Some(id) = id_behind(&key, &rows) else { continue };
            inner.env.ids_after(id);
            if planted(Bug::SuspendedLost)
                && let Live::Turn(TurnRow { waiting: Some(_), .. }) = Live::decode(&entry.value)?
            {
                inner.store.commit(Txn::new("sweep").op(Op::delete(key))).await?;
                continue;
            }
            let Some(live) = found(inner, &tenant, &entry, &mut recovered)? else { continue };
            match &live {
                Live::Turn(_) if planted(Bug::TurnDropped) => {}
                Live::Reply(_) if planted(Bug::ReplyDropped) => {}
                Live::Turn(row) => {
                    inner.watch_approval(&tenant, id, row.waiting.as_ref());
                    enqueue(inner, &tenant, id, live, entry.version, To::Back);
                }
                Live::Reply(row) => {
                    replies.push((row.order, tenant.clone(), id, live, entry.version));
                }
            }
        }
        lock(&inner.tenants).insert(tenant);
    }
    replies.sort_by_key(|(order, _, id, ..)| (*order, *id));
    let made = replies.last().map_or(0, |(order, ..)| order.saturating_add(1));
    inner.replies_made.store(made, Ordering::Relaxed);
    for (_, tenant, id, live, version) in replies {
        enqueue(inner, &tenant, id, live, version, To::Back);
    }
    Ok(recovered)
}

/// Reads a live row, and counts it; `None` when its conversation is somebody else's.
fn found(
    inner: &Inner,
    tenant: &TenantId,
    entry: &Entry,
    recovered: &mut Recovered,
) -> Result<Option<Live>> {
    let mut live = Live::decode(&entry.value)?;
    if planted(Bug::PartsForgotten)
        && let Live::Reply(row) = &mut live
    {
        row.parts.iter_mut().for_each(|part| part.state = EffectState::NEW);
    }
    if !inner.fences.holds(partition_of(tenant, live.place())) {
        return Ok(None);
    }
    match &live {
        Live::Turn(row) if row.waiting.is_some() => recovered.waiting += 1,
        Live::Turn(_) => recovered.turns += 1,
        Live::Reply(row) => {
            recovered.replies += 1;
            let in_doubt = row.parts.iter().any(|part| part.state.is_in_doubt());
            recovered.in_doubt += usize::from(in_doubt);
        }
    }
    Ok(Some(live))
}
