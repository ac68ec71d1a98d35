//! A reply on its way out, and how its row is written.

use std::{sync::Arc, time::Duration};

use super::{Inner, lock};
use crate::{
    MessageId, Result, TenantId, Timestamp,
    records::{
        audit::AuditEntry,
        commit::unchanged,
        live::{Live, ReplyRow, live_key},
        row::Row,
    },
    store::{Key, Op, Txn, Version},
    words::planted::{Bug, planted},
};

/// A reply on its way out.
#[derive(Debug)]
pub(super) struct ReplyJob {
    pub(super) tenant: TenantId,
    pub(super) id: MessageId,
    pub(super) row: ReplyRow,
    pub(super) version: Version,
    partition: u16,
    /// The date that the store has.
    due: Option<Timestamp>,
}

impl ReplyJob {
    pub(super) const fn new(
        tenant: TenantId,
        id: MessageId,
        version: Version,
        partition: u16,
        row: ReplyRow,
    ) -> Self {
        Self { tenant, id, row, version, partition, due: None }
    }

    pub(super) fn txn(&self, inner: &Inner, label: &'static str) -> Txn {
        Txn::new(label)
            .guard(inner.fences.guard(self.partition))
            .guard(unchanged(live_key(&self.tenant, self.id), self.version))
    }

    /// Stores the reply as it is now.
    pub(super) async fn write(
        &mut self,
        inner: &Inner,
        label: &'static str,
        entry: Option<AuditEntry>,
    ) -> Result<()> {
        let row = Live::Reply(self.row.clone()).encode()?;
        let mut txn = self.txn(inner, label).op(Op::put(live_key(&self.tenant, self.id), row));
        if let Some(entry) = entry {
            txn = txn.op(entry.append(&self.tenant)?);
        }
        self.version = inner.commit(txn).await?.version;
        self.due = self.row.due;
        Ok(())
    }

    /// Keeps the reply in the store until a date; its lane is held, so that nothing overtakes.
    pub(super) async fn defer(
        &mut self,
        inner: &Arc<Inner>,
        lane: &Key,
        span: Duration,
    ) -> Result<()> {
        let due = inner.env.now().after(span);
        // It stays when the store does not take it: the date holds all the same.
        self.row.due = Some(due);
        if self.due != Some(due) {
            self.write(inner, "defer", None).await?;
        }
        lock(&inner.replies).hold(lane);
        // Its place is free for another conversation.
        inner.start_replies();
        inner.progress.notify_waiters();
        if !planted(Bug::DeferredNotWoken) {
            lock(&inner.due).insert((due, self.tenant.clone(), self.id));
        }
        inner.due_changed.notify_one();
        Ok(())
    }
}
