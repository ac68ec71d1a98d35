//! `Skill`: something an agent can have done, with a contract.

use std::{error::Error as _, fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::{
    manifest::{ApiVersion, Deprecation, SkillLimits, SkillManifest},
    skill_source::{RouteKey, SkillSource},
};

use super::channel::Reconcile;
use crate::{Call, Context, Effect, Error, Happened, Result, SkillId, words::caught::caught_now};

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

    /// Has the skill that gave this answer judge it.
    ///
    /// A gateway does so behind every run. A job's ticket is no output yet.
    ///
    /// # Errors
    /// What [`Skill::validate_output`] says, with the output as a [`BrokenOutput`] behind it.
    /// `happened` is `Yes`, because the skill has run; `No` when it is `Pure`, and `Maybe` when
    /// it had other skills do its work.
    pub fn judged_by(self, skill: &(impl Skill + ?Sized)) -> Result<Self> {
        let Self::Done(output) = &self else { return Ok(self) };
        let said = caught_now("the check of the output", || skill.validate_output(output));
        let Err(e) = said.flatten() else { return Ok(self) };
        let SkillManifest { effect, calls, .. } = skill.manifest();
        let happened = match effect {
            Effect::Pure if calls.is_empty() => Happened::No,
            Effect::Pure => Happened::Maybe,
            _ => Happened::Yes,
        };
        Err(e.with_happened(happened).with_source(BrokenOutput::new(Arc::clone(output))))
    }
}

/// An output that breaks its contract, as the source of an error.
///
/// The skill has run, and nothing else tells what it did. A gateway records such an effect as
/// done and keeps the output; nobody gets it as an answer. No text of it quotes the output.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{Error, ErrorKind, skill::BrokenOutput};
///
/// let output = Arc::new(serde_json::json!({ "receipt": 7 }));
/// let e = Error::new(ErrorKind::ValidationError, "the receipt is a number");
/// let e = e.with_source(BrokenOutput::new(Arc::clone(&output)));
/// assert_eq!(BrokenOutput::of(&e), Some(&output));
/// assert!(!format!("{e:?}").contains('7'));
/// ```
#[derive(thiserror::Error)]
#[error("the skill has answered")]
pub struct BrokenOutput(Arc<Value>);

impl BrokenOutput {
    /// This output, to be put behind an error.
    #[must_use]
    pub const fn new(output: Arc<Value>) -> Self {
        Self(output)
    }

    /// The output behind an error; `None` when the error brings none.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Arc<Value>> {
        let mut behind = error.source();
        while let Some(e) = behind {
            if let Some(Self(output)) = e.downcast_ref() {
                return Some(output);
            }
            behind = e.source();
        }
        None
    }
}

impl fmt::Debug for BrokenOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokenOutput")
    }
}

impl Call<Arc<Value>> {
    /// A call of this skill, its effect stamped by the manifest.
    #[must_use]
    pub fn skill(context: Context, manifest: &SkillManifest, input: Arc<Value>) -> Self {
        Self::stamped(context, manifest.id.as_str(), manifest.effect, input)
    }

    /// Brings the way to the skills that this `Pure` one calls.
    ///
    /// The gateway does so for every skill whose manifest names others.
    #[must_use]
    pub fn with_skills(self, port: Arc<dyn SkillPort>) -> Self {
        self.with_others(Arc::new(Parts(port)))
    }

    /// The way to the skills that this one calls, when the call brings one.
    #[must_use]
    pub fn skills(&self) -> Option<&Arc<dyn SkillPort>> {
        self.others()?.downcast_ref::<Parts>().map(|parts| &parts.0)
    }
}

/// What a call of a composed skill brings along.
struct Parts(Arc<dyn SkillPort>);

/// Something an agent can have done, with a contract.
///
/// Each sentence is a law in `openclaw_testkit::conformance::skill`:
///
/// * `manifest` never changes during the life of the value, and declares what `run` does: a
///   `Pure` skill has no effect, a `Keyed` one has one for each key.
/// * `validate` acts on nothing. What it refuses, `run` refuses too, before any effect. A declared
///   schema is kept, by input and output.
/// * `validate_output` acts on nothing, and takes what `run` answers.
/// * `run` makes the effect at most once per call, and passes `call.key()` to a remote that
///   honours keys. It does nothing before it is polled, and repeats nothing by itself.
/// * An error says whether the effect happened, and never quotes the input.
/// * A skill whose manifest names others acts through `call.skills()` and no other way. It is
///   `Pure`: what those do is theirs, recorded under names of their own.
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

    /// Refuses an output that breaks the contract, behind the run.
    ///
    /// The gateway asks behind every run, and of what `reconcile` finds. An effect with such an
    /// output is recorded as done, with the output and an audit entry, and never made again.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the place, and never quotes the output.
    fn validate_output(&self, output: &Value) -> Result<()> {
        let _ = output;
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
    /// Which versions of it will do: `"^1.2"`, `"v1"`, `"1.4.0"`. Any, when `None`.
    pub version: Option<Arc<str>>,
    /// The operation's name: the same at every attempt, once per turn.
    pub operation: Arc<str>,
    /// The arguments.
    pub input: Arc<Value>,
    /// The approval that the effect's claim consumes, when one is needed.
    pub approval: Option<Arc<str>>,
    /// The agent wants a person to approve it, whatever the rules say.
    pub needs_approval: bool,
}

impl SkillRequest {
    /// Asks this skill under this operation name.
    #[must_use]
    pub fn new(skill: SkillId, operation: impl Into<Arc<str>>, input: Value) -> Self {
        let (operation, input) = (operation.into(), Arc::new(input));
        Self { skill, version: None, operation, input, approval: None, needs_approval: false }
    }

    /// Says which versions of the skill will do: `"^1.2"`, `"v1"`, `"1.4.0"`.
    #[must_use]
    pub fn version(mut self, range: impl Into<Arc<str>>) -> Self {
        self.version = Some(range.into());
        self
    }

    /// Wants a person to approve it. A wish makes the rules stricter only.
    #[must_use]
    pub const fn needs_approval(mut self) -> Self {
        self.needs_approval = true;
        self
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
    /// operation was asked before with other arguments, `APPROVAL_REQUIRED`, …. A
    /// `VALIDATION_ERROR` whose `happened` is `Yes` is about the output: the effect is done, and
    /// nobody may use what it gave.
    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer>;
}
