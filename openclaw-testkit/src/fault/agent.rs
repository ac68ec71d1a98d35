//! An agent that fails, panics or hangs on demand.

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Error, ErrorKind, Happened, Result,
    agent::{Agent, Answer, Turn},
};

use super::{Fault, Plan};

/// An [`Agent`] whose attempts meet the faults of a [`Plan`].
///
/// An attempt is `"handle"`; it also has the agent's id and the whole text of the message for
/// names. It can do what asks can, lose its answer, and panic. A failed attempt is a
/// `SERVER_ERROR`.
///
/// ```
/// use openclaw_testkit::{agent::ScriptedAgent, fault::{Fault, FaultAgent, Plan}};
///
/// let plan = Plan::default();
/// plan.every("poison", Fault::Panic);
/// plan.next("handle", 2, Fault::Fail);
/// let agent = FaultAgent::new(ScriptedAgent::new("desk")?, plan);
/// assert!(agent.plan().injected().is_empty(), "nothing was said yet");
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultAgent<A> {
    inner: A,
    plan: Plan,
}

impl<A: Agent> FaultAgent<A> {
    /// This agent under this plan.
    #[must_use]
    pub const fn new(inner: A, plan: Plan) -> Self {
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
impl<A: Agent> Agent for FaultAgent<A> {
    fn id(&self) -> &AgentId {
        self.inner.id()
    }

    async fn handle(&self, turn: Turn) -> Result<Answer> {
        let text = turn.text().into_owned();
        let names = ["handle", self.id().as_str(), &text];
        let pass = self.plan.enter(&names, can, failed).await?;
        pass.leave(self.inner.handle(turn).await).await
    }
}

const fn can(fault: Fault) -> bool {
    fault.asking() || matches!(fault, Fault::LoseAnswer | Fault::Panic)
}

fn failed(happened: Happened) -> Error {
    Error::new(ErrorKind::ServerError, "a fault was injected").with_happened(happened)
}
