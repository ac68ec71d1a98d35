//! Turns: an agent answers one message, and one commit says what became of it.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    Inner, LONGEST_WAIT,
    ask::{Ask, Asked},
    doubled,
    effects::{Asker, TurnSkills},
    hints::Hints,
    lock,
    reply_job::ReplyJob,
};
use crate::{
    Call, Content, Context, Error, ErrorKind, MessageId, Payer, Result, TenantId, Trust,
    agent::{Agent, Answer, TurnRequest, Waiting},
    records::{
        Approvals,
        audit::{AuditAction, AuditEntry},
        commit::{self, unchanged},
        dead_letters::{LetterRow, Shelf, shelve},
        live::{Cause, DoneRow, Live, ReplyRow, TurnRow, live_key},
        outbox::finish,
        row::Row,
        seen::Seen,
        sessions::{self, session_key},
    },
    store::{Key, Op, Txn, Version},
    words::caught::caught_now,
    words::cut::words_of,
    words::planted::{Bug, planted},
};

/// The longest pause between two attempts at a turn, or at the commit of an answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause before an agent is asked again while the store takes nothing.
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(60);

/// A message that an agent has to answer.
#[derive(Debug)]
pub(super) struct TurnJob {
    pub(super) tenant: TenantId,
    pub(super) id: MessageId,
    version: Version,
    partition: u16,
    row: TurnRow,
    /// An earlier run may have asked for effects.
    again: bool,
}

/// A place in a lane.
#[derive(Debug)]
pub(super) enum Place {
    /// A message stands here.
    Taken(TurnJob),
    /// Kept for a message that is looked for: nothing behind it starts before that is known.
    Kept(oneshot::Receiver<Option<TurnJob>>),
}

/// What an attempt came to.
enum Attempt {
    Answered(Answered),
    /// The agent gave up, because a person has to approve first.
    Waits(Arc<str>),
    Parked(Arc<str>),
    Failed(Error),
    /// The store does not answer: nobody's attempt.
    Stalled(Error),
    /// The agent's stack refused: nobody's attempt either.
    Refused(Error),
}

/// An answer, with what goes into its commit.
struct Answered {
    answer: Answer,
    session: Option<Arc<Value>>,
    /// The platform's id of a hint that the reply replaces.
    replaces: Option<Arc<str>>,
}

impl Answered {
    /// The agent gave up until a person has decided.
    const fn waits(approval: Arc<str>) -> Self {
        let answer = Answer::Suspended(Waiting::Approval { approval });
        Self { answer, session: None, replaces: None }
    }
}

/// What follows an attempt.
#[expect(clippy::large_enum_variant, reason = "it is moved once, and a box would be allocated")]
enum Next {
    /// The turn has ended; its reply, when there is one, is still to go out.
    Ended(Option<ReplyJob>),
    /// Another attempt, after this pause.
    Again(Duration),
}

impl TurnJob {
    pub(super) const fn new(
        tenant: TenantId,
        id: MessageId,
        version: Version,
        partition: u16,
        row: TurnRow,
        again: bool,
    ) -> Self {
        Self { tenant, id, version, partition, row, again }
    }

    /// A transaction that loses when the row was changed or another gateway took over.
    fn txn(&self, inner: &Inner, label: &'static str) -> Txn {
        Txn::new(label)
            .guard(inner.fences.guard(self.partition))
            .guard(unchanged(live_key(&self.tenant, self.id), self.version))
    }

    fn entry(&self, inner: &Inner, action: AuditAction) -> AuditEntry {
        AuditEntry::new(inner.env.now(), action, self.id, self.row.agent.as_str())
    }
}

/// The gateway stops before the turn has ended: the row is for the next start.
struct Left;

impl Place {
    /// The message of this place, once it is known; `None` when there is none.
    async fn message(self) -> Result<Option<TurnJob>, Left> {
        match self {
            Self::Taken(job) => Ok(Some(job)),
            Self::Kept(found) => found.await.map_err(|_given_up| Left),
        }
    }
}

/// Runs a message to its end: answered, suspended, dead or parked. Then its lane is free.
pub(super) async fn run(inner: Arc<Inner>, lane: Key, place: Place) {
    let job = match place.message().await {
        Ok(Some(job)) => job,
        Ok(None) => return inner.turn_ended(&lane),
        Err(Left) => return inner.turn_left(&lane),
    };
    if planted(Bug::LaneFreedEarly) {
        inner.turn_ended(&lane);
    }
    match conclude(&inner, &lane, job).await {
        Ok(Some(reply)) => {
            // The reply is queued before the lane is free: the next reply can't overtake it.
            let (tenant, to) = (reply.tenant.clone(), session_key(&reply.tenant, &reply.row.to));
            lock(&inner.replies).push(&tenant, &to, reply);
            inner.turn_ended(&lane);
            inner.deliver_next().await;
        }
        Ok(None) => inner.turn_ended(&lane),
        Err(Left) => inner.turn_left(&lane),
    }
}

async fn conclude(
    inner: &Arc<Inner>,
    lane: &Key,
    mut job: TurnJob,
) -> Result<Option<ReplyJob>, Left> {
    // An answer that the store has not taken yet, and how often in a row it took nothing.
    let (mut in_hand, mut untaken) = (None, 0);
    loop {
        let attempt = match in_hand.take() {
            Some(given) => Attempt::Answered(given),
            None => attempt(inner, lane, &job).await,
        };
        let outcome = match attempt {
            Attempt::Answered(given) => answered(inner, lane, &mut job, given, &mut in_hand).await,
            Attempt::Waits(approval) => {
                let given = Answered::waits(approval);
                answered(inner, lane, &mut job, given, &mut in_hand).await
            }
            Attempt::Parked(reason) => {
                let e = Error::new(ErrorKind::Conflict, reason.to_string());
                shelved(inner, &job, Shelf::Parked, &e).await
            }
            Attempt::Failed(e) => fail(inner, &mut job, e).await,
            Attempt::Stalled(e) if planted(Bug::OutageCounted) => fail(inner, &mut job, e).await,
            Attempt::Stalled(e) => Err(e),
            Attempt::Refused(e) => {
                wait(inner, lane, &job, &e).await?;
                continue;
            }
        };
        job.again = true;
        let pause = match outcome {
            Ok(Next::Ended(reply)) => return Ok(reply),
            Ok(Next::Again(pause)) => {
                untaken = 0;
                pause
            }
            Err(_) if inner.is_fenced() => return Err(Left),
            Err(e) => {
                // The row stays as it is: the next attempt, or the next start, finds it.
                not_taken(job.id, &e);
                untaken += 1;
                let asks = in_hand.is_none();
                let longest = if asks { LONGEST_OUTAGE_PAUSE } else { LONGEST_PAUSE };
                doubled(inner.config.turn_pause, untaken - 1, longest)
            }
        };
        if inner.pause(pause).await {
            return Err(Left);
        }
        if let Some(end) = look_again(inner, &mut job).await {
            return Ok(end);
        }
    }
}

fn not_taken(message: MessageId, error: &Error) {
    tracing::error!(%message, %error, "the store does not take the state of a turn");
}

/// Waits for what refused a turn, with its place free for another conversation.
async fn wait(inner: &Arc<Inner>, lane: &Key, job: &TurnJob, e: &Error) -> Result<(), Left> {
    tracing::debug!(message = %job.id, agent = %job.row.agent, error = %e, "a turn has to wait");
    let span = e.retry_after().unwrap_or_default();
    let span = span.max(inner.config.turn_pause).min(LONGEST_WAIT);
    if inner.step_aside(&inner.turns, lane, span).await { Err(Left) } else { Ok(()) }
}

/// Reads the row again: a commit whose answer was lost may have been applied.
async fn look_again(inner: &Inner, job: &mut TurnJob) -> Option<Option<ReplyJob>> {
    let key = live_key(&job.tenant, job.id);
    match commit::read::<Live>(&*inner.store, &key).await {
        // Suspended, or resumed since: whoever resumed it has put it into its lane.
        Ok(Some((Live::Turn(row), _)))
            if row.waiting.is_some() || row.resolution != job.row.resolution =>
        {
            inner.watch_approval(&job.tenant, job.id, row.waiting.as_ref());
            Some(None)
        }
        Ok(Some((Live::Turn(row), version))) => {
            (job.row, job.version) = (row, version);
            None
        }
        Ok(Some((Live::Reply(row), version))) => {
            let reply = ReplyJob::new(job.tenant.clone(), job.id, version, job.partition, row);
            Some(Some(reply))
        }
        Ok(None) => {
            inner.finished(job.id);
            Some(None)
        }
        // The store is still away: the next attempt finds out.
        Err(_) => None,
    }
}

/// One attempt: the session, the skills, the agent within its time.
async fn attempt(inner: &Arc<Inner>, lane: &Key, job: &TurnJob) -> Attempt {
    let Some(agent) = inner.agents.get(&job.row.agent) else {
        return Attempt::Failed(Error::new(ErrorKind::NotFound, "the agent is not here any more"));
    };
    let session = match sessions::read(&*inner.store, lane).await {
        Ok(session) => session,
        Err(e) => return Attempt::Stalled(e),
    };
    let keep = inner.config.retention.sessions;
    let fence = inner.fences.guard(job.partition);
    let envelope = &job.row.envelope;
    let payer = Payer::new().of_agent(job.row.agent.clone()).in_run(job.id);
    let payer = Arc::new(payer.in_session(envelope.conversation.session()));
    let asker = Asker {
        agent: job.row.agent.clone(),
        sender: Arc::clone(&envelope.sender.id),
        payer: Arc::clone(&payer),
    };
    let turn = (job.tenant.clone(), job.id);
    let skills = TurnSkills::new(Arc::clone(inner), turn, asker, fence, (lane, job.again));
    let used = Arc::clone(&session.value);
    let used = Some(used).filter(|_| session.is_stale(keep, inner.env.now()));
    let call = request(&**agent, job, session.value, payer);
    let hints = Hints::open(inner, &job.tenant, &job.row.envelope.conversation, job.id);
    let ask = Ask { inner, agent: &**agent, skills: &skills, hints: hints.as_ref() };
    let Asked { outcome, write } = ask.run(call).await;
    let Some(write) = write else {
        let never = || Error::new(ErrorKind::Unclassified, "the agent was not asked");
        return Attempt::Refused(outcome.err().unwrap_or_else(never));
    };
    let mut attempt = judge(inner, job, &skills, outcome).await;
    if let Attempt::Answered(given) = &mut attempt {
        given.session = write.take().or(used);
    } else if planted(Bug::SessionOfFailed)
        && let Some(Ok(op)) =
            write.take().map(|value| sessions::write(lane.clone(), value, inner.env.now()))
    {
        inner.commit(Txn::new("session").op(op)).await.ok();
    }
    if let Some(hints) = hints {
        settle_hint(&hints, &mut attempt).await;
    }
    attempt
}

/// What an attempt came to, whatever the agent makes of the errors it saw.
async fn judge(
    inner: &Inner,
    job: &TurnJob,
    skills: &TurnSkills,
    handled: Result<Answer>,
) -> Attempt {
    if let Some(reason) = skills.verdict() {
        return Attempt::Parked(reason);
    }
    match handled {
        // An effect's record could not be written: the answer may rest on it.
        Ok(_) if skills.stalled() => {
            Attempt::Stalled(Error::new(ErrorKind::Unavailable, "the ledger could not be written"))
        }
        Ok(_) if skills.in_doubt() => {
            // The agent made light of it: asked again, the effect is reconciled or parked.
            Attempt::Failed(Error::new(
                ErrorKind::Unavailable,
                "the outcome of an effect is unknown",
            ))
        }
        Ok(answer) => match orphan(inner, job, skills, &answer).await {
            Ok(None) => Attempt::Answered(Answered { answer, session: None, replaces: None }),
            Ok(Some(instead)) => instead,
            Err(e) => Attempt::Stalled(e),
        },
        Err(e) if skills.stalled() => Attempt::Stalled(e),
        Err(e) => match skills.waits().filter(|_| e.kind() == ErrorKind::ApprovalRequired) {
            Some(approval) => Attempt::Waits(approval),
            None => Attempt::Failed(e),
        },
    }
}

/// The reply replaces a hint that was shown; without a reply the hint is taken back.
async fn settle_hint(hints: &Hints, attempt: &mut Attempt) {
    let Some(shown) = hints.close().await else { return };
    match attempt {
        Attempt::Answered(Answered { answer: Answer::Reply(_), replaces, .. }) => {
            *replaces = Some(shown).filter(|_| !planted(Bug::HintNotReplaced));
        }
        _ => hints.withdraw(shown).await,
    }
}

fn request(
    agent: &dyn Agent,
    job: &TurnJob,
    session: Arc<Value>,
    payer: Arc<Payer>,
) -> Call<TurnRequest> {
    let mut context = Context::new(job.tenant.clone())
        .with_payer(payer)
        .with_trust(if job.row.envelope.sender.verified { Trust::User } else { Trust::Untrusted })
        .at_attempt(job.row.failed + 1);
    if let Some(trace) = &job.row.envelope.traceparent {
        context = context.with_trace(trace.clone());
    }
    let mut request = TurnRequest::new(job.id, Arc::clone(&job.row.envelope), session);
    request.resolution.clone_from(&job.row.resolution);
    Call::agent(context, agent, request)
}

/// What an attempt comes to instead of its answer: an effect is in doubt that this run did not wait
/// for, or that it did not ask for again; or it waits for what is decided.
async fn orphan(
    inner: &Inner,
    job: &TurnJob,
    skills: &TurnSkills,
    answer: &Answer,
) -> Result<Option<Attempt>> {
    if let Answer::Suspended(Waiting::Approval { approval }) = answer
        && Approvals::new(Arc::clone(&inner.store), job.tenant.clone())
            .is_decided(approval, job.id)
            .await?
    {
        let why = "the agent waits for an approval that is decided";
        return Ok(Some(Attempt::Failed(Error::new(ErrorKind::ApprovalRequired, why))));
    }
    let unheard = skills.unheard();
    if !job.again && unheard.is_empty() {
        return Ok(None);
    }
    let ledger = crate::records::Ledger::new(Arc::clone(&inner.store), job.tenant.clone());
    let effects = ledger.of_turn(job.id).await?;
    let mut doubts = effects.iter().filter(|(_, record)| record.state.is_in_doubt());
    if doubts.clone().any(|(operation, _)| unheard.contains(operation)) {
        // Asked again, it is reconciled or parked.
        let why = "the agent did not wait for an effect, whose outcome is unknown";
        return Ok(Some(Attempt::Failed(Error::new(ErrorKind::Unavailable, why))));
    }
    let orphan = doubts.find(|(operation, _)| !skills.asked(operation));
    Ok(orphan.map(|(operation, _)| {
        let why = "the agent did not ask again for";
        Attempt::Parked(format!("{why} {operation:?}, whose outcome is unknown").into())
    }))
}

/// The end of an answered turn. An answer that can't be kept is a failed attempt.
///
/// While the store is away the answer stays in hand: its agent is not asked again.
async fn answered(
    inner: &Arc<Inner>,
    lane: &Key,
    job: &mut TurnJob,
    given: Answered,
    in_hand: &mut Option<Answered>,
) -> Result<Next> {
    match record(inner, lane, job, &given).await {
        Ok(reply) => Ok(Next::Ended(reply)),
        Err(e) if e.kind().is_transient() || inner.is_fenced() => {
            *in_hand = Some(given);
            Err(e)
        }
        Err(e) => fail(inner, job, e).await,
    }
}

/// The one commit of an answered turn. The reply, when there is one, is still to go out.
async fn record(
    inner: &Arc<Inner>,
    lane: &Key,
    job: &TurnJob,
    given: &Answered,
) -> Result<Option<ReplyJob>> {
    let Answered { answer, session, replaces } = given;
    let sends = planted(Bug::SilentSends) && matches!(answer, Answer::Silent);
    let empty = sends.then(|| Answer::text(""));
    let answer = empty.as_ref().unwrap_or(answer);
    let mut ops: Vec<Op> = Vec::with_capacity(4);
    let (mut reply, mut waits) = (None, None);
    let action = match answer {
        Answer::Reply(content) => {
            let row = render(inner, job, content, replaces.clone())?;
            ops.push(Op::put(live_key(&job.tenant, job.id), Live::Reply(row.clone()).encode()?));
            reply = Some(row);
            AuditAction::Replied
        }
        Answer::Silent => {
            let seen = Seen::of(&job.tenant, &job.row.envelope);
            ops.extend(finish(&job.tenant, job.id, &DoneRow::silent(inner.env.now(), seen))?);
            AuditAction::Silent
        }
        Answer::Suspended(waiting) => {
            waits = Some(waiting.clone());
            let waiting = Some(waiting.clone());
            let row = TurnRow { waiting, resolution: None, ..job.row.clone() };
            ops.push(Op::put(live_key(&job.tenant, job.id), Live::Turn(row).encode()?));
            AuditAction::Suspended
        }
    };
    let silent = action == AuditAction::Silent;
    if let Some(value) = session.clone().filter(|_| !planted(Bug::SessionLost)) {
        ops.push(sessions::write(lane.clone(), value, inner.env.now())?);
    }
    ops.push(job.entry(inner, action).append(&job.tenant)?);
    let apart = if planted(Bug::AuditApart) { ops.pop() } else { None };
    let applied = inner.commit(job.txn(inner, "turn").ops(ops)).await?;
    if let Some(entry) = apart {
        inner.commit(Txn::new("audit").op(entry)).await.ok();
    }
    if silent {
        inner.finished(job.id);
    }
    inner.watch_approval(&job.tenant, job.id, waits.as_ref());
    Ok(reply
        .map(|row| ReplyJob::new(job.tenant.clone(), job.id, applied.version, job.partition, row)))
}

fn render(
    inner: &Inner,
    job: &TurnJob,
    content: &Content,
    replaces: Option<Arc<str>>,
) -> Result<ReplyRow> {
    let to = job.row.envelope.conversation.clone();
    let gone = || {
        Error::new(ErrorKind::NotFound, "the channel is not here any more")
            .with("channel", &to.channel)
    };
    let channel = inner.channels.get(&to.channel).ok_or_else(gone)?;
    let parts = caught_now("the channel's render", || channel.render(content))?;
    let seen = Seen::of(&job.tenant, &job.row.envelope);
    Ok(ReplyRow::new(to, Cause::Turn, inner.next_reply(), parts, replaces, seen))
}

/// Counts a failed attempt; after the last one the message is a letter.
async fn fail(inner: &Inner, job: &mut TurnJob, error: Error) -> Result<Next> {
    tracing::warn!(message = %job.id, agent = %job.row.agent, error = %error, "a turn failed");
    let before = job.row.clone();
    job.row.failed += 1;
    job.row.error = Some(words_of(&error));
    let counted = count(inner, job, &error).await;
    if counted.is_err() {
        // What is not stored did not happen: the attempt is made again, not counted twice.
        job.row = before;
    }
    counted
}

async fn count(inner: &Inner, job: &mut TurnJob, error: &Error) -> Result<Next> {
    let spent = job.row.failed >= inner.config.turn_attempts && !planted(Bug::NeverGivesUp);
    if spent || is_final(error) {
        // An effect in doubt has to be seen by a person: such a message is parked instead.
        let ledger = crate::records::Ledger::new(Arc::clone(&inner.store), job.tenant.clone());
        let in_doubt =
            ledger.of_turn(job.id).await?.iter().any(|(_, effect)| effect.state.is_in_doubt());
        let shelf = if in_doubt { Shelf::Parked } else { Shelf::Dead };
        return shelved(inner, job, shelf, error).await;
    }
    let row = Live::Turn(job.row.clone()).encode()?;
    let txn = job.txn(inner, "attempt").op(Op::put(live_key(&job.tenant, job.id), row));
    job.version = inner.commit(txn).await?.version;
    let doubled = doubled(inner.config.turn_pause, job.row.failed - 1, LONGEST_PAUSE);
    let asked = error.retry_after().filter(|_| !planted(Bug::RetryAfterIgnored));
    let asked = asked.unwrap_or_default().min(inner.config.defer);
    Ok(Next::Again(doubled.max(asked)))
}

/// Is another attempt of no use?
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ValidationError | ErrorKind::Unsupported | ErrorKind::PermissionDenied
    ) || error.is_exhausted()
}

async fn shelved(inner: &Inner, job: &TurnJob, shelf: Shelf, error: &Error) -> Result<Next> {
    let letter = LetterRow {
        row: Some(Live::Turn(job.row.clone())),
        refused: None,
        kind: error.kind(),
        reason: words_of(error),
        attempts: job.row.failed,
        at: inner.env.now(),
    };
    let ops = shelve(shelf, &job.tenant, job.id, &letter, job.row.agent.as_str())?;
    inner.commit(job.txn(inner, "shelve").ops(ops)).await?;
    inner.finished(job.id);
    Ok(Next::Ended(None))
}
