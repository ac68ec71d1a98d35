//! Recovery: everything that was acknowledged and not finished goes on.

use std::sync::Arc;

use super::{Inner, lock, seek::enqueue};
use crate::{
    MessageId, Result, TenantId,
    records::{
        inbox::{marked_tenant, tenant_marks},
        ledger::EffectState,
        live::{Live, TurnRow, id_behind, live_rows},
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

/// Puts every live row back into its lane, in the order of admission.
pub(super) async fn recover(inner: &Arc<Inner>) -> Result<Recovered> {
    let mut recovered = Recovered::default();
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
            put_back(inner, &tenant, id, &entry, &mut recovered)?;
        }
        lock(&inner.tenants).insert(tenant);
    }
    Ok(recovered)
}

fn put_back(
    inner: &Inner,
    tenant: &TenantId,
    id: MessageId,
    entry: &Entry,
    recovered: &mut Recovered,
) -> Result<()> {
    let mut live = Live::decode(&entry.value)?;
    if planted(Bug::PartsForgotten)
        && let Live::Reply(row) = &mut live
    {
        row.parts.iter_mut().for_each(|part| part.state = EffectState::NEW);
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
    let dropped = match &live {
        Live::Turn(_) => planted(Bug::TurnDropped),
        Live::Reply(_) => planted(Bug::ReplyDropped),
    };
    if !dropped {
        enqueue(inner, tenant, id, live, entry.version, false);
    }
    Ok(())
}
