//! The inner end of a skill's stack: the limits of its integration, the mark, and the skill.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Call, Error, ErrorKind, Happened, Result,
    middleware::{
        ledger::marked,
        stack::{Resilience, Stacked},
    },
    skill::{Skill, SkillAnswer},
    words::caught::caught,
};

/// Makes the call through the skill's stack, where the host has one.
pub(crate) async fn through(
    resilience: Option<&Resilience>,
    skill: &Arc<dyn Skill>,
    call: Call<Arc<Value>>,
) -> Result<SkillAnswer> {
    let Some(resilience) = resilience else { return leaf(Arc::clone(skill), call).await };
    let mut service = stacked(resilience, skill);
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(call).await
}

/// The skill inside its stack.
pub(super) fn stacked(
    resilience: &Resilience,
    skill: &Arc<dyn Skill>,
) -> Stacked<Leaf, Arc<Value>> {
    resilience.skill(skill.manifest().id.as_str()).layer(Leaf(Arc::clone(skill)))
}

/// The innermost service of a skill's stack.
#[derive(Clone, Debug)]
pub(super) struct Leaf(Arc<dyn Skill>);

impl Service<Call<Arc<Value>>> for Leaf {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<SkillAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Arc<Value>>) -> Self::Future {
        Box::pin(leaf(Arc::clone(&self.0), call))
    }
}

/// The innermost service of a skill call: the mark, then the skill and its judgement.
async fn leaf(skill: Arc<dyn Skill>, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
    marked(call, async |call| run(&*skill, call).await?.judged_by(&*skill)).await
}

/// One attempt at the skill itself: a panic or a timeout leaves the outcome unknown.
async fn run(skill: &dyn Skill, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
    let limit = skill.manifest().timeout;
    let late = || {
        Error::new(ErrorKind::Timeout, "the skill did not answer in time")
            .with("limit_ms", limit.as_millis())
            .with_happened(Happened::Maybe)
    };
    let outcome = tokio::time::timeout(limit, caught("the skill", skill.run(call))).await;
    outcome.unwrap_or_else(|_| Err(late()))
}
