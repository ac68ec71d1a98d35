//! The skills as one run of a host calls them: each operation once, across restarts.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    SkillStack,
    leaf::stacked,
    nested::{GuardedPort, Nested, equipped},
    way::{Way, decide, way},
};
use crate::{
    AgentId, Call, Context, Error, ErrorKind, Happened, IdempotencyKey, Result,
    middleware::ledger::{Errand, recorded, unrecorded},
    records::claims::fingerprint,
    rules::Ask,
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
};

/// The skills as one run calls them; made by [`SkillStack::run`]. Cheap to clone.
///
/// A [`SkillPort`], as an agent has it in a gateway's turn. The context of a call says whose data
/// it is and who asks: its principal, who never decides about an approval of its own. Without a
/// principal and an [agent](Self::by) the program itself asks, and anybody whom the terms take
/// decides.
#[derive(Clone, Debug)]
pub struct SkillRun {
    stack: SkillStack,
    name: Arc<[u8]>,
    agent: Option<AgentId>,
    route: RouteKey,
    /// The list as it was shown first.
    shown: OnceLock<Vec<Arc<dyn Skill>>>,
}

impl SkillRun {
    pub(super) fn new(stack: SkillStack, name: &[u8]) -> Self {
        let route = RouteKey::new(name.to_vec());
        Self { stack, name: name.into(), agent: None, route, shown: OnceLock::new() }
    }

    /// Names the agent that asks: rules see it, and it never decides about its own approval.
    #[must_use]
    pub fn by(mut self, agent: AgentId) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Says what shares one version of each skill: a conversation, a customer. The run's name.
    #[must_use]
    pub fn route(mut self, route: RouteKey) -> Self {
        (self.route, self.shown) = (route, OnceLock::new());
        self
    }

    /// The key of an operation of this run: what its record is found by, and what remotes get.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the name is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn key(&self, operation: &str) -> Result<IdempotencyKey> {
        let key = IdempotencyKey::builder(operation).part(&self.name).build();
        key.map_err(|e| {
            Error::new(ErrorKind::ValidationError, e.to_string()).with_happened(Happened::No)
        })
    }

    /// Has it done for the host, or for the skill that asks for it.
    async fn call_by(
        &self,
        parent: Option<&Nested>,
        context: &Context,
        request: SkillRequest,
    ) -> Result<SkillAnswer> {
        let stack = &*self.stack.0;
        let key = self.key(&request.operation)?;
        let known = stack.ledger.record(context.tenant(), &key).await.map_err(unrecorded)?;
        let begun = known.as_ref().map(|known| (&*known.target, known.version.as_deref()));
        let skill = match (stack.skills.choose(&request, &self.route, begun), &known) {
            (Ok(skill), _) => skill,
            (Err(missing), Some(known)) => {
                let asked = fingerprint(request.skill.as_str(), &request.input);
                return recorded(known, asked, missing);
            }
            (Err(missing), None) => return Err(missing),
        };
        if let Some(parent) = parent {
            parent.covers(skill.manifest())?;
        }
        // What has ended answers from its record, whatever this version takes.
        if !known.as_ref().is_some_and(|known| known.state.is_final()) {
            skill.validate(&request.input)?;
        }
        let call = Call::skill(context.clone(), skill.manifest(), Arc::clone(&request.input));
        let port = || Some(Arc::new(self.clone()));
        let call = equipped(port, parent, &skill, &request.operation, call.with_key(key));
        let ask = Ask {
            agent: self.agent.as_ref(),
            ..Ask::new(context, skill.manifest(), &request.input)
        };
        let decision = decide(stack.rules.as_deref(), &ask, request.needs_approval);
        let ledger = match way(&call, known.is_some(), decision)? {
            Way::Free => stack.ledger.clone(),
            Way::Guarded(decision) => stack.ledger.on(Errand {
                skill: Arc::clone(&skill),
                decision,
                agent: self.agent.clone(),
                approval: request.approval,
                begun: known.and_then(|known| known.version),
            }),
        };
        let inner = stacked(&stack.resilience, &skill);
        let mut service = stack.trace.layer(ledger.layer(inner));
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(call).await
    }
}

#[async_trait]
impl SkillPort for SkillRun {
    fn manifests(&self) -> Vec<&SkillManifest> {
        let shown = self.shown.get_or_init(|| self.stack.0.skills.list(&self.route));
        shown.iter().map(|skill| skill.manifest()).collect()
    }

    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        self.call_by(None, context, request).await
    }
}

#[async_trait]
impl GuardedPort for SkillRun {
    async fn call_for(
        &self,
        parent: &Nested,
        context: &Context,
        request: SkillRequest,
    ) -> Result<SkillAnswer> {
        self.call_by(Some(parent), context, request).await
    }
}
