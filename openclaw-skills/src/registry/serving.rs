//! A skill as calls meet it: watched while on trial, a shadow beside it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, Weak},
    task::{self, Poll},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Error, ErrorKind, Result,
    channel::Reconcile,
    middleware::breaker::{Breaker, BreakerConfig, BreakerHandle, BreakerLayer},
    policy::{Assessment, ByHead, Head, Policy},
    skill::{BrokenOutput, Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use super::{Shared, shadow};

/// The codes of GraphQL errors that speak of the arguments, not of the document.
const ARGUMENTS: [&str; 2] = ["BAD_USER_INPUT", "BAD_REQUEST"];

/// What the versions of one skill are to each other at the moment.
#[derive(Debug, Default)]
pub(super) struct Role(RwLock<Option<Arc<Playing>>>);

/// Who is tried, and who runs beside.
#[derive(Debug, Default)]
pub(super) struct Playing {
    pub(super) trial: Option<Arc<Trial>>,
    pub(super) shadow: Option<Arc<dyn Skill>>,
}

impl Role {
    pub(super) fn playing(&self) -> Option<Arc<Playing>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Is it this trial that goes on, and not another one of the same version?
    pub(super) fn is_trying(&self, trial: &Arc<Trial>) -> bool {
        let playing = self.playing();
        let now = playing.as_ref().and_then(|playing| playing.trial.as_ref());
        now.is_some_and(|now| Arc::ptr_eq(now, trial))
    }

    pub(super) fn play(&self, playing: Playing) {
        let nobody = playing.trial.is_none() && playing.shadow.is_none();
        let next = (!nobody).then(|| Arc::new(playing));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// The outcomes of a canary, counted by a breaker that refuses nothing.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) version: Arc<str>,
    config: BreakerConfig,
    layer: BreakerLayer<Judge>,
    handle: BreakerHandle,
}

impl Trial {
    pub(super) fn new(manifest: &SkillManifest, mut config: BreakerConfig) -> Result<Self> {
        // Whoever lets it run into its time limit has waited in vain: that is a failure.
        let limit = manifest.timeout.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        config.slow_call_duration = Some(limit);
        let name = format!("canary {} {}", manifest.id, manifest.version);
        let layer = BreakerLayer::builder(name).config(config.clone()).seed(0).build()?;
        let handle = layer.handle();
        handle.metrics_only();
        let (layer, version) = (layer.policy(Judge), Arc::clone(&manifest.version));
        Ok(Self { version, config, layer, handle })
    }

    /// Why it has to be rolled back, when it has to.
    fn verdict(&self) -> Option<Arc<str>> {
        let seen = self.handle.snapshot();
        let row = self.config.consecutive_failures;
        if row.is_some_and(|row| seen.consecutive_failures >= row) {
            return Some(format!("{} calls in a row failed", seen.consecutive_failures).into());
        }
        let rate = seen.failure_rate().unwrap_or_default();
        let bad = self.config.window.is_some()
            && seen.calls >= self.config.minimum_calls
            && rate >= self.config.failure_rate;
        bad.then(|| format!("{} of {} calls failed", seen.failures, seen.calls).into())
    }
}

/// Reads outcomes as every layer does, but for one thing.
///
/// What a skill refuses as invalid behind its own `validate` is its fault: the input or the output
/// breaks a contract that it declares. What a service refuses is its answer to these arguments:
/// whoever sends enough of them must not roll a version back for everybody.
#[derive(Clone, Copy, Debug)]
struct Judge;

impl Policy<Call<Arc<Value>>, SkillAnswer, Error> for Judge {
    fn head(&self, call: &Call<Arc<Value>>) -> Head {
        Policy::<_, SkillAnswer, Error>::head(&ByHead, call)
    }

    fn assess(&self, outcome: Result<&SkillAnswer, &Error>) -> Assessment {
        match outcome {
            Err(e) if e.kind() == ErrorKind::ValidationError && !by_a_service(e) => {
                Assessment::fault(ErrorKind::ServerError).with_happened(e.happened())
            }
            outcome => Policy::<Call<Arc<Value>>, _, _>::assess(&ByHead, outcome),
        }
    }
}

/// Has a service said so of the arguments, and not the skill of its own contract?
///
/// Told by what [`outcome`](crate::api::outcome) and a GraphQL answer leave in the error.
fn by_a_service(e: &Error) -> bool {
    let said = |(key, value): (&str, &str)| match key {
        "status" => true,
        "code" => ARGUMENTS.iter().any(|code| code.eq_ignore_ascii_case(value)),
        _ => false,
    };
    BrokenOutput::of(e).is_none() && e.context().any(said)
}

/// The skill as the service inside the counting.
#[derive(Clone, Debug)]
struct Leaf(Arc<dyn Skill>);

impl Service<Call<Arc<Value>>> for Leaf {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<SkillAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Arc<Value>>) -> Self::Future {
        let skill = Arc::clone(&self.0);
        // What it says of its output counts as the gateway will take it.
        Box::pin(async move { skill.run(call).await?.judged_by(&*skill) })
    }
}

/// One version of a skill as a registry hands it out.
pub(super) struct Serving {
    skill: Arc<dyn Skill>,
    role: Arc<Role>,
    registry: Weak<Shared>,
}

impl Serving {
    pub(super) const fn new(
        skill: Arc<dyn Skill>,
        role: Arc<Role>,
        registry: Weak<Shared>,
    ) -> Self {
        Self { skill, role, registry }
    }

    /// Runs it and counts what became of it, also when nobody waits for that any more.
    async fn tried(&self, trial: &Arc<Trial>, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        // Dropped behind the call, which counts when it is dropped itself.
        let _looking = Looking { serving: self, trial };
        let mut service: Breaker<Leaf, Judge> = trial.layer.layer(Leaf(Arc::clone(&self.skill)));
        service.call(call).await
    }

    /// Rolls a canary back that fails too often.
    fn look(&self, trial: &Arc<Trial>) {
        if let (Some(why), Some(registry)) = (trial.verdict(), self.registry.upgrade()) {
            registry.roll_back(&self.skill.manifest().id, trial, &why);
        }
    }

    async fn play(&self, playing: &Playing, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let mine = &self.skill.manifest().version;
        let shadow = playing.shadow.as_ref().filter(|other| other.manifest().version != *mine);
        let beside = shadow.map(|other| (Arc::clone(other), call.clone()));
        let outcome = match playing.trial.as_ref().filter(|trial| trial.version == *mine) {
            Some(trial) => self.tried(trial, call).await,
            None => self.skill.run(call).await,
        };
        if let (Some((other, call)), Ok(SkillAnswer::Done(answer)), Some(registry)) =
            (beside, &outcome, self.registry.upgrade())
        {
            let answer = Arc::clone(answer);
            shadow::beside(&registry, (self.skill.manifest(), answer), other, &call);
        }
        outcome
    }
}

/// Looks at the counts when a call ends, whichever way.
struct Looking<'a> {
    serving: &'a Serving,
    trial: &'a Arc<Trial>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.serving.look(self.trial);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.skill.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Skill for Serving {
    fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        match self.role.playing() {
            None => self.skill.run(call).await,
            Some(playing) => Box::pin(self.play(&playing, call)).await,
        }
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.skill.validate(input)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.skill.validate_output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.skill.reconcile()
    }
}
