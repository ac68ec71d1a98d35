//! A skill whose calls meet faults.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, Result,
    channel::{Intent, Reconcile, Reconciled},
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;

use super::{Fault, Plan, pass::injected};

/// A [`Skill`] whose operations meet the faults of a [`Plan`].
///
/// `"run"` calls, `"reconcile"` asks; each also has the skill's id for a name. A call that is
/// made twice has the same key both times.
///
/// ```
/// use openclaw_core::{Effect, skill::Skill};
/// use openclaw_testkit::{
///     fault::{Fault, FaultSkill, Plan}, remote::{CountingRemote, RemoteKind, RemoteSkill},
/// };
///
/// let bank = CountingRemote::new(RemoteKind::Unkeyed);
/// let skill = RemoteSkill::named("transfer", Effect::Reconcilable, bank)?;
/// let plan = Plan::default();
/// plan.nth("transfer", 2, Fault::LoseAnswer);
/// let skill = FaultSkill::new(skill, plan);
/// assert!(skill.reconcile().is_some(), "as the skill inside");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultSkill<K> {
    inner: K,
    plan: Plan,
}

impl<K: Skill> FaultSkill<K> {
    /// This skill under this plan.
    #[must_use]
    pub const fn new(inner: K, plan: Plan) -> Self {
        Self { inner, plan }
    }

    /// The plan that it meets.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<K: Skill> Skill for FaultSkill<K> {
    fn manifest(&self) -> &SkillManifest {
        self.inner.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let names = ["run", self.manifest().id.as_str()];
        let pass = self.plan.enter(&names, Fault::calling, injected).await?;
        let again = pass.twice().then(|| call.clone());
        let outcome = self.inner.run(call).await;
        if let Some(again) = again {
            drop(self.inner.run(again).await);
        }
        pass.leave(outcome).await
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.inner.validate(input)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.inner.validate_output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile().map(|_| self as &dyn Reconcile)
    }
}

#[async_trait]
impl<K: Skill> Reconcile for FaultSkill<K> {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        let names = ["reconcile", self.manifest().id.as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        let outcome = match self.inner.reconcile() {
            Some(inner) => inner.reconcile(intent).await,
            None => Ok(Reconciled::CannotKnow),
        };
        pass.leave(outcome).await
    }
}
