//! A job as its owner sees it.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Happened, InvalidId, MessageId, Result, Timestamp,
    records::{EffectState, jobs},
    skill::SkillAnswer,
};

/// Names a job of a queue; of use only together with its tenant.
///
/// ```
/// use openclaw_core::middleware::JobId;
///
/// let id: JobId = "00000000000000000000000001".parse()?;
/// assert_eq!(id.to_string(), "00000000000000000000000001");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(super) MessageId);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

/// A job as it stands in the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The queue it is in.
    pub queue: Arc<str>,
    /// What it calls.
    pub target: Arc<str>,
    /// When it came.
    pub submitted_at: Timestamp,
    /// When it is looked at next; of no meaning behind its end.
    pub due: Timestamp,
    /// Is somebody running it, as far as is known?
    pub is_running: bool,
    /// Attempts that failed.
    pub failed: u32,
    /// Where its effect stands.
    pub state: EffectState,
}

impl Job {
    pub(super) fn of(job: jobs::Job) -> Self {
        let jobs::Job { id, row, .. } = job;
        Self {
            id: JobId(id),
            queue: row.queue,
            target: row.call.target,
            submitted_at: row.submitted_at,
            due: row.due,
            is_running: row.owner.is_some(),
            failed: row.failed,
            state: row.call.state,
        }
    }

    /// What came of it; `None` while it is not finished.
    ///
    /// # Errors
    /// The error that it ended with, without its context; `CONFLICT` when it is parked.
    pub fn result(&self) -> Result<Option<SkillAnswer>> {
        match &self.state {
            EffectState::Done { answer } => Ok(Some(answer.clone())),
            EffectState::Failed { kind, message, happened } => {
                Err(Error::new(*kind, message.to_string())
                    .with_happened(*happened)
                    .with("job", self.id))
            }
            EffectState::Parked { reason, .. } => {
                Err(Error::new(ErrorKind::Conflict, format!("parked: {reason}"))
                    .with_happened(Happened::Maybe)
                    .with("job", self.id))
            }
            _ => Ok(None),
        }
    }
}
