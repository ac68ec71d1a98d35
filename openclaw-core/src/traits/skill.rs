//! `Skill`: something an agent can have done, with a contract.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::channel::Reconcile;
use crate::{Call, Context, Effect, Result, SkillId, Touches};

/// What a skill is, what it takes and gives, and what it may do to the world.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillManifest {
    /// Its name.
    pub id: SkillId,
    /// Its version, `major.minor.patch`.
    pub version: Arc<str>,
    /// What it is for, in words a model understands.
    pub description: Arc<str>,
    /// JSON Schema (2020-12) of the input; anything goes when `None`.
    pub input: Option<Arc<Value>>,
    /// JSON Schema (2020-12) of the output; anything goes when `None`.
    pub output: Option<Arc<Value>>,
    /// What it may do to the world. `AtMostOnce` unless declared.
    pub effect: Effect,
    /// Which data it touches.
    pub touches: Touches,
    /// The longest one attempt may take. 30 s.
    pub timeout: Duration,
}

impl SkillManifest {
    /// A skill of this name and version; `AtMostOnce`, 30 s.
    #[must_use]
    pub fn new(id: SkillId, version: impl Into<Arc<str>>) -> Self {
        Self {
            id,
            version: version.into(),
            description: "".into(),
            input: None,
            output: None,
            effect: Effect::AtMostOnce,
            touches: Touches::NOTHING,
            timeout: Duration::from_secs(30),
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Declares what it may do to the world.
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Declares which data it touches.
    #[must_use]
    pub const fn touches(mut self, touches: Touches) -> Self {
        self.touches = touches;
        self
    }

    /// Sets the longest one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// A job that goes on after the call returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobTicket {
    /// The job's id at its owner.
    pub job: Arc<str>,
}

impl JobTicket {
    /// A ticket for this job.
    #[must_use]
    pub fn new(job: impl Into<Arc<str>>) -> Self {
        Self { job: job.into() }
    }
}

/// What a skill answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "an agent must handle both")]
pub enum SkillAnswer {
    /// It is done, with this output.
    Done(#[serde(with = "crate::words::json::embedded")] Arc<Value>),
    /// A job was started; its result comes later.
    Pending(JobTicket),
}

impl SkillAnswer {
    /// Done, with this output.
    #[must_use]
    pub fn done(output: Value) -> Self {
        Self::Done(Arc::new(output))
    }
}

impl Call<Arc<Value>> {
    /// A call of this skill, its effect stamped by the manifest.
    #[must_use]
    pub fn skill(context: Context, manifest: &SkillManifest, input: Arc<Value>) -> Self {
        Self::stamped(context, manifest.id.as_str(), manifest.effect, input)
    }
}

/// Something an agent can have done, with a contract.
///
/// Each sentence is a law in `openclaw_testkit::conformance::skill`:
///
/// * `manifest` never changes during the life of the value, and declares what `run` does: a
///   `Pure` skill has no effect, a `Keyed` one has one for each key.
/// * `validate` acts on nothing. What it refuses, `run` refuses too, before any effect. A declared
///   schema is kept, by input and output.
/// * `run` makes the effect at most once per call, and passes `call.key()` to a remote that
///   honours keys. It does nothing before it is polled, and repeats nothing by itself.
/// * An error says whether the effect happened, and never quotes the input.
/// * Where effects are withheld, `run` answers `UNSUPPORTED`, unless the skill is `Pure`.
/// * Runs side by side neither wait for each other nor mix up their answers.
/// * A `Reconcilable` skill returns `Some` from `reconcile`. Its hook says `DidNotHappen` only
///   when the effect can't come any more.
#[async_trait]
pub trait Skill: Send + Sync + fmt::Debug + 'static {
    /// What it is, takes, gives and does.
    fn manifest(&self) -> &SkillManifest;

    /// Does it once.
    ///
    /// # Errors
    /// [`Error::happened`](crate::Error::happened) says whether the effect happened.
    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer>;

    /// Refuses input that breaks the contract, before anything is recorded or sent.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the place.
    fn validate(&self, input: &Value) -> Result<()> {
        let _ = input;
        Ok(())
    }

    /// Tells afterwards whether the effect happened.
    fn reconcile(&self) -> Option<&dyn Reconcile> {
        None
    }
}

/// What an agent asks to have done: the request of a [`SkillPort`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SkillRequest {
    /// Which skill.
    pub skill: SkillId,
    /// The operation's name: the same at every attempt, once per turn.
    pub operation: Arc<str>,
    /// The arguments.
    pub input: Arc<Value>,
    /// The approval that the effect's claim consumes, when one is needed.
    pub approval: Option<Arc<str>>,
}

impl SkillRequest {
    /// Asks this skill under this operation name.
    #[must_use]
    pub fn new(skill: SkillId, operation: impl Into<Arc<str>>, input: Value) -> Self {
        Self { skill, operation: operation.into(), input: Arc::new(input), approval: None }
    }

    /// Names the approval that the effect's claim consumes.
    #[must_use]
    pub fn approved(mut self, approval: impl Into<Arc<str>>) -> Self {
        self.approval = Some(approval.into());
        self
    }
}

/// The skills as a turn sees them: guarded, recorded, and without their types.
#[async_trait]
pub trait SkillPort: Send + Sync + fmt::Debug {
    /// The manifests of all skills there are.
    fn manifests(&self) -> Vec<&SkillManifest>;

    /// Has it done, once per operation name and turn, across restarts.
    ///
    /// # Errors
    /// The skill's own, or the guard's: `NOT_FOUND`, `VALIDATION_ERROR`, `CONFLICT` when the
    /// operation was asked before with other arguments, `APPROVAL_REQUIRED`, ….
    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer>;
}
