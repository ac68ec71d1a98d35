//! What an operator does to a running gateway: resolve, replay, drain.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout_at};

use super::{
    Gateway, Inner, in_time, lock,
    seek::{To, enqueue, seek},
};
use crate::{
    Conversation, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Result, TenantId,
    agent::Resolution,
    records::{
        AuditLog, DeadLetters,
        audit::{AuditAction, AuditEntry},
        budgets::booked,
        commit::{self, Known, unchanged},
        inbox::{marked_tenant, tenant_marks},
        ledger::{EffectRecord, EffectState, Event, effect_key},
        live::{Live, TurnRow, live_key},
        partitions::partition_of,
        row::Row,
    },
    skill::SkillAnswer,
    store::{Guard, Op, StateStoreExt as _, Txn},
    words::planted::{Bug, planted},
};

impl Gateway {
    /// Gives a suspended turn what it waited for; it runs before what waits in its lane.
    ///
    /// The agent is run again from the start of the turn: effects of the first run answer from
    /// the ledger, and `turn.resolution()` holds the value. The second resolution of one turn
    /// is a `CONFLICT`. An order goes on when its future is dropped.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such turn, `CONFLICT` when it does not wait.
    pub async fn resolve(
        &self,
        tenant: &TenantId,
        id: MessageId,
        resolution: Resolution,
    ) -> Result<()> {
        let (inner, tenant) = (Arc::clone(&self.inner), tenant.clone());
        self.inner.order(async move { resolve(&inner, &tenant, id, resolution).await }).await
    }

    /// Sends a dead or parked letter on its way again, with its attempts forgotten.
    ///
    /// Effects that are done answer from the ledger. A part of a reply whose outcome is unknown
    /// is sent again, because the operator says so. An approval that has expired, unanswered or
    /// unused, may be asked for again, at most 16 of a turn; a person's no stays a no. Nothing
    /// else asks people again: an agent that is told of the end of their time must do without.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such letter, `UNSUPPORTED` when it never got in.
    pub async fn replay(&self, tenant: &TenantId, id: MessageId, by: &str) -> Result<()> {
        let (inner, tenant, by) = (Arc::clone(&self.inner), tenant.clone(), by.to_owned());
        self.inner.order(async move { replay(&inner, &tenant, id, &by).await }).await
    }

    /// Removes a dead or parked letter for good. `false` when there is none.
    ///
    /// # Errors
    /// The store does not answer; `CONFLICT` when somebody else works on the letter.
    pub async fn purge(&self, tenant: &TenantId, id: MessageId, by: &str) -> Result<bool> {
        let inner = &self.inner;
        inner.open_for_orders()?;
        let fence = inner.fences.any();
        match self.dead_letters(tenant).purge(id, by, inner.env.now(), fence).await? {
            None => Ok(false),
            Some(Known::Applied(_)) => Ok(true),
            Some(lost @ Known::Lost { .. }) => Err(inner.fenced(lost)),
        }
    }

    /// Says what became of a parked effect, after a person has looked.
    ///
    /// `Some(answer)`: it happened, with this answer. `None`: it did not, and may be done. Then
    /// [`Gateway::replay`] the message: its agent goes on from there.
    ///
    /// # Errors
    /// `NOT_FOUND` when the turn has no such effect, `CONFLICT` when it is not in doubt, or
    /// when it is on its way and its turn still runs.
    pub async fn decide(
        &self,
        tenant: &TenantId,
        turn: MessageId,
        operation: &str,
        answer: Option<SkillAnswer>,
        by: &str,
    ) -> Result<()> {
        let inner = &self.inner;
        inner.open_for_orders()?;
        let name = IdempotencyKey::of(turn, operation)
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        let key = effect_key(tenant, turn, &name);
        let missing = || {
            Error::new(ErrorKind::NotFound, "there is no such effect").with("operation", operation)
        };
        let found = commit::read::<EffectRecord>(&*inner.store, &key).await?;
        let (record, version) = found.ok_or_else(missing)?;
        let happened = if answer.is_some() { "it happened" } else { "it did not happen" };
        let mut decided = record.after(Event::Decided(answer))?;
        let booked = booked(&record.costs, tenant, &decided.state, true, None);
        let (costs, booked) = booked.unwrap_or_else(|| (record.costs.clone(), Vec::new()));
        decided.costs = costs;
        let entry = AuditEntry::new(inner.env.now(), AuditAction::EffectDecided, turn, by)
            .because(happened);
        let on_its_way = matches!(record.state, EffectState::Dispatching { .. });
        let mut txn = Txn::new("decide")
            // The effect does not name its conversation.
            .guard(inner.fences.any())
            .guard(unchanged(key.clone(), version))
            .op(Op::put(key, decided.encode()?))
            .op(entry.append(tenant)?)
            .ops(booked);
        if on_its_way {
            // A turn that was shelved left it so; one that runs hears of it itself.
            txn = txn.guard(Guard::Absent(live_key(tenant, turn)));
        }
        match commit::commit(&*inner.store, txn).await? {
            Known::Applied(_) => Ok(()),
            Known::Lost { guard: 2, .. } => {
                Err(Error::new(ErrorKind::Conflict, "the turn of the effect still runs"))
            }
            lost @ Known::Lost { .. } => Err(inner.fenced(lost)),
        }
    }

    /// Takes no more messages, finishes what is on hand, and stops.
    ///
    /// What is not finished by the deadline stays durable and goes on at the next start, the seal
    /// of the audit trail too. A send that is cut off is in doubt then.
    ///
    /// # Errors
    /// `TIMEOUT` when something was left; the gateway is stopped all the same.
    pub async fn drain(&self, deadline: Duration) -> Result<()> {
        let inner = &self.inner;
        inner.draining.raise();
        let end = in_time(deadline);
        let idle = timeout_at(end, inner.idle()).await;
        inner.tasks.stop().await;
        // Unsealed, the entries are there all the same.
        timeout_at(end, inner.seal_all()).await.ok();
        if idle.is_err() || inner.left.load(Ordering::Relaxed) > 0 {
            let left = inner.depths();
            let e = Error::new(ErrorKind::Timeout, "the drain left work for the next start");
            return Err(e.with("turns", left.turns).with("replies", left.replies));
        }
        Ok(())
    }
}

async fn resolve(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    id: MessageId,
    resolution: Resolution,
) -> Result<()> {
    inner.open_for(id)?;
    let key = live_key(tenant, id);
    let missing = || Error::new(ErrorKind::NotFound, "there is no such turn").with("message", id);
    let busy = || Error::new(ErrorKind::Conflict, "the turn does not wait").with("message", id);
    let (live, version) = commit::read::<Live>(&*inner.store, &key).await?.ok_or_else(missing)?;
    let Live::Turn(row) = live else { return Err(busy()) };
    if row.waiting.is_none() && !planted(Bug::ResolvedTwice) {
        return Err(busy());
    }
    let by = Arc::clone(&resolution.by);
    let row = TurnRow { waiting: None, resolution: Some(resolution), failed: 0, ..row };
    let mut stored = row.clone();
    if planted(Bug::ResolutionLost) {
        stored.resolution = None;
    }
    let partition = partition_of(tenant, &row.envelope.conversation);
    let entry = AuditEntry::new(inner.env.now(), AuditAction::Resumed, id, by);
    let txn = Txn::new("resolve")
        .guard(inner.fences.guard(partition))
        .guard(unchanged(key.clone(), version))
        .op(Op::put(key, Live::Turn(stored).encode()?))
        .op(entry.append(tenant)?);
    match commit::commit(&*inner.store, txn).await {
        Ok(Known::Applied(applied)) => {
            enqueue(inner, tenant, id, Live::Turn(row), applied.version, To::Front);
            inner.start_turns();
            Ok(())
        }
        Ok(Known::Lost { guard: 1, .. }) => Err(busy()),
        Ok(lost @ Known::Lost { .. }) => Err(inner.fenced(lost)),
        Err(e) => Err(look_up(inner, tenant, id, e, To::Front)),
    }
}

async fn replay(inner: &Arc<Inner>, tenant: &TenantId, id: MessageId, by: &str) -> Result<()> {
    let letters = DeadLetters::new(Arc::clone(&inner.store), tenant.clone());
    inner.open_for(id)?;
    let fence = |to: &Conversation| inner.fences.guard(partition_of(tenant, to));
    let (live, version) = letters
        .replay(id, by, inner.env.now(), inner.next_reply(), fence)
        .await
        .map_err(|e| look_up(inner, tenant, id, e, To::Back))?;
    enqueue(inner, tenant, id, live, version, To::Back);
    inner.start_turns();
    inner.start_replies();
    Ok(())
}

/// An order failed. When nobody knows whether it is stored, its message is looked for.
pub(super) fn look_up(
    inner: &Arc<Inner>,
    tenant: &TenantId,
    id: MessageId,
    error: Error,
    to: To,
) -> Error {
    if error.happened() == Happened::Maybe {
        seek(inner, tenant.clone(), id, to);
    }
    error
}

impl Inner {
    /// Follows an order to its end, even when whoever gave it does not wait for it.
    pub(super) async fn order<T: Send + 'static>(
        self: &Arc<Self>,
        order: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        self.begin_closing();
        let here = Arc::clone(self);
        self.tasks.spawn(async move {
            let outcome = order.await;
            here.end_closing();
            // Nobody may be waiting any more.
            let _heard = done.send(outcome);
        });
        let stopped = |_gone| {
            Error::new(ErrorKind::Unavailable, "the gateway stopped before the order was followed")
                .with_happened(Happened::Maybe)
        };
        answer.await.map_err(stopped)?
    }

    /// Refuses an operator's order to a gateway that stops: the next one takes it.
    pub(super) fn open_for_orders(&self) -> Result<()> {
        if self.is_draining() {
            let e = Error::new(ErrorKind::Unavailable, "the gateway is stopping");
            return Err(e.with_happened(Happened::No));
        }
        Ok(())
    }

    /// Refuses an order on a message whose last order is still looked up.
    pub(super) fn open_for(&self, id: MessageId) -> Result<()> {
        self.open_for_orders()?;
        if lock(&self.sought).contains(&id) {
            let why = "nobody knows yet whether the last order is stored";
            let e = Error::new(ErrorKind::Unavailable, why).with("message", id);
            return Err(e.with_happened(Happened::No));
        }
        Ok(())
    }

    /// Waits until no message and no reply is on hand, and who waits for an end has heard of it.
    async fn idle(&self) {
        loop {
            let progress = self.progress.notified();
            let lanes = lock(&self.turns).is_idle() && lock(&self.replies).is_idle();
            let closing = || self.closing.load(Ordering::Acquire) > 0 || self.owes();
            if lanes && (planted(Bug::DrainForgetsClosing) || !closing()) {
                return;
            }
            progress.await;
        }
    }

    async fn seal_all(&self) {
        // Where partitions are spread over replicas, one of them seals.
        if self.is_fenced() || !self.fences.holds(0) {
            return;
        }
        let Ok(tenants) = self.all_tenants().await else { return };
        for tenant in tenants {
            let log = AuditLog::new(Arc::clone(&self.store), tenant);
            while let Ok(Some(_)) = log.seal().await {}
        }
    }

    /// All tenants that have rows, those of other replicas' messages too.
    pub(super) async fn all_tenants(&self) -> Result<Vec<TenantId>> {
        if self.fences.is_whole() {
            return Ok(lock(&self.tenants).iter().cloned().collect());
        }
        let marks = self.store.scan_all(tenant_marks()).await?;
        Ok(marks.iter().filter_map(|(mark, _)| marked_tenant(mark)).collect())
    }
}

/// Seals the audit trails from time to time.
pub(super) async fn sealer(inner: Arc<Inner>) {
    while !inner.pause(inner.config.seal_every).await {
        inner.seal_all().await;
    }
}
