//! Delivery: each part of a reply is an effect; replies go out in order, a conversation at a time.

use std::{sync::Arc, time::Duration};

use super::{
    Inner, LONGEST_WAIT,
    reply_job::ReplyJob,
    tries::{Came, Tries, pause, tries},
};
use crate::{
    Call, Context, Effect, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Result,
    channel::{Channel, Intent, Outbound, Reconciled},
    records::{
        commit,
        dead_letters::{LetterRow, Shelf, shelve},
        ledger::{EffectState, Event, Plan, heard, plan},
        live::{Live, live_key},
    },
    skill::SkillAnswer,
    store::{Key, Txn},
    words::caught::caught,
    words::cut::words_of,
    words::planted::{Bug, planted},
};

/// What to do with a reply next.
enum Next {
    /// Look at it again.
    Again,
    /// Look at it again after a pause.
    Pause(Duration),
    /// Look at it again after a pause; others may use its place meanwhile.
    Wait(Duration),
    /// The gateway stops.
    Left,
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
            Next::Pause(span) | Next::Wait(span) => {
                let aside = matches!(next, Next::Wait(_));
                if rest(&inner, &lane, &mut job, span, aside).await == Rested::Over {
                    return;
                }
            }
            Next::Left => return inner.reply_left(&lane),
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
#[derive(PartialEq, Eq)]
enum Rested {
    GoOn,
    /// The reply is in the store, until its date or the next start; its lane is held.
    Over,
}

/// Waits: a short while in memory, a long one in the store.
async fn rest(
    inner: &Arc<Inner>,
    lane: &Key,
    job: &mut ReplyJob,
    span: Duration,
    aside: bool,
) -> Rested {
    let mut span = span;
    if span > inner.config.defer {
        if job.defer(inner, lane, span).await.is_ok() {
            return Rested::Over;
        }
        span = inner.config.send_pause;
    }
    let stopped = if aside {
        inner.step_aside(&inner.replies, lane, span).await
    } else {
        inner.pause(span).await
    };
    if stopped {
        inner.reply_left(lane);
        return Rested::Over;
    }
    Rested::GoOn
}

/// Reads the version again: a commit whose answer was lost may have been applied.
///
/// What was sent is known better here than in the row: the job keeps its state.
async fn look_again(inner: &Inner, job: &mut ReplyJob) -> Next {
    match commit::read::<Live>(&*inner.store, &live_key(&job.tenant, job.id)).await {
        Ok(Some((_, version))) => job.found(version),
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
        // Our clock may have been set back since.
        return Ok(Next::Pause(wait.min(inner.config.longest_wait)));
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
        Plan::Dispatch => send(inner, job, &**channel, call, at).await,
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

/// Tries to send a part, and says what follows.
async fn send(
    inner: &Arc<Inner>,
    job: &mut ReplyJob,
    channel: &dyn Channel,
    call: Call<Outbound>,
    at: usize,
) -> Result<Next> {
    match Tries::new(inner, channel, job, at).run(call).await? {
        Came::Out => Ok(Next::Again),
        Came::Left => Ok(Next::Left),
        Came::Refused(e) => {
            tracing::debug!(message = %job.id, part = at, error = %e, "a send has to wait");
            Ok(Next::Wait(pause(inner, 0, &e).min(LONGEST_WAIT)))
        }
        Came::Final(e) => {
            // An earlier try may have gone out.
            let shelf = job.state(at).map_or(Shelf::Dead, shelf_of);
            give_up(inner, job, shelf, &e).await
        }
        Came::Failed(e) => {
            let in_doubt = e.happened() == Happened::Maybe
                && job.state(at).is_some_and(EffectState::is_in_doubt);
            if in_doubt && channel.capabilities().post == Effect::AtMostOnce {
                return Ok(Next::Again);
            }
            let before = job.state(at).map_or(0, tries).saturating_sub(1);
            Ok(Next::Pause(pause(inner, before, &e)))
        }
    }
}

/// What is in doubt is parked, where a person decides; what surely did not go out is dead.
const fn shelf_of(state: &EffectState) -> Shelf {
    if state.is_in_doubt() { Shelf::Parked } else { Shelf::Dead }
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
            job.step(at, Event::Succeeded(SkillAnswer::Done(receipt)))?;
            Ok(Next::Again)
        }
        Ok(Reconciled::DidNotHappen) => {
            job.step(at, Event::DidNotHappen)?;
            job.write(inner, "reconcile", None).await?;
            Ok(Next::Again)
        }
        Ok(Reconciled::NotYetKnown { .. }) | Err(_)
            if tries(state) >= inner.config.send_attempts =>
        {
            stuck(inner, job, at, "its owner still does not know whether it went out").await
        }
        Ok(Reconciled::NotYetKnown { retry_after }) => {
            job.step(at, Event::Lost)?;
            let wait = retry_after.max(inner.config.send_pause);
            Ok(Next::Pause(wait.min(inner.config.longest_wait)))
        }
        Err(e) => {
            job.step(at, Event::Lost)?;
            Ok(Next::Pause(pause(inner, tries(state), &e)))
        }
        Ok(Reconciled::CannotKnow) => stuck(inner, job, at, UNKNOWABLE).await,
    }
}

const UNKNOWABLE: &str = "nobody can tell whether it went out";

/// Parks a reply whose part is in doubt.
async fn stuck(inner: &Inner, job: &mut ReplyJob, at: usize, why: &str) -> Result<Next> {
    job.step(at, Event::Park(why.into()))?;
    give_up(inner, job, Shelf::Parked, &Error::new(ErrorKind::Conflict, why.to_owned())).await
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
        reason: words_of(error),
        attempts: job.row.parts.iter().map(|part| tries(&part.state)).max().unwrap_or_default(),
        at: inner.env.now(),
    };
    let ops = shelve(shelf, &job.tenant, job.id, &letter, job.row.to.channel.as_str())?;
    inner.commit(job.txn(inner, "shelve").ops(ops)).await?;
    Ok(Next::Gone)
}
