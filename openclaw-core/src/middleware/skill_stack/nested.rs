//! Skills that have other skills do their work: each sub-call is guarded like the outer one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use serde_json::Value;

use super::skills::MAX_LEVELS;
use crate::{
    Call, Context, Digest, Effect, Error, ErrorKind, Happened, Result, SkillId,
    skill::{Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};

/// How many sub-calls one call may lead to, on all levels together.
const MAX_SUB_CALLS: u32 = 64;

/// The longest name of a sub-call: behind a digest and a dot it is an operation's name still.
const MAX_NAME: usize = 31;

/// The guarded calls of a turn or a run, as a running skill needs them.
#[async_trait]
pub(crate) trait GuardedPort: SkillPort {
    /// Has it done for the skill that asks for it.
    async fn call_for(
        &self,
        parent: &Nested,
        context: &Context,
        request: SkillRequest,
    ) -> Result<SkillAnswer>;
}

/// The way from a running skill to those that its manifest names.
#[derive(Debug)]
pub(crate) struct Nested {
    turn: Arc<dyn GuardedPort>,
    /// The skill that runs.
    skill: Arc<dyn Skill>,
    /// The name of its operation.
    operation: Arc<str>,
    /// Who asks, as the skill was told. A skill can't speak for somebody else.
    context: Context,
    /// How deep it runs; the agent's own call is the first level.
    level: usize,
    spent: Arc<AtomicU32>,
}

/// Gives a skill that calls others the way to them. `parent` is the skill that asks for it.
pub(crate) fn equipped<G: GuardedPort + 'static>(
    turn: impl FnOnce() -> Option<Arc<G>>,
    parent: Option<&Nested>,
    skill: &Arc<dyn Skill>,
    operation: &Arc<str>,
    call: Call<Arc<Value>>,
) -> Call<Arc<Value>> {
    let manifest = skill.manifest();
    if manifest.calls.is_empty() || call.effect() != Effect::Pure {
        return call;
    }
    let Some(turn) = turn() else { return call };
    let nested = Nested {
        turn,
        skill: Arc::clone(skill),
        operation: Arc::clone(operation),
        context: call.context().clone(),
        level: parent.map_or(1, |parent| parent.level + 1),
        spent: parent.map(|parent| Arc::clone(&parent.spent)).unwrap_or_default(),
    };
    call.with_skills(Arc::new(nested))
}

impl Nested {
    /// Refuses a skill that touches more than the calling one declares.
    ///
    /// Of skills that were added this was looked at at the start; a source may bring any version.
    pub(crate) fn covers(&self, part: &SkillManifest) -> Result<()> {
        let own = self.skill.manifest();
        if own.touches.contains(part.touches) {
            return Ok(());
        }
        let why = "it touches more than the calling skill declares";
        let error = Error::new(ErrorKind::PermissionDenied, why).with_happened(Happened::No);
        Err(error.with("skill", &own.id).with("calls", &part.id))
    }

    /// Refuses what the manifest does not name, a level too many, and more calls than one call may
    /// lead to. The levels of skills that were added were looked at at the start.
    fn allow(&self, wanted: &SkillId) -> Result<()> {
        let own = self.skill.manifest();
        let (kind, why) = if !own.calls.contains(wanted) {
            let why = "the manifest of the calling skill does not name this one";
            (ErrorKind::PermissionDenied, why)
        } else if self.level >= MAX_LEVELS {
            (ErrorKind::PermissionDenied, "skills call each other in a circle, or over four levels")
        } else if self.spent.fetch_add(1, Ordering::Relaxed) >= MAX_SUB_CALLS {
            (ErrorKind::Overloaded, "the sub-calls of this call are spent")
        } else {
            return Ok(());
        };
        Err(Error::new(kind, why).with("skill", &own.id).with("calls", wanted))
    }

    /// The context of a sub-call: the skill may bring a nearer deadline, and nothing else.
    fn within(&self, asked: &Context) -> Context {
        let own = self.context.clone();
        match asked.deadline() {
            Some(deadline) => own.with_deadline(deadline),
            None => own,
        }
    }
}

#[async_trait]
impl SkillPort for Nested {
    fn manifests(&self) -> Vec<&SkillManifest> {
        let calls = &self.skill.manifest().calls;
        let all = self.turn.manifests().into_iter();
        all.filter(|manifest| calls.contains(&manifest.id)).collect()
    }

    async fn call(&self, context: &Context, mut request: SkillRequest) -> Result<SkillAnswer> {
        self.allow(&request.skill)?;
        request.operation = sub_operation(&self.operation, &request.operation)?;
        self.turn.call_for(self, &self.within(context), request).await
    }
}

/// The name of a sub-call's operation: its own effect, key and record.
fn sub_operation(above: &str, name: &str) -> Result<Arc<str>> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('.') {
        let why = "the name of a sub-call has 1 to 31 characters, and no dot";
        return Err(Error::new(ErrorKind::ValidationError, why).with_happened(Happened::No));
    }
    let plain = format!("{above}.{name}");
    if plain.len() <= 64 {
        return Ok(plain.into());
    }
    let above: String =
        Digest::of("openclaw.sub-operation", [above]).to_string().chars().take(32).collect();
    Ok(format!("{above}.{name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdempotencyKey, MessageId};

    #[test]
    fn a_sub_call_has_a_name_of_its_own_however_long_the_outer_one_is() {
        let long = "o".repeat(64);
        let other = format!("{}p", "o".repeat(63));
        let name = |above: &str| sub_operation(above, "find").expect("a name");
        assert_eq!(&*name("refund"), "refund.find");
        assert_ne!(name(&long), name(&other));
        for above in ["refund", &long, &name(&long)] {
            let key = IdempotencyKey::of(MessageId::from_u128(1), &name(above)).expect("a key");
            assert!(key.operation().ends_with(".find"));
        }
        assert!(sub_operation("refund", &"x".repeat(32)).is_err());
        assert!(sub_operation("refund", "").is_err());
        assert!(sub_operation("refund", "find.it").is_err(), "whose is it?");
    }
}
