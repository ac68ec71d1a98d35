//! An agent that fails, panics or hangs before it does its work.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Error, ErrorKind, MessageId, Result,
    agent::{Agent, Answer, Turn},
};

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// An error: `SERVER_ERROR`.
    Fail,
    /// A panic.
    Panic,
    /// No end.
    Hang,
}

/// An [`Agent`] whose first attempts at each message come to trouble.
///
/// ```
/// # fn main() -> Result<(), openclaw_core::InvalidId> {
/// use openclaw_testkit::agent::{FlakyAgent, ScriptedAgent, Trouble};
///
/// let calm = ScriptedAgent::new("desk")?;
/// let poisoned = FlakyAgent::new(calm, Trouble::Panic).only_for("poison").times(2);
/// # drop(poisoned);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FlakyAgent<A> {
    inner: A,
    trouble: Trouble,
    times: u32,
    only_for: Option<String>,
    attempts: Mutex<BTreeMap<MessageId, u32>>,
}

impl<A: Agent> FlakyAgent<A> {
    /// Comes to this trouble at every attempt.
    #[must_use]
    pub const fn new(inner: A, trouble: Trouble) -> Self {
        let attempts = Mutex::new(BTreeMap::new());
        Self { inner, trouble, times: u32::MAX, only_for: None, attempts }
    }

    /// Comes to trouble only at the first `times` attempts at a message.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Comes to trouble only when the message holds this text.
    #[must_use]
    pub fn only_for(mut self, text: impl Into<String>) -> Self {
        self.only_for = Some(text.into());
        self
    }

    /// How often this message was attempted.
    #[must_use]
    pub fn attempts(&self, message: MessageId) -> u32 {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.get(&message).copied().unwrap_or_default()
    }

    fn attempt(&self, message: MessageId) -> u32 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let n = attempts.entry(message).or_default();
        *n = n.saturating_add(1);
        *n
    }
}

#[async_trait]
impl<A: Agent> Agent for FlakyAgent<A> {
    fn id(&self) -> &AgentId {
        self.inner.id()
    }

    #[expect(clippy::panic, reason = "to panic is what it is for")]
    async fn handle(&self, turn: Turn) -> Result<Answer> {
        let n = self.attempt(turn.id());
        let meant = self.only_for.as_ref().is_none_or(|text| turn.text().contains(text.as_str()));
        if !meant || n > self.times {
            return self.inner.handle(turn).await;
        }
        match self.trouble {
            Trouble::Fail => {
                let e = Error::new(ErrorKind::ServerError, "this attempt fails, as the test asked");
                Err(e.with("attempt", n))
            }
            Trouble::Panic => panic!("this attempt panics, as the test asked"),
            Trouble::Hang => std::future::pending().await,
        }
    }
}
