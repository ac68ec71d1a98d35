//! One turn as the standard agent sees it.

use openclaw_core::{
    Error, ErrorKind, Result,
    agent::{Answer, Turn},
};
use serde_json::Value;

use super::Verb;

/// One turn as the clerk sees it.
pub(super) struct Job {
    pub(super) verb: Verb,
    pub(super) n: u32,
    /// Turns of this conversation before this one.
    pub(super) k: usize,
    pub(super) memory: Vec<Value>,
    /// How often the clerk was asked for this message.
    pub(super) asked: u32,
}

impl Job {
    pub(super) fn of(turn: &Turn, asked: u32) -> Result<Self> {
        let text = turn.text();
        let invalid = || Error::new(ErrorKind::ValidationError, "the clerk does not understand");
        let verb = Verb::of(&text).ok_or_else(invalid)?;
        let n = text.rsplit(' ').next().and_then(|n| n.parse().ok()).ok_or_else(invalid)?;
        let memory = turn.session().as_array().cloned().unwrap_or_default();
        Ok(Self { verb, n, k: memory.len(), memory, asked })
    }

    pub(super) fn remember(&self, turn: &Turn, what: &str) {
        let mut memory = self.memory.clone();
        memory.push(format!("{} {}{what}", self.verb.word(), self.n).into());
        turn.set_session(memory.into());
    }

    /// The reply with this result.
    pub(super) fn reply(&self, result: &str) -> Answer {
        Answer::text(format!("{} {} #{} {result}", self.verb.word(), self.n, self.k))
    }
}
