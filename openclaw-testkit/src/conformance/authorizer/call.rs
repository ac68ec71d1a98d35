//! A call that authorizers are asked about.

use openclaw_core::{
    AgentId, Context, Effect, SkillId, TenantId, Touches,
    rules::{Ask, Authorizer, Decision},
    skill::SkillManifest,
};
use serde_json::{Value, json};

/// A call that an authorizer is asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AskedCall {
    /// Whose data it is.
    pub tenant: TenantId,
    /// The agent that asks, when it is one.
    pub agent: Option<AgentId>,
    /// What the skill declares.
    pub manifest: SkillManifest,
    /// The arguments.
    pub input: Value,
}

impl AskedCall {
    /// A call of this skill, of the tenant `acme`.
    #[must_use]
    pub fn new(manifest: SkillManifest, input: Value) -> Self {
        Self { tenant: TenantId::new("acme").expect("an id"), agent: None, manifest, input }
    }

    /// Another tenant's.
    #[must_use]
    pub fn of(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// Asked for by this agent.
    #[must_use]
    pub fn by(mut self, agent: AgentId) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Calls of every effect and everything that a skill may touch, by an agent and by nobody.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let effects = [Effect::Pure, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce];
        let touches = [
            Touches::NOTHING,
            Touches::READS_PRIVATE,
            Touches::EGRESS,
            Touches::WRITES,
            Touches::MONEY,
            Touches::DESTRUCTIVE | Touches::WRITES,
        ];
        let inputs = [json!({ "qty": 1 }), json!({ "qty": 1_000_000, "to": "ann" }), json!(null)];
        let clerk = AgentId::new("clerk").expect("an id");
        let mut calls = Vec::new();
        for effect in effects {
            for touches in touches {
                for input in &inputs {
                    let id = SkillId::new("shop.order").expect("an id");
                    let manifest = SkillManifest::new(id, "1.0.0").effect(effect).touches(touches);
                    let call = Self::new(manifest, input.clone());
                    calls.extend([call.clone().by(clerk.clone()), call]);
                }
            }
        }
        calls
    }

    pub(super) fn context(&self) -> Context {
        Context::new(self.tenant.clone())
    }

    /// What is decided of it, at its first attempt.
    pub(super) fn decide(&self, authorizer: &dyn Authorizer) -> Decision {
        self.decide_in(&self.context(), authorizer)
    }

    pub(super) fn decide_in(&self, context: &Context, authorizer: &dyn Authorizer) -> Decision {
        let ask = Ask::new(context, &self.manifest, &self.input);
        authorizer.decide(&match &self.agent {
            Some(agent) => ask.by(agent),
            None => ask,
        })
    }
}
