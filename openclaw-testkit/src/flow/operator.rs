//! Somebody who operates the gateway: resolves, approves, decides, replays.

use std::sync::Arc;

use openclaw_core::{
    Error, ErrorKind, MessageId, Result, TenantId,
    agent::Resolution,
    records::{Approval, Approvals},
    skill::SkillAnswer,
};
use serde_json::Value;

use super::{Heard, TestGateway, builder::named, hours};
use crate::env::EPOCH;

/// Somebody who operates the gateway.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_core::agent::Waiting;
/// use openclaw_testkit::{agent::ScriptedAgent, flow::TestGateway};
/// use serde_json::json;
///
/// let waiting = Waiting::Question { text: "which order?".into() };
/// let agent = ScriptedAgent::new("desk")?.always().then_wait(waiting);
/// let gateway = TestGateway::builder()
///     .gateway(move |builder| builder.agent(agent.clone()))
///     .start()
///     .await?;
/// let heard = gateway.user("alice").says("refund").expect_suspended().await?;
/// gateway.operator("bob").resolve(&heard, json!("1042")).await?;
/// gateway.user("alice").waits().expect_reply("1042").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Operator<'a> {
    gateway: &'a TestGateway,
    name: String,
    tenant: Option<String>,
}

impl<'a> Operator<'a> {
    pub(super) const fn new(gateway: &'a TestGateway, name: String) -> Self {
        Self { gateway, name, tenant: None }
    }

    /// The same operator, whose approvals are this tenant's.
    #[must_use]
    pub fn of(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Gives a suspended turn what it waits for.
    ///
    /// # Errors
    /// As [`Gateway::resolve`](openclaw_core::gateway::Gateway::resolve).
    pub async fn resolve(&self, heard: &Heard, value: Value) -> Result<()> {
        let message = message(heard)?;
        self.tell(format!("resolve {} {value}", self.name));
        let resolution = Resolution::new(self.name.as_str(), value);
        self.gateway.inner().resolve(heard.tenant(), message, resolution).await
    }

    /// Approves exactly this call of a skill, once, for an hour.
    ///
    /// # Errors
    /// `CONFLICT` when the id is taken.
    pub async fn approve(&self, id: &str, skill: &str, version: &str, input: &Value) -> Result<()> {
        let world = &self.gateway.world;
        let tenant = match &self.tenant {
            Some(name) => named(TenantId::new(name))?,
            None => world.tenant.clone(),
        };
        self.tell(format!("approve {} {id} {skill} {version} {input}", self.name));
        let until = EPOCH.after(world.elapsed() + hours(1));
        let digest = Approval::digest_of(&tenant, skill, version, input);
        let approval = Approval::granted(digest, self.name.as_str(), until);
        let rows = Arc::new(world.rows.memory.clone());
        Approvals::new(rows, tenant).grant(id, &approval).await
    }

    /// Says what became of an effect in doubt: it happened with this answer, or not at all.
    ///
    /// # Errors
    /// As [`Gateway::decide`](openclaw_core::gateway::Gateway::decide).
    pub async fn decide(
        &self,
        heard: &Heard,
        operation: &str,
        happened: Option<Value>,
    ) -> Result<()> {
        let message = message(heard)?;
        let words = happened.as_ref().map_or_else(|| "never".to_owned(), Value::to_string);
        self.tell(format!("decide {} {operation} {words}", self.name));
        let answer = happened.map(SkillAnswer::done);
        let gateway = self.gateway.inner();
        gateway.decide(heard.tenant(), message, operation, answer, &self.name).await
    }

    /// Sends a dead or parked message on its way again.
    ///
    /// # Errors
    /// As [`Gateway::replay`](openclaw_core::gateway::Gateway::replay).
    pub async fn replay(&self, heard: &Heard) -> Result<()> {
        let message = message(heard)?;
        self.tell(format!("replay {}", self.name));
        self.gateway.inner().replay(heard.tenant(), message, &self.name).await
    }

    /// Removes a dead or parked message for good. `false` when there is none.
    ///
    /// # Errors
    /// As [`Gateway::purge`](openclaw_core::gateway::Gateway::purge).
    pub async fn purge(&self, heard: &Heard) -> Result<bool> {
        let message = message(heard)?;
        self.tell(format!("purge {}", self.name));
        self.gateway.inner().purge(heard.tenant(), message, &self.name).await
    }

    fn tell(&self, words: String) {
        self.gateway.world.tell([words]);
    }
}

fn message(heard: &Heard) -> Result<MessageId> {
    let never = || Error::new(ErrorKind::NotFound, "the gateway never accepted this message");
    heard.message().ok_or_else(never)
}
