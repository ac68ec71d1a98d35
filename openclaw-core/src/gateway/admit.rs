//! Admission: bounds, route, one durable commit, and only then the acknowledgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{
    AckPolicy, Inner,
    lanes::Full,
    lock,
    refusals::Manners,
    seek::{To, seek},
    turns::{Place, TurnJob},
    verdict::{Verdict, tell, tell_all},
};
use crate::{
    AgentId, Envelope, Error, ErrorKind, Happened, MessageId, Result,
    channel::{Ack, Admitted, Delivery, Settle},
    records::{
        commit::{self, Known},
        inbox::{self, Admission, Refused},
        live::{TurnRow, live_key},
        partitions::partition_of,
        sessions::session_key,
    },
    store::{Key, StateStore as _, Txn, Version},
    words::flag::Flag,
    words::planted::{Bug, planted},
};

/// The longest name in an envelope: platform id, place, thread, sender, topic; in bytes.
const MAX_NAME: usize = 1024;

/// A message that may come in, with its room in a lane.
struct Candidate {
    envelope: Arc<Envelope>,
    lane: Key,
    partition: u16,
    settle: Settle,
    row: TurnRow,
    admission: Admission,
    marks_tenant: bool,
}

impl Candidate {
    /// Comes in only if the message before it in its conversation did.
    fn follow(&mut self, before: &mut BTreeMap<Key, Key>) {
        let live = live_key(&self.envelope.tenant, self.admission.id);
        if let Some(previous) = before.insert(self.lane.clone(), live) {
            self.admission.behind(previous);
        }
    }
}

/// What became of the messages of a batch so far, where order counts.
#[derive(Default)]
struct Progress {
    /// Conversations whose last message is in, and where none was told to come again.
    inside: BTreeSet<Key>,
    /// Messages that will come again, in order.
    again: Vec<(Key, Arc<Envelope>)>,
}

impl Progress {
    fn note(&mut self, lane: Key, envelope: Arc<Envelope>, ack: &Ack) {
        match ack {
            // A duplicate was in before: it says nothing of a message that was refused.
            Ack::Accept(_) if self.again.iter().any(|(refused, _)| *refused == lane) => {}
            Ack::Accept(_) => drop(self.inside.insert(lane)),
            Ack::Retry { .. } => {
                self.inside.remove(&lane);
                self.again.push((lane, envelope));
            }
            Ack::DeadLetter { .. } => drop(self.inside.remove(&lane)),
        }
    }
}

/// Admits a batch: independent outcomes, one commit.
pub(super) async fn admit(inner: &Arc<Inner>, manners: Manners, batch: Vec<Delivery>) {
    let mut candidates = Vec::with_capacity(batch.len());
    let mut verdicts = Vec::with_capacity(batch.len());
    let mut before = BTreeMap::new();
    for delivery in batch {
        match consider(inner, manners, delivery).await {
            Ok(mut candidate) => {
                if manners.ordered {
                    candidate.follow(&mut before);
                }
                candidates.push(candidate);
            }
            Err(verdict) => verdicts.push(verdict),
        }
    }
    verdicts.extend(settle(inner, manners, candidates).await);
    inner.start_turns();
    tell_all(inner, verdicts);
}

/// Commits what may come in, and says what each outcome means.
async fn settle(
    inner: &Arc<Inner>,
    manners: Manners,
    mut candidates: Vec<Candidate>,
) -> Vec<Verdict> {
    if planted(Bug::EarlyAck) {
        for Candidate { settle, admission, .. } in &mut candidates {
            tell(settle.take(), Ack::Accept(Admitted::new(admission.id, false))).await;
        }
    }
    let txns: Vec<Txn> = candidates.iter().map(|c| c.admission.txn.clone()).collect();
    let outcomes = if txns.is_empty() { Vec::new() } else { inner.store.commit_many(txns).await };
    let mut verdicts = Vec::with_capacity(outcomes.len());
    let mut progress = Progress::default();
    for (mut candidate, outcome) in candidates.into_iter().zip(outcomes) {
        let mut known = commit::resolve_one(&*inner.store, &candidate.admission.txn, outcome).await;
        if candidate.admission.is_behind(&known) && progress.inside.contains(&candidate.lane) {
            // The message before it is in: it was here already, under another row.
            known = commit::commit(&*inner.store, candidate.admission.alone()).await;
        }
        let (lane, envelope) = (candidate.lane.clone(), Arc::clone(&candidate.envelope));
        let verdict = conclude(inner, manners, candidate, known).await;
        if manners.ordered {
            if matches!(verdict.ack, Ack::Accept(_)) {
                lock(&inner.refusals).came_in(&lane, &envelope);
            }
            progress.note(lane, envelope, &verdict.ack);
        }
        verdicts.push(verdict);
    }
    // The first of them last: each goes in front of the one before.
    for (lane, envelope) in progress.again.iter().rev() {
        lock(&inner.refusals).failed(lane, envelope, inner.env.now());
    }
    verdicts
}

/// Everything that can be said before the commit.
async fn consider(
    inner: &Arc<Inner>,
    manners: Manners,
    delivery: Delivery,
) -> Result<Candidate, Verdict> {
    let nonce = delivery.nonce().cloned();
    let (envelope, settle) = delivery.into_parts();
    let envelope = Arc::new(envelope);
    if inner.is_draining() {
        return Err(Verdict::retry(
            settle,
            Error::new(ErrorKind::Unavailable, "the gateway is draining"),
        ));
    }
    let (id, partition) =
        (inner.env.next_id(), partition_of(&envelope.tenant, &envelope.conversation));
    let made = route(inner, &envelope).and_then(|agent| {
        let row = TurnRow::new(Arc::clone(&envelope), agent, inner.env.now());
        let fence = inner.fences.guard(partition);
        inbox::admit(fence, id, &row, nonce.as_ref()).map(|admission| (row, admission))
    });
    let (row, mut admission) = match made {
        Ok(made) => made,
        Err(e) => return Err(Verdict::refuse(inner, manners.tells, settle, envelope, e).await),
    };
    let marks_tenant = !lock(&inner.tenants).contains(&envelope.tenant);
    if marks_tenant {
        admission.txn = admission.txn.op(inbox::tenant_mark(&envelope.tenant));
    }
    let lane = session_key(&envelope.tenant, &envelope.conversation);
    if let Err(e) = enter(inner, manners, &envelope, &lane) {
        return Err(Verdict::retry(settle, e));
    }
    Ok(Candidate { envelope, lane, partition, settle, row, admission, marks_tenant })
}

/// Reserves a room in the message's lane.
fn enter(inner: &Inner, manners: Manners, envelope: &Envelope, lane: &Key) -> Result<()> {
    let now = inner.env.now();
    let full =
        || inner.credits() == 0 || lock(&inner.turns).reserve(&envelope.tenant, lane) == Err(Full);
    if !manners.ordered {
        return if full() { Err(overloaded()) } else { Ok(()) };
    }
    let mut refusals = lock(&inner.refusals);
    if !refusals.pass(lane, envelope, now) {
        refusals.refused(lane, envelope, now);
        return Err(overloaded());
    }
    if full() {
        refusals.failed(lane, envelope, now);
        return Err(overloaded());
    }
    Ok(())
}

fn overloaded() -> Error {
    Error::new(ErrorKind::Overloaded, "the lanes are full")
}

/// The agent for a message, if the message is within the limits and somebody is meant.
fn route(inner: &Inner, envelope: &Envelope) -> Result<AgentId> {
    let limits = &inner.config.limits;
    let over = |what: &str, limit: usize| {
        Err(Error::new(ErrorKind::ValidationError, format!("{what} over the limit"))
            .with("limit", limit))
    };
    let place = &envelope.conversation;
    let optional = [&envelope.id, &place.thread, &envelope.topic];
    let names = [&place.account, &place.id, &envelope.sender.id, &envelope.kind];
    if names.into_iter().chain(optional.into_iter().flatten()).any(|name| name.len() > MAX_NAME) {
        return over("a name", MAX_NAME);
    }
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
async fn conclude(
    inner: &Arc<Inner>,
    manners: Manners,
    candidate: Candidate,
    known: Result<Known>,
) -> Verdict {
    let (guard, current) = match known {
        Ok(Known::Applied(applied)) => return admitted(inner, candidate, applied.version),
        Ok(Known::Lost { guard, current }) => (guard, current),
        Err(e) => return failed(inner, manners, candidate, e).await,
    };
    if !planted(Bug::CreditLeak) {
        inner.give_back(&candidate.lane);
    }
    let Candidate { envelope, settle, admission, .. } = candidate;
    match admission.refused(guard, current.as_ref()) {
        Ok(Refused::Behind) => Verdict::retry(
            settle,
            Error::new(ErrorKind::Unavailable, "an earlier message comes first"),
        ),
        Ok(Refused::Duplicate(message)) if lock(&inner.sought).contains(&message) => {
            let e = Error::new(ErrorKind::Unavailable, "the message is being looked for");
            Verdict::retry(settle, e)
        }
        Ok(Refused::Duplicate(message)) => {
            let wait = inner.acks.get(&envelope.conversation.channel) == Some(&AckPolicy::Replied);
            let at_end = if wait { still_open(inner, &envelope, message).await } else { Ok(None) };
            match at_end {
                Ok(at_end) => {
                    Verdict { settle, ack: Ack::Accept(Admitted::new(message, true)), at_end }
                }
                // Nobody knows whether it is finished.
                Err(e) => Verdict::retry(settle, e),
            }
        }
        Ok(Refused::Reused) => {
            let e = Error::new(ErrorKind::Conflict, "this id was used for another message")
                .with_public("this key was used before with another body");
            Verdict::refuse(inner, manners.tells, settle, envelope, e).await
        }
        Ok(Refused::Replayed) => {
            let e = Error::new(ErrorKind::AuthenticationFailed, "the nonce was seen before")
                .with_public("this request was received before");
            Verdict::refuse(inner, manners.tells, settle, envelope, e).await
        }
        Ok(Refused::Fenced) => Verdict::retry(settle, inner.fenced(Known::Lost { guard, current })),
        Err(e) => Verdict::retry(settle, e),
    }
}

/// The message is durable: into its lane, and the sender hears of it.
fn admitted(inner: &Arc<Inner>, candidate: Candidate, version: Version) -> Verdict {
    let Candidate { envelope, lane, partition, settle, row, admission, marks_tenant } = candidate;
    let id = admission.id;
    if marks_tenant {
        lock(&inner.tenants).insert(envelope.tenant.clone());
    }
    let ack = inner.acks.get(&envelope.conversation.channel).copied().unwrap_or_default();
    // Subscribed before the turn can start: its end is not missed.
    let at_end = (ack == AckPolicy::Replied).then(|| inner.watch_end(id));
    let job = TurnJob::new(envelope.tenant.clone(), id, version, partition, row, false);
    lock(&inner.turns).fill(&envelope.tenant, &lane, Place::Taken(job));
    Verdict { settle, ack: Ack::Accept(Admitted::new(id, false)), at_end }
}

/// The store did not take the message, or nobody knows whether it did.
async fn failed(
    inner: &Arc<Inner>,
    manners: Manners,
    candidate: Candidate,
    error: Error,
) -> Verdict {
    if error.happened() == Happened::Maybe {
        return unknown(inner, candidate, error);
    }
    inner.give_back(&candidate.lane);
    if error.kind() == ErrorKind::ValidationError {
        return Verdict::refuse(inner, manners.tells, candidate.settle, candidate.envelope, error)
            .await;
    }
    Verdict::retry(candidate.settle, error)
}

/// Nobody knows whether the message is durable: the sender tries again, and we look again.
///
/// It keeps its place in its lane: what came behind it may be durable, and must not overtake it.
fn unknown(inner: &Arc<Inner>, candidate: Candidate, error: Error) -> Verdict {
    let Candidate { envelope, lane, settle, admission, .. } = candidate;
    let (to, kept) = oneshot::channel();
    lock(&inner.turns).fill(&envelope.tenant, &lane, Place::Kept(kept));
    seek(inner, envelope.tenant.clone(), admission.id, To::Place(to));
    Verdict::retry(settle, error)
}

/// The end to wait for, when a message is not final yet.
async fn still_open(
    inner: &Inner,
    envelope: &Envelope,
    message: MessageId,
) -> Result<Option<Arc<Flag>>> {
    let end = inner.watch_end(message);
    let status = super::status::look_up(inner, &envelope.tenant, message).await?;
    Ok(status.is_some_and(|status| !status.state.is_final()).then_some(end))
}
