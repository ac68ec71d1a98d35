//! The laws of [`Agent`]: one function for each sentence of its contract.

mod answer;
mod calls;
mod list;
mod on;
mod port;
mod trial;

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Result,
    agent::Agent,
    skill::{SkillAnswer, SkillManifest, SkillRequest},
};
use serde_json::json;

use self::trial::Need;
pub use self::{
    on::{On, on},
    trial::Trial,
};
use super::{Law, Report, Verdict};

/// What skills answer.
pub type Answers = Arc<dyn Fn(&SkillRequest) -> Result<SkillAnswer> + Send + Sync>;

/// Makes the agents that the laws try, and plays their skills.
///
/// [`on`] makes one of an agent.
#[async_trait]
pub trait AgentHarness: Send + Sync {
    /// A new agent.
    async fn fresh(&self) -> Box<dyn Agent>;

    /// What is said to it: words it has an answer to.
    fn words(&self) -> Vec<String> {
        vec!["hello".to_owned(), "What is the state of order 1042?".to_owned()]
    }

    /// Words at which it calls skills.
    fn calling(&self) -> Vec<String> {
        Vec::new()
    }

    /// Words at which it suspends its turn, when there are some.
    fn suspending(&self) -> Option<String> {
        None
    }

    /// Is the same turn answered the same each time?
    fn is_steady(&self) -> bool {
        false
    }

    /// The skills that there are; none means that no agent need look.
    fn skills(&self) -> Vec<SkillManifest> {
        Vec::new()
    }

    /// What the skills answer: `"done"`.
    fn answers(&self) -> Answers {
        Arc::new(|_| Ok(SkillAnswer::done(json!("done"))))
    }

    /// Has the agent threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

crate::__agent_laws! { __law_table {
    /// Every law of an agent.
    AgentHarness, awaited
} }
