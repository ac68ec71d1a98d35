//! `Agent`: decides what to answer; what it wants done goes through skills.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::skill::{SkillAnswer, SkillManifest, SkillPort, SkillRequest};
use crate::{
    AgentId, Call, Content, Context, Envelope, Error, ErrorKind, MessageId, Result, SkillId,
};

/// What a turn is about: data that layers may clone, store and replay.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TurnRequest {
    /// The message's id; the turn has the same.
    pub message: MessageId,
    /// What was said.
    pub envelope: Arc<Envelope>,
    /// The conversation's memory, as the last turn left it.
    pub session: Arc<Value>,
    /// What a suspended turn waited for, when it comes back.
    pub resolution: Option<Resolution>,
}

impl TurnRequest {
    /// A first run of this message.
    #[must_use]
    pub const fn new(message: MessageId, envelope: Arc<Envelope>, session: Arc<Value>) -> Self {
        Self { message, envelope, session, resolution: None }
    }
}

impl Call<TurnRequest> {
    /// A call of this agent. Agents are pure: what they want done goes through skills.
    #[must_use]
    pub fn agent(context: Context, agent: &dyn Agent, request: TurnRequest) -> Self {
        Self::stamped(context, agent.id().as_str(), crate::Effect::Pure, request)
    }
}

/// Why a turn waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Waiting {
    /// For an approval.
    Approval {
        /// Which one.
        approval: Arc<str>,
    },
    /// For a job's result.
    Job {
        /// Which one.
        job: Arc<str>,
    },
    /// For an answer from a person.
    Question {
        /// What is asked.
        text: Arc<str>,
    },
}

/// What a suspended turn waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resolution {
    /// Who or what decided.
    pub by: Arc<str>,
    /// The decision, the result or the answer.
    #[serde(with = "crate::words::json::embedded")]
    pub value: Arc<Value>,
}

impl Resolution {
    /// This value, by this decider.
    #[must_use]
    pub fn new(by: impl Into<Arc<str>>, value: Value) -> Self {
        Self { by: by.into(), value: Arc::new(value) }
    }
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// A reply into the conversation.
    Reply(Content),
    /// Nothing yet: the turn waits and frees its lane.
    Suspended(Waiting),
    /// Nothing to say.
    Silent,
}

impl Answer {
    /// A reply of plain text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Reply(Content::text(text))
    }
}

/// Where streamed hints go: never durable, superseded by the committed reply.
pub trait Emit: Send + Sync + fmt::Debug {
    /// Shows the reply as far as it is known. May be dropped; must not block.
    fn emit(&self, so_far: Content);
}

/// How much one turn may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Skill calls. 16.
    pub skill_calls: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { skill_calls: 16 }
    }
}

impl Budget {
    /// At most this many skill calls.
    #[must_use]
    pub const fn skill_calls(mut self, n: u32) -> Self {
        self.skill_calls = n;
        self
    }
}

/// One attempt at a turn: what the agent reads, and the only way it can act.
///
/// Opened anew for each attempt by the innermost leaf, so that attempts share no write side.
#[derive(Debug)]
pub struct Turn {
    context: Context,
    request: TurnRequest,
    skills: Arc<dyn SkillPort>,
    emit: Option<Arc<dyn Emit>>,
    budget: Budget,
    calls: u32,
    session: Arc<std::sync::Mutex<Option<Arc<Value>>>>,
}

/// What a turn wrote into its session, read by whoever opened the turn.
#[derive(Clone, Debug)]
pub struct SessionWrite(Arc<std::sync::Mutex<Option<Arc<Value>>>>);

impl SessionWrite {
    /// The last value the agent set, if it set one.
    #[must_use]
    pub fn take(&self) -> Option<Arc<Value>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl Turn {
    /// Opens an attempt. The second value reads what the agent wrote into its session.
    #[must_use]
    pub fn open(
        call: Call<TurnRequest>,
        skills: Arc<dyn SkillPort>,
        budget: Budget,
    ) -> (Self, SessionWrite) {
        let session = Arc::default();
        let write = SessionWrite(Arc::clone(&session));
        let context = call.context().clone();
        let turn = Self {
            context,
            request: call.into_payload(),
            skills,
            emit: None,
            budget,
            calls: 0,
            session,
        };
        (turn, write)
    }

    /// Lets the turn show its reply while it is being made.
    #[must_use]
    pub fn with_emit(mut self, emit: Arc<dyn Emit>) -> Self {
        self.emit = Some(emit);
        self
    }

    /// The turn's id: the message's.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.request.message
    }

    /// Who asks, until when, at which attempt.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// What was said.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.request.envelope
    }

    /// What was said, as text.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        self.request.envelope.content.to_text()
    }

    /// The conversation's memory; `null` in its first turn.
    #[must_use]
    pub fn session(&self) -> &Value {
        &self.request.session
    }

    /// Replaces the conversation's memory when the turn commits.
    pub fn set_session(&self, value: Value) {
        *self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some(Arc::new(value));
    }

    /// What the turn waited for, when it comes back from a suspension.
    #[must_use]
    pub const fn resolution(&self) -> Option<&Resolution> {
        self.request.resolution.as_ref()
    }

    /// The skills there are.
    #[must_use]
    pub fn skills(&self) -> Vec<&SkillManifest> {
        self.skills.manifests()
    }

    /// Has a skill do something, once under this operation name, across restarts.
    ///
    /// Asked again under the same name, in this attempt or a later one, it answers from the
    /// record. Asked with other arguments the turn is parked: nothing runs twice.
    ///
    /// # Errors
    /// As [`SkillPort::call`]; `OVERLOADED` when the budget is spent.
    pub async fn skill(
        &mut self,
        skill: &str,
        operation: &str,
        input: Value,
    ) -> Result<SkillAnswer> {
        let skill = SkillId::new(skill)
            .map_err(|e| Error::new(ErrorKind::ValidationError, format!("skill name: {e}")))?;
        self.call(SkillRequest::new(skill, operation, input)).await
    }

    /// As [`Turn::skill`], for a request that names an approval, too.
    ///
    /// # Errors
    /// As [`SkillPort::call`]; `OVERLOADED` when the budget is spent.
    pub async fn call(&mut self, request: SkillRequest) -> Result<SkillAnswer> {
        if self.calls >= self.budget.skill_calls {
            let limit = self.budget.skill_calls;
            return Err(Error::new(ErrorKind::Overloaded, "the turn's skill calls are spent")
                .with("limit", limit));
        }
        self.calls += 1;
        self.skills.call(&self.context, request).await
    }

    /// Shows the reply as far as it is known, where the channel can edit. A hint, never kept.
    pub fn emit(&self, so_far: impl Into<Content>) {
        if let Some(emit) = &self.emit {
            emit.emit(so_far.into());
        }
    }
}

/// Decides what to answer.
///
/// What a test can see of this is a law in `openclaw_testkit::conformance::agent`:
///
/// * `handle` may run several times for one message: after an error, a timeout, a crash.
/// * It acts on the world only through `turn.skill(…)`: those calls happen once. A later attempt
///   has to ask for the same operations with the same inputs; otherwise the turn is parked.
/// * It begins when it is polled, and ends when it is dropped.
/// * What it remembers of a conversation is in the session: another process may have the next
///   turn.
/// * Turns of different conversations run side by side. None waits for another.
/// * An error quotes neither what was said nor the session.
/// * A panic or a timeout counts as a failed attempt; after the last one the message is a
///   dead letter and the conversation goes on.
///
/// ```
/// use openclaw_core::{AgentId, Result, agent::{Agent, Answer, Turn}};
///
/// #[derive(Debug)]
/// struct Echo(AgentId);
///
/// #[async_trait::async_trait]
/// impl Agent for Echo {
///     fn id(&self) -> &AgentId {
///         &self.0
///     }
///     async fn handle(&self, turn: Turn) -> Result<Answer> {
///         Ok(Answer::text(&*turn.text()))
///     }
/// }
/// ```
#[async_trait]
pub trait Agent: Send + Sync + fmt::Debug + 'static {
    /// The agent's name in this gateway.
    fn id(&self) -> &AgentId;

    /// Answers one message.
    ///
    /// # Errors
    /// The attempt failed; it is made again while attempts are left.
    async fn handle(&self, turn: Turn) -> Result<Answer>;
}

/// An agent made of one async function.
///
/// ```
/// use openclaw_core::{AgentId, agent::{Agent, Answer, agent_fn}};
///
/// let echo = agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
/// assert_eq!(echo.id().as_str(), "echo");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
pub fn agent_fn<F, R>(id: AgentId, f: F) -> impl Agent
where
    F: Fn(Turn) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Answer>> + Send + 'static,
{
    AgentFn { id, f }
}

struct AgentFn<F> {
    id: AgentId,
    f: F,
}

impl<F> fmt::Debug for AgentFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent_fn({})", self.id)
    }
}

#[async_trait]
impl<F, R> Agent for AgentFn<F>
where
    F: Fn(Turn) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Answer>> + Send + 'static,
{
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, turn: Turn) -> Result<Answer> {
        (self.f)(turn).await
    }
}
