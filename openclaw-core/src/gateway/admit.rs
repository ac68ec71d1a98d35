//! Admission: bounds, route, one durable commit, and only then the acknowledgement.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{AckPolicy, Inner, lanes::Full, lock, turns::TurnJob};
use crate::{
    AgentId, Envelope, Error, ErrorKind, MessageId, Result,
    channel::{Ack, Admitted, Channel, Delivery, Settle, Source},
    records::{
        audit::{AuditAction, AuditEntry},
        commit::{self, Known},
        dead_letters::{LetterRow, Shelf},
        inbox::{self, Admission, Refused},
        live::TurnRow,
        partitions::partition_of,
        row::Row,
        sessions::session_key,
    },
    store::{Key, Op, StateStore as _, Txn},
};

/// How many messages one commit admits at most.
const BATCH: usize = 64;
/// When a refused sender may try again.
const SOON: Duration = Duration::from_secs(1);

/// Pulls from one channel for as long as the gateway takes messages.
pub(super) async fn intake(inner: Arc<Inner>, channel: Arc<dyn Channel>) {
    receive(&inner, channel).await;
    inner.intakes.fetch_sub(1, Ordering::Relaxed);
    inner.progress.notify_waiters();
}

async fn receive(inner: &Arc<Inner>, channel: Arc<dyn Channel>) {
    let mut pause = Duration::from_millis(100);
    loop {
        match channel.receive().await {
            Ok(None) => return,
            Ok(Some(source)) => {
                pause = Duration::from_millis(100);
                if pull(inner, &*channel, source).await {
                    return;
                }
            }
            Err(e) => {
                tracing::warn!(channel = %channel.id(), error = %e, "the channel can't receive");
                if inner.pause(pause).await {
                    return;
                }
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        }
    }
}

/// Pulls until the source ends or the gateway stops; true when there is nothing to come back to.
async fn pull(inner: &Arc<Inner>, channel: &dyn Channel, mut source: Box<dyn Source>) -> bool {
    let tells = channel.capabilities().tells_refusals;
    let mut draining = inner.draining.subscribe();
    loop {
        // A sender who is told may be refused at once; everybody else waits for credits.
        let max = if tells { BATCH } else { credits(inner).await.min(BATCH) };
        let next = tokio::select! {
            biased;
            _ = draining.wait_for(|yes| *yes), if !tells => break,
            next = source.next(NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN)) => next,
        };
        match next {
            Ok(batch) if batch.is_empty() => return true,
            Ok(batch) => admit(inner, tells, batch).await,
            Err(e) => {
                tracing::warn!(channel = %channel.id(), error = %e, "the source failed");
                return false;
            }
        }
    }
    if let Err(e) = source.close().await {
        tracing::warn!(channel = %channel.id(), error = %e, "the source did not close");
    }
    true
}

async fn credits(inner: &Inner) -> usize {
    loop {
        let progress = inner.progress.notified();
        let credits = inner.credits();
        if credits > 0 {
            return credits;
        }
        progress.await;
    }
}

/// A message that may come in, with its room in a lane.
struct Candidate {
    envelope: Arc<Envelope>,
    agent: AgentId,
    lane: Key,
    partition: u16,
    settle: Settle,
    admission: Admission,
    marks_tenant: bool,
}

/// Admits a batch: independent outcomes, one commit.
async fn admit(inner: &Arc<Inner>, tells: bool, batch: Vec<Delivery>) {
    let mut candidates = Vec::with_capacity(batch.len());
    for delivery in batch {
        if let Some(candidate) = consider(inner, tells, delivery).await {
            candidates.push(candidate);
        }
    }
    if candidates.is_empty() {
        return;
    }
    let txns: Vec<Txn> = candidates.iter().map(|c| c.admission.txn.clone()).collect();
    let outcomes = inner.store.commit_many(txns).await;
    for (candidate, outcome) in candidates.into_iter().zip(outcomes) {
        let known = commit::resolve_one(&*inner.store, &candidate.admission.txn, outcome).await;
        conclude(inner, tells, candidate, known).await;
    }
    inner.start_turns();
}

/// Everything that can be said before the commit. `None`: it was refused and settled.
async fn consider(inner: &Arc<Inner>, tells: bool, delivery: Delivery) -> Option<Candidate> {
    let nonce = delivery.nonce().cloned();
    let (envelope, settle) = delivery.into_parts();
    let envelope = Arc::new(envelope);
    if inner.is_draining() {
        let error = Error::new(ErrorKind::Unavailable, "the gateway is draining");
        retry(settle, error).await;
        return None;
    }
    let agent = match route(inner, &envelope) {
        Ok(agent) => agent,
        Err(e) => {
            refuse(inner, tells, settle, envelope, e).await;
            return None;
        }
    };
    let lane = session_key(&envelope.tenant, &envelope.conversation);
    let id = inner.env.next_id();
    let partition = partition_of(&envelope.tenant, &envelope.conversation);
    let (fence, now) = (inner.fences.guard(partition), inner.env.now());
    let mut admission = match inbox::admit(fence, id, &envelope, &agent, nonce.as_ref(), now) {
        Ok(admission) => admission,
        Err(e) => {
            refuse(inner, tells, settle, envelope, e).await;
            return None;
        }
    };
    let marks_tenant = !lock(&inner.tenants).contains(&envelope.tenant);
    if marks_tenant {
        admission.txn = admission.txn.op(inbox::tenant_mark(&envelope.tenant));
    }
    let full =
        inner.credits() == 0 || lock(&inner.turns).reserve(&envelope.tenant, &lane) == Err(Full);
    if full {
        retry(settle, Error::new(ErrorKind::Overloaded, "the conversation's lane is full")).await;
        return None;
    }
    Some(Candidate { envelope, agent, lane, partition, settle, admission, marks_tenant })
}

/// The agent for a message, if the message is within the limits and somebody is meant.
fn route(inner: &Inner, envelope: &Envelope) -> Result<AgentId> {
    let limits = &inner.config.limits;
    let over = |what: &str, limit: usize| {
        Err(Error::new(ErrorKind::ValidationError, format!("{what} over the limit"))
            .with("limit", limit))
    };
    if envelope.headers.len() > limits.headers {
        return over("headers", limits.headers);
    }
    if envelope.headers.iter().any(|(name, value)| name.len() + value.len() > limits.header) {
        return over("a header", limits.header);
    }
    if envelope.content.len().max(envelope.raw.len()) > limits.body {
        return over("the message", limits.body);
    }
    let nobody = || {
        Error::new(ErrorKind::NotFound, "no route leads to an agent")
            .with_public("there is nobody here for this message")
    };
    inner.router.route(envelope).cloned().ok_or_else(nobody)
}

/// What a commit means for its message.
async fn conclude(inner: &Arc<Inner>, tells: bool, candidate: Candidate, known: Result<Known>) {
    let Candidate { envelope, agent, lane, partition, settle, admission, marks_tenant } = candidate;
    let id = admission.id;
    let (guard, current) = match known {
        Ok(Known::Applied(applied)) => {
            if marks_tenant {
                lock(&inner.tenants).insert(envelope.tenant.clone());
            }
            let ack = inner.acks.get(&envelope.conversation.channel).copied().unwrap_or_default();
            let row = TurnRow {
                envelope: Arc::clone(&envelope),
                agent,
                accepted_at: applied.as_of,
                failed: 0,
                error: None,
                waiting: None,
                resolution: None,
            };
            // Subscribed before the turn can start: its end is not missed.
            let end = (ack == AckPolicy::Replied).then(|| inner.watch_end(id));
            let job =
                TurnJob::new(envelope.tenant.clone(), id, applied.version, partition, row, false);
            lock(&inner.turns).fill(&envelope.tenant, &lane, job);
            return acknowledge(inner, settle, Admitted::new(id, false), end).await;
        }
        Ok(Known::Lost { guard, current }) => (guard, current),
        Err(e) => {
            lock(&inner.turns).release(&lane);
            return retry(settle, e).await;
        }
    };
    lock(&inner.turns).release(&lane);
    match admission.refused(guard, current.as_ref()) {
        Ok(Refused::Duplicate(message)) => {
            let wait = inner.acks.get(&envelope.conversation.channel) == Some(&AckPolicy::Replied);
            let end = if wait { still_open(inner, &envelope, message).await } else { None };
            acknowledge(inner, settle, Admitted::new(message, true), end).await;
        }
        Ok(Refused::Reused) => {
            let e = Error::new(ErrorKind::Conflict, "this id was used for another message")
                .with_public("this key was used before with another body");
            refuse(inner, tells, settle, envelope, e).await;
        }
        Ok(Refused::Replayed) => {
            let e = Error::new(ErrorKind::AuthenticationFailed, "the nonce was seen before")
                .with_public("this request was received before");
            refuse(inner, tells, settle, envelope, e).await;
        }
        Ok(Refused::Fenced) => {
            let e = inner.fenced(Known::Lost { guard, current });
            retry(settle, e).await;
        }
        Err(e) => retry(settle, e).await,
    }
}

/// The end to wait for, when a message is not final yet.
async fn still_open(
    inner: &Inner,
    envelope: &Envelope,
    message: MessageId,
) -> Option<tokio::sync::watch::Receiver<()>> {
    let end = inner.watch_end(message);
    let status = super::status::look_up(inner, &envelope.tenant, message).await;
    let open = matches!(status, Ok(Some(status)) if !status.state.is_final());
    open.then_some(end)
}

/// Acknowledges now, or at the end of the message.
async fn acknowledge(
    inner: &Inner,
    settle: Settle,
    admitted: Admitted,
    end: Option<tokio::sync::watch::Receiver<()>>,
) {
    let Some(mut end) = end else { return tell(settle, Ack::Accept(admitted)).await };
    inner.tasks.spawn(async move {
        // A closed channel is the end.
        let _ended = end.changed().await;
        tell(settle, Ack::Accept(admitted)).await;
    });
}

async fn retry(settle: Settle, error: Error) {
    let after = error.retry_after().unwrap_or(SOON);
    tell(settle, Ack::Retry { after, error }).await;
}

/// Refuses for good. Where nobody would hear it, the refusal is a dead letter first.
async fn refuse(
    inner: &Inner,
    tells: bool,
    settle: Settle,
    envelope: Arc<Envelope>,
    reason: Error,
) {
    if !tells && let Err(e) = keep_refused(inner, envelope, &reason).await {
        return retry(settle, e).await;
    }
    tell(settle, Ack::DeadLetter { reason }).await;
}

async fn keep_refused(inner: &Inner, envelope: Arc<Envelope>, reason: &Error) -> Result<()> {
    let tenant = envelope.tenant.clone();
    let (id, at) = (inner.env.next_id(), inner.env.now());
    let channel = envelope.conversation.channel.clone();
    let letter = LetterRow {
        row: None,
        refused: Some(envelope),
        kind: reason.kind(),
        reason: reason.message().into(),
        attempts: 0,
        at,
    };
    let entry = AuditEntry::new(at, AuditAction::DeadLettered, id, channel.as_str())
        .because(reason.kind().code());
    let txn = Txn::new("refuse")
        .op(Op::put(Shelf::Dead.key(&tenant, id), letter.encode()?))
        .op(entry.append(&tenant)?);
    commit::commit(&*inner.store, txn).await?.or_fenced().map(drop)
}

async fn tell(settle: Settle, ack: Ack) {
    if let Err(e) = settle.settle(ack).await {
        // The channel delivers again, and the dedupe row answers.
        tracing::debug!(error = %e, "a settlement was not heard");
    }
}
