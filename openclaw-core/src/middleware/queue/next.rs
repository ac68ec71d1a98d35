//! What becomes of a job next: pure functions of its row, what happened, and the date.

use std::{sync::Arc, time::Duration};

use crate::{
    Effect, Error, ErrorKind, Happened, Refusal, Result, Timestamp,
    channel::Reconciled,
    records::{
        EffectState, Event, Plan,
        audit::AuditAction,
        jobs::JobRow,
        ledger::{heard, plan},
    },
    skill::SkillAnswer,
};

/// How one attempt ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The service answered.
    Called(Result<SkillAnswer, Arc<Error>>),
    /// The owner of an effect in doubt was asked; `None` when it does not answer.
    Asked(Option<Reconciled>),
}

/// What has to be done with a job whose turn has come.
#[derive(Debug)]
pub(super) enum Turn {
    /// Call the service.
    Call(JobRow),
    /// Ask the owner of the effect.
    Ask(JobRow),
    /// Nothing any more.
    End(JobRow),
}

/// The job when somebody takes it in hand.
pub(super) fn begin(
    row: &JobRow,
    owner: u64,
    attempts: u32,
    lease: Duration,
    now: Timestamp,
) -> Result<Turn> {
    let mut row = row.clone();
    // Its owner did not come back: an attempt that kills the process must not do it for ever.
    if row.owner.is_some() {
        row.failed = row.failed.saturating_add(1);
    }
    let next = plan(&row.call.state, row.call.effect, now);
    if let Plan::Park(reason) = next {
        return end(row, Event::Park(reason.into())).map(Turn::End);
    }
    if let Some(e) = over(&row, attempts, now) {
        return spend(row, e).map(Turn::End);
    }
    let taken = |row: JobRow| JobRow {
        owner: Some(owner),
        place: if row.owner.is_some() { row.place } else { row.due },
        due: now.after(lease),
        ..row
    };
    match next {
        Plan::Dispatch => {
            let call = row.call.after(Event::Dispatch { at: now })?;
            Ok(Turn::Call(taken(JobRow { call, ..row })))
        }
        Plan::Reconcile => Ok(Turn::Ask(taken(row))),
        Plan::Replay | Plan::Park(_) => Ok(Turn::End(JobRow { owner: None, ..row })),
    }
}

/// Why a job is not worth another attempt.
fn over(row: &JobRow, attempts: u32, now: Timestamp) -> Option<Error> {
    if row.until.is_some_and(|until| until <= now) {
        return Some(Error::new(ErrorKind::Timeout, "the job's deadline has passed"));
    }
    (row.failed >= attempts).then(|| {
        Error::new(ErrorKind::Unavailable, "the attempts of the job are spent")
            .with("attempts", row.failed)
    })
}

/// The job behind an attempt.
pub(super) fn settle(
    row: &JobRow,
    outcome: Outcome,
    attempts: u32,
    pause: Duration,
    now: Timestamp,
) -> Result<JobRow> {
    match outcome {
        Outcome::Called(Ok(answer)) => end(row.clone(), Event::Succeeded(answer)),
        Outcome::Called(Err(e)) => failed(row, &e, attempts, pause, now),
        Outcome::Asked(heard) => asked(row, heard, pause, now),
    }
}

fn failed(
    row: &JobRow,
    e: &Arc<Error>,
    attempts: u32,
    pause: Duration,
    now: Timestamp,
) -> Result<JobRow> {
    let event = match e.happened() {
        Happened::Maybe => Event::Lost,
        Happened::No if e.kind().is_transient() => Event::NotSent,
        Happened::No | Happened::Yes => Event::Failed(Arc::clone(e)),
    };
    let call = row.call.after(event)?;
    let mut row = JobRow { call, owner: None, ..row.clone() };
    match plan(&row.call.state, row.call.effect, now) {
        Plan::Replay => return Ok(row),
        Plan::Park(reason) => return end(row, Event::Park(reason.into())),
        Plan::Dispatch | Plan::Reconcile => {}
    }
    if is_ours(e) {
        // The limits of this process said no: it keeps its turn, and has spent nothing.
        return Ok(JobRow { due: row.place, ..row });
    }
    row.failed = row.failed.saturating_add(1);
    row.pause = pause;
    if row.failed >= attempts || e.is_exhausted() {
        return spend_by(row, e);
    }
    Ok(later(row, pause.max(e.retry_after().unwrap_or_default()), now))
}

/// Did a limit of this process refuse it, for now?
pub(super) fn is_ours(e: &Error) -> bool {
    e.kind().is_transient()
        && e.kind() != ErrorKind::Timeout
        && e.refusal().is_some_and(Refusal::is_local)
}

fn asked(
    row: &JobRow,
    answer: Option<Reconciled>,
    pause: Duration,
    now: Timestamp,
) -> Result<JobRow> {
    let row = JobRow { owner: None, ..row.clone() };
    match answer.map(heard) {
        Some(Reconciled::Happened(output)) => end(row, Event::Succeeded(SkillAnswer::Done(output))),
        Some(Reconciled::DidNotHappen) => {
            let call = row.call.after(Event::DidNotHappen)?;
            Ok(later(JobRow { call, ..row }, Duration::ZERO, now))
        }
        Some(Reconciled::CannotKnow) => {
            end(row, Event::Park("nobody can tell whether it happened".into()))
        }
        Some(Reconciled::NotYetKnown { retry_after }) => unsettled(row, pause, retry_after, now),
        None => unsettled(row, pause, Duration::ZERO, now),
    }
}

fn unsettled(row: JobRow, pause: Duration, least: Duration, now: Timestamp) -> Result<JobRow> {
    let call = row.call.after(Event::Lost)?;
    let failed = row.failed.saturating_add(1);
    Ok(later(JobRow { call, failed, pause, ..row }, pause.max(least), now))
}

/// Puts it back; not behind its deadline, where it is ended.
fn later(row: JobRow, pause: Duration, now: Timestamp) -> JobRow {
    let due = now.after(pause);
    let due = row.until.map_or(due, |until| due.min(until.max(now)));
    JobRow { due, place: due, ..row }
}

fn end(row: JobRow, event: Event) -> Result<JobRow> {
    let call = row.call.after(event)?;
    Ok(JobRow { call, owner: None, ..row })
}

/// The state by which a job is paid: a read that ends in doubt may have cost what it was to cost.
///
/// Without an outcome nobody knows how its last attempt ended.
pub(super) fn paid(from: &JobRow, to: &JobRow, outcome: Option<&Outcome>) -> EffectState {
    let doubt = match (&from.call.state, outcome) {
        (EffectState::Unknown { .. } | EffectState::Dispatching { doubt: true, .. }, _)
        | (EffectState::Dispatching { .. }, None) => true,
        (_, Some(Outcome::Called(Err(e)))) => e.happened() == Happened::Maybe,
        _ => false,
    };
    match to.call.state.clone() {
        EffectState::Failed { kind, message, happened: Happened::No }
            if doubt && to.call.effect == Effect::Pure =>
        {
            EffectState::Failed { kind, message, happened: Happened::Maybe }
        }
        state => state,
    }
}

/// The job whose budget is spent for good: it was not sent, and never will be.
pub(super) fn refuse(row: &JobRow, e: &Error) -> Result<JobRow> {
    let told = e.refusal().map_or_else(|| e.message().to_owned(), Refusal::to_string);
    let e = Error::new(e.kind(), told).with_happened(Happened::No);
    end(row.clone(), Event::Failed(Arc::new(e)))
}

/// Ends a job that gets no other attempt, by the error of the last.
fn spend_by(row: JobRow, last: &Error) -> Result<JobRow> {
    let why = Error::new(last.kind(), last.message().to_owned());
    spend(row, why)
}

/// Ends a job that gets no other attempt: failed when nothing happened, else parked.
fn spend(row: JobRow, why: Error) -> Result<JobRow> {
    let mut row = row;
    if matches!(row.call.state, EffectState::Dispatching { .. }) {
        row.call = row.call.after(Event::Lost)?;
    }
    match row.call.state {
        EffectState::Unknown { .. } if row.call.effect == Effect::Pure => {
            row.call = row.call.after(Event::DidNotHappen)?;
        }
        EffectState::Unknown { .. } => {
            let reason = format!("it may have happened, and {}", why.message());
            return end(row, Event::Park(reason.into()));
        }
        _ => {}
    }
    end(row, Event::Failed(Arc::new(why.with_happened(Happened::No))))
}

/// What the audit says of a step, when it says anything.
pub(super) fn action(before: &EffectState, after: &EffectState) -> Option<AuditAction> {
    if matches!(before, EffectState::Parked { .. }) {
        return Some(AuditAction::EffectDecided);
    }
    match after {
        EffectState::Done { .. } => Some(AuditAction::EffectDone),
        EffectState::Failed { .. } => Some(AuditAction::EffectFailed),
        EffectState::Parked { .. } => Some(AuditAction::Parked),
        EffectState::Unknown { .. } if !matches!(before, EffectState::Unknown { .. }) => {
            Some(AuditAction::EffectUnknown)
        }
        _ => None,
    }
}
