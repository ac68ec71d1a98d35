//! Delivery: each part of a reply is an effect; replies go out in order, a conversation at a time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Inner, reply_job::ReplyJob};
use crate::{
    Call, Context, Effect, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Result,
    channel::{Channel, Intent, Outbound, Receipt, Reconciled},
    records::{
        audit::{AuditAction, AuditEntry},
        commit,
        dead_letters::{LetterRow, Shelf, shelve},
        ledger::{EffectState, Event, Plan, heard, plan},
        live::{Live, live_key, sent},
    },
    skill::SkillAnswer,
    store::{Key, Txn},
    words::caught::caught,
    words::planted::{Bug, planted},
};

/// What to do with a reply next.
enum Next {
    /// Look at it again.
    Again,
    /// Look at it again after a pause.
    Pause(Duration),
    /// It is finished: its last commit is still to come, the lane need not wait for it.
    Finish,
    /// It left the outbox.
    Gone,
}

/// Sends a reply part by part, then frees its lane.
pub(super) async fn run(inner: Arc<Inner>, lane: Key, mut job: ReplyJob) {
    loop {
        let next = match advance(&inner, &mut job).await {
            Ok(next) => next,
            Err(_) if inner.is_fenced() => return inner.reply_left(&lane),
            Err(e) => {
                tracing::error!(message = %job.id, error = %e, "the store does not take the state of a reply");
                look_again(&inner, &mut job).await
            }
        };
        match next {
            Next::Again => {}
            Next::Pause(span) => match rest(&inner, &lane, &mut job, span).await {
                Rested::GoOn => {}
                Rested::Deferred => return,
                Rested::Left => return inner.reply_left(&lane),
            },
            Next::Finish => {
                inner.begin_closing();
                inner.reply_ended(&lane);
                finish(&inner, job).await;
                return inner.end_closing();
            }
            Next::Gone => {
                inner.finished(job.id);
                return inner.reply_ended(&lane);
            }
        }
    }
}

/// How a pause ended.
enum Rested {
    GoOn,
    /// The reply is in the store until its date; its lane is held.
    Deferred,
    /// The gateway stops.
    Left,
}

/// Waits: a short while in memory, a long one in the store.
async fn rest(inner: &Arc<Inner>, lane: &Key, job: &mut ReplyJob, span: Duration) -> Rested {
    let mut span = span;
    if span > inner.config.defer {
        if job.defer(inner, lane, span).await.is_ok() {
            return Rested::Deferred;
        }
        span = inner.config.send_pause;
    }
    if inner.pause(span).await { Rested::Left } else { Rested::GoOn }
}

/// Reads the version again: a commit whose answer was lost may have been applied.
///
/// What was sent is known better here than in the row: the job keeps its state.
async fn look_again(inner: &Inner, job: &mut ReplyJob) -> Next {
    match commit::read::<Live>(&*inner.store, &live_key(&job.tenant, job.id)).await {
        Ok(Some((_, version))) => job.version = version,
        Ok(None) => return Next::Gone,
        // The store is still away: the next commit finds out.
        Err(_) => {}
    }
    Next::Pause(inner.config.send_pause)
}

async fn advance(inner: &Arc<Inner>, job: &mut ReplyJob) -> Result<Next> {
    if let Some(wait) =
        job.row.due.take().map(|due| due.since(inner.env.now())).filter(|wait| !wait.is_zero())
    {
        return Ok(Next::Pause(wait));
    }
    let Some((at, part)) = job.row.next() else { return Ok(Next::Finish) };
    let Some(channel) = inner.channels.get(&job.row.to.channel) else {
        let e = Error::new(ErrorKind::NotFound, "the channel is not here any more")
            .with_happened(Happened::No);
        return give_up(inner, job, Shelf::Dead, &e).await;
    };
    let state = part.state.clone();
    let call = call(&**channel, job, at)?;
    match plan(&state, call.effect(), inner.env.now()) {
        Plan::Dispatch => send(inner, job, &**channel, call, at, &state).await,
        Plan::Reconcile => reconcile(inner, job, &**channel, &call, at, &state).await,
        Plan::Park(reason) => stuck(inner, job, at, reason).await,
        Plan::Replay => {
            let e = Error::new(ErrorKind::Conflict, "a part of the reply is parked");
            give_up(inner, job, Shelf::Parked, &e).await
        }
    }
}

fn call(channel: &dyn Channel, job: &ReplyJob, at: usize) -> Result<Call<Outbound>> {
    let to = job.row.to.clone();
    let missing = || Error::new(ErrorKind::Unclassified, "the reply has no such part");
    let part = job.row.parts.get(at).ok_or_else(missing)?.part.clone();
    let outbound = match &job.row.replaces {
        Some(message) if at == 0 => Outbound::Edit { to, message: Arc::clone(message), part },
        _ => Outbound::Post { to, part, reply_to: Some(job.id) },
    };
    let mut operation = format!("reply.{at}");
    if planted(Bug::KeyChanges) {
        operation.push_str(&format!(".{}", job.row.parts.get(at).map_or(0, |p| tries(&p.state))));
    }
    let key = IdempotencyKey::of(job.id, &operation)
        .map_err(|e| Error::new(ErrorKind::Unclassified, e.to_string()))?;
    Ok(Call::outbound(Context::new(job.tenant.clone()), channel, outbound).with_key(key))
}

/// Marks the part as on its way, sends it, and says what is known.
async fn send(
    inner: &Arc<Inner>,
    job: &mut ReplyJob,
    channel: &dyn Channel,
    call: Call<Outbound>,
    at: usize,
    state: &EffectState,
) -> Result<Next> {
    let tries = tries(state);
    if tries >= inner.config.send_attempts {
        // Crashes took the attempts, or the letter of the last one could not be written.
        let e = Error::new(ErrorKind::Unavailable, "the attempts are spent");
        return give_up(inner, job, shelf_of(state), &e).await;
    }
    let deadline = Instant::now() + inner.config.send_timeout;
    let context = call.context().clone().with_deadline(deadline).at_attempt(tries + 1);
    let call = call.with_context(context);
    move_part(job, at, Event::Dispatch { at: inner.env.now() })?;
    // A pure send may be repeated: nothing has to be known about it.
    if call.effect() != Effect::Pure
        && !planted(Bug::SendUndispatched)
        && let Err(e) = job.write(inner, "dispatch", None).await
    {
        // Nothing was sent: the part is what it was.
        if let Some(part) = job.row.parts.get_mut(at) {
            part.state = state.clone();
        }
        return Err(e);
    }
    let late = || {
        Error::new(ErrorKind::Timeout, "the channel did not answer in time")
            .with_happened(Happened::Maybe)
    };
    let outcome =
        tokio::time::timeout_at(deadline, caught("the channel", channel.send(call))).await;
    match outcome.unwrap_or_else(|_| Err(late())) {
        Ok(receipt) => {
            move_part(job, at, Event::Succeeded(sent(&receipt)))?;
            Ok(Next::Again)
        }
        Err(e) => {
            tracing::warn!(message = %job.id, part = at, error = %e, "a send failed");
            failed(inner, job, at, tries, e).await
        }
    }
}

async fn failed(
    inner: &Arc<Inner>,
    job: &mut ReplyJob,
    at: usize,
    tries: u32,
    e: Error,
) -> Result<Next> {
    let last = tries + 1 >= inner.config.send_attempts || e.is_exhausted();
    match e.happened() {
        Happened::Yes => {
            move_part(job, at, Event::Succeeded(sent(&Receipt::default())))?;
            Ok(Next::Again)
        }
        Happened::No => {
            move_part(job, at, Event::NotSent)?;
            if last || !e.kind().is_transient() {
                // An earlier try may have gone out.
                let shelf = job.row.parts.get(at).map_or(Shelf::Dead, |part| shelf_of(&part.state));
                return give_up(inner, job, shelf, &e).await;
            }
            let pause = pause(inner, tries, &e);
            if e.retry_after().is_some() {
                // What the platform asks for holds behind a lost commit and a restart, too.
                job.row.due = Some(inner.env.now().after(pause));
            }
            job.write(inner, "attempt", None).await?;
            Ok(Next::Pause(pause))
        }
        Happened::Maybe => {
            move_part(job, at, Event::Lost)?;
            let entry = AuditEntry::new(
                inner.env.now(),
                AuditAction::EffectUnknown,
                job.id,
                format!("reply.{at}"),
            );
            if last {
                return give_up(inner, job, Shelf::Parked, &e).await;
            }
            job.write(inner, "attempt", Some(entry.because(e.kind().code()))).await?;
            let at_most_once = inner
                .channels
                .get(&job.row.to.channel)
                .is_some_and(|channel| channel.capabilities().post == Effect::AtMostOnce);
            Ok(if at_most_once { Next::Again } else { Next::Pause(pause(inner, tries, &e)) })
        }
    }
}

/// What is in doubt is parked, where a person decides; what surely did not go out is dead.
const fn shelf_of(state: &EffectState) -> Shelf {
    if state.is_in_doubt() { Shelf::Parked } else { Shelf::Dead }
}

fn pause(inner: &Inner, tries: u32, e: &Error) -> Duration {
    let doubled = inner.config.send_pause.saturating_mul(1 << tries.min(16));
    let asked = e.retry_after().filter(|_| !planted(Bug::RetryAfterIgnored));
    doubled.max(asked.unwrap_or_default())
}

const fn tries(state: &EffectState) -> u32 {
    match state {
        EffectState::Claimed { tries } => *tries,
        EffectState::Dispatching { tries, .. } | EffectState::Unknown { tries, .. } => *tries + 1,
        _ => 0,
    }
}

async fn reconcile(
    inner: &Arc<Inner>,
    job: &mut ReplyJob,
    channel: &dyn Channel,
    call: &Call<Outbound>,
    at: usize,
    state: &EffectState,
) -> Result<Next> {
    let (
        Some(hook),
        Some(key),
        EffectState::Dispatching { first_at, .. } | EffectState::Unknown { first_at, .. },
    ) = (channel.reconcile(), call.key(), state)
    else {
        return stuck(inner, job, at, UNKNOWABLE).await;
    };
    let request = serde_json::to_value(call.payload()).unwrap_or_default();
    let intent = Intent::new(key.clone(), call.target(), Arc::new(request), *first_at);
    let asked = caught("the reconcile hook", hook.reconcile(&intent));
    let limit = inner.config.send_timeout;
    let answer = tokio::time::timeout(limit, asked).await;
    let answer =
        answer.unwrap_or(Ok(Reconciled::NotYetKnown { retry_after: inner.config.send_pause }));
    match answer.map(heard) {
        Ok(Reconciled::Happened(receipt)) => {
            move_part(job, at, Event::Succeeded(SkillAnswer::Done(receipt)))?;
            Ok(Next::Again)
        }
        Ok(Reconciled::DidNotHappen) => {
            move_part(job, at, Event::DidNotHappen)?;
            job.write(inner, "reconcile", None).await?;
            Ok(Next::Again)
        }
        Ok(Reconciled::NotYetKnown { .. }) | Err(_)
            if tries(state) >= inner.config.send_attempts =>
        {
            stuck(inner, job, at, "its owner still does not know whether it went out").await
        }
        Ok(Reconciled::NotYetKnown { retry_after }) => {
            move_part(job, at, Event::Lost)?;
            Ok(Next::Pause(retry_after.max(inner.config.send_pause)))
        }
        Err(e) => {
            move_part(job, at, Event::Lost)?;
            Ok(Next::Pause(pause(inner, tries(state), &e)))
        }
        Ok(Reconciled::CannotKnow) => stuck(inner, job, at, UNKNOWABLE).await,
    }
}

const UNKNOWABLE: &str = "nobody can tell whether it went out";

/// Parks a reply whose part is in doubt.
async fn stuck(inner: &Inner, job: &mut ReplyJob, at: usize, why: &str) -> Result<Next> {
    move_part(job, at, Event::Park(why.into()))?;
    give_up(inner, job, Shelf::Parked, &Error::new(ErrorKind::Conflict, why.to_owned())).await
}

fn move_part(job: &mut ReplyJob, at: usize, event: Event) -> Result<()> {
    let missing = || Error::new(ErrorKind::Unclassified, "the reply has no such part");
    let part = job.row.parts.get_mut(at).ok_or_else(missing)?;
    part.state =
        part.state.after(event).map_err(|e| Error::new(ErrorKind::Conflict, e.to_string()))?;
    Ok(())
}

/// The last commit of a reply, tried until the store takes it or the gateway stops.
async fn finish(inner: &Inner, mut job: ReplyJob) {
    loop {
        let mut ops = job.row.store(&job.tenant, job.id, inner.env.now());
        let apart =
            if planted(Bug::DoneApart) { ops.as_mut().ok().and_then(Vec::pop) } else { None };
        let outcome = match ops {
            Ok(ops) => inner.commit(job.txn(inner, "done").ops(ops)).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(_) => {
                if let Some(op) = apart {
                    inner.commit(Txn::new("clear").op(op)).await.ok();
                }
                return inner.finished(job.id);
            }
            Err(_) if inner.is_fenced() => return,
            Err(e) => not_taken(job.id, &e),
        }
        let stopping = inner.pause(inner.config.send_pause).await;
        // The commit whose answer was lost may have been applied.
        if matches!(look_again(inner, &mut job).await, Next::Gone) {
            return inner.finished(job.id);
        }
        if stopping {
            return inner.leave_one();
        }
    }
}

fn not_taken(message: MessageId, error: &Error) {
    tracing::error!(%message, %error, "the store does not take a receipt");
}

async fn give_up(inner: &Inner, job: &ReplyJob, shelf: Shelf, error: &Error) -> Result<Next> {
    let letter = LetterRow {
        row: Some(Live::Reply(job.row.clone())),
        refused: None,
        kind: error.kind(),
        reason: error.message().into(),
        attempts: job.row.parts.iter().map(|part| tries(&part.state)).max().unwrap_or_default(),
        at: inner.env.now(),
    };
    let ops = shelve(shelf, &job.tenant, job.id, &letter, job.row.to.channel.as_str())?;
    inner.commit(job.txn(inner, "shelve").ops(ops)).await?;
    Ok(Next::Gone)
}
