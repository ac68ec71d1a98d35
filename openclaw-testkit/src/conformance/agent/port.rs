//! The skills of one turn: what was asked for, and what comes back.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    Context, Error, ErrorKind, Result,
    skill::{JobTicket, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};
use serde_json::Value;

use super::Answers;

/// What the skills of a turn do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// They answer as the harness says.
    Answer,
    /// They fail with this.
    Fail(ErrorKind),
    /// They start a job.
    Job,
    /// They are silent.
    Silence,
}

/// One call, comparable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) skill: String,
    pub(super) operation: String,
    pub(super) input: Value,
}

/// The skills of one turn.
pub(super) struct Port {
    manifests: Vec<SkillManifest>,
    mood: Mood,
    answers: Answers,
    asked: Mutex<Vec<Asked>>,
}

/// More calls than any turn needs: whoever reaches it asks without end.
const ENDLESS: usize = 1_000;

impl Port {
    pub(super) fn new(manifests: Vec<SkillManifest>, mood: Mood, answers: Answers) -> Arc<Self> {
        Arc::new(Self { manifests, mood, answers, asked: Mutex::default() })
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("mood", &self.mood).finish_non_exhaustive()
    }
}

#[async_trait]
impl SkillPort for Port {
    fn manifests(&self) -> Vec<&SkillManifest> {
        self.manifests.iter().collect()
    }

    async fn call(&self, _: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        let asked = Asked {
            skill: request.skill.to_string(),
            operation: request.operation.to_string(),
            input: (*request.input).clone(),
        };
        let n = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(asked);
            all.len()
        };
        assert!(n < ENDLESS, "one turn asks {n} times");
        // Others get their turn, as they do while a real skill runs.
        tokio::task::yield_now().await;
        match self.mood {
            Mood::Answer => (self.answers)(&request),
            Mood::Fail(kind) => Err(Error::new(kind, "the law says so")),
            Mood::Job => Ok(SkillAnswer::Pending(JobTicket::new("job-1"))),
            Mood::Silence => std::future::pending().await,
        }
    }
}
