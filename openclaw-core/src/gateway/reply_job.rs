//! A reply on its way out, and how its row is written.

use std::{sync::Arc, time::Duration};

use super::{Due, Inner, lock};
use crate::{
    Error, ErrorKind, MessageId, Result, TenantId, Timestamp,
    records::{
        audit::AuditEntry,
        commit::unchanged,
        ledger::{EffectState, Event},
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
    /// A commit was cut off: nobody here saw how it ended.
    stale: bool,
}

impl ReplyJob {
    pub(super) const fn new(
        tenant: TenantId,
        id: MessageId,
        version: Version,
        partition: u16,
        row: ReplyRow,
    ) -> Self {
        Self { tenant, id, row, version, partition, due: None, stale: false }
    }

    pub(super) fn txn(&self, inner: &Inner, label: &'static str) -> Txn {
        Txn::new(label)
            .guard(inner.fences.guard(self.partition))
            .guard(unchanged(live_key(&self.tenant, self.id), self.version))
    }

    /// Was a commit cut off, and not looked for since?
    pub(super) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// The version that the store was found to have.
    pub(super) const fn found(&mut self, version: Version) {
        (self.version, self.stale) = (version, false);
    }

    /// Where a part stands.
    pub(super) fn state(&self, at: usize) -> Option<&EffectState> {
        self.row.parts.get(at).map(|part| &part.state)
    }

    /// Moves a part on, here and not in the store.
    pub(super) fn step(&mut self, at: usize, event: Event) -> Result<()> {
        step(&mut self.row, at, event)
    }

    /// Stores that a part is on its way; it is once the store has it.
    pub(super) async fn dispatch(
        &mut self,
        inner: &Inner,
        at: usize,
        now: Timestamp,
    ) -> Result<()> {
        let mut row = ReplyRow { due: None, ..self.row.clone() };
        step(&mut row, at, Event::Dispatch { at: now })?;
        self.put(inner, "dispatch", row, None).await
    }

    /// Stores the reply as it is now.
    pub(super) async fn write(
        &mut self,
        inner: &Inner,
        label: &'static str,
        entry: Option<AuditEntry>,
    ) -> Result<()> {
        self.put(inner, label, self.row.clone(), entry).await
    }

    async fn put(
        &mut self,
        inner: &Inner,
        label: &'static str,
        row: ReplyRow,
        entry: Option<AuditEntry>,
    ) -> Result<()> {
        let live = Live::Reply(row);
        let mut txn =
            self.txn(inner, label).op(Op::put(live_key(&self.tenant, self.id), live.encode()?));
        if let Some(entry) = entry {
            txn = txn.op(entry.append(&self.tenant)?);
        }
        self.stale = true;
        let outcome = inner.commit(txn).await;
        self.stale = false;
        self.version = outcome?.version;
        if let Live::Reply(row) = live {
            self.due = row.due;
            self.row = row;
        }
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
            lock(&inner.due).insert((due, self.tenant.clone(), self.id, Due::Reply));
        }
        inner.due_changed.notify_one();
        Ok(())
    }
}

fn step(row: &mut ReplyRow, at: usize, event: Event) -> Result<()> {
    let missing = || Error::new(ErrorKind::Unclassified, "the reply has no such part");
    let part = row.parts.get_mut(at).ok_or_else(missing)?;
    let moved = part.state.after(event);
    part.state = moved.map_err(|e| Error::new(ErrorKind::Conflict, e.to_string()))?;
    Ok(())
}
