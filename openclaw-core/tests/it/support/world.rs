//! One world: a clock, a store's rows, a platform, and gateways that start and die on them.

use std::{ops::Deref, time::Duration};

use openclaw_core::{
    AgentId, ChannelId, Content, Conversation, Env, Envelope, MessageId, Sender, TenantId,
    agent::{Agent, Answer, agent_fn},
    channel::{Capabilities, Nonce},
    gateway::{Gateway, GatewayBuilder, MessageState, MessageStatus},
    store::MemoryStore,
};
use openclaw_testkit::{
    env::test_env,
    fault::{FaultStore, Plan, Power},
    platform::{Platform, Ticket, Verdict},
    trace::Trace,
};

use super::LONG;

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// A conversation on the channel `desk`.
pub(crate) fn chat(name: &str) -> Conversation {
    Conversation::new(ChannelId::new("desk").unwrap(), name)
}

/// A message of Ann's into a chat.
pub(crate) fn envelope(place: &str, id: Option<&str>, text: &str) -> Envelope {
    let envelope = Envelope::new(tenant(), chat(place), Sender::new("ann"), Content::text(text));
    match id {
        Some(id) => envelope.with_id(id),
        None => envelope,
    }
}

/// An agent that says what it hears.
pub(crate) fn echo() -> impl Agent {
    agent_fn(AgentId::new("echo").unwrap(), |turn| async move { Ok(Answer::text(&*turn.text())) })
}

/// The number at the end of a text: `"m-17"` has 17.
pub(crate) fn number(text: &str) -> u64 {
    let digits = text.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap()
}

/// What outlives every process.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) trace: Trace,
    pub(crate) rows: MemoryStore,
    pub(crate) platform: Platform,
    pub(crate) capabilities: Capabilities,
}

impl World {
    /// A world whose channel doesn't tell refusals; make it inside a runtime that is paused.
    pub(crate) fn new(seed: u64) -> Self {
        let env = test_env(seed);
        let trace = Trace::default();
        Self {
            rows: MemoryStore::new(env.clock()),
            platform: Platform::new(ChannelId::new("desk").unwrap(), trace.clone()),
            capabilities: capabilities(),
            trace,
            env,
        }
    }

    /// Starts a process on what is there.
    pub(crate) async fn start(
        &self,
        compose: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
    ) -> Run {
        self.start_with(|_| {}, compose).await
    }

    /// Starts a process whose store is broken like this from the first moment.
    pub(crate) async fn start_with(
        &self,
        harm: impl FnOnce(&Plan),
        compose: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
    ) -> Run {
        let power = Power::on();
        let plan = Plan::new(power.clone());
        harm(&plan);
        let store = FaultStore::new(self.rows.clone(), plan.clone()).traced(self.trace.clone());
        let desk = self.platform.channel(self.capabilities.clone(), power.clone());
        let builder = Gateway::builder(self.env.clone(), store.clone()).channel(desk);
        let gateway = compose(builder).start().await.unwrap();
        Run { gateway, store, plan, power, platform: self.platform.clone() }
    }

    /// Ann writes; the platform gives the message this id.
    pub(crate) fn say(&self, place: &str, id: &str, text: &str) -> Ticket {
        self.platform.deliver(envelope(place, Some(id), text), None)
    }

    pub(crate) fn say_once(&self, place: &str, id: Option<&str>, nonce: Nonce) -> Ticket {
        self.platform.deliver(envelope(place, id, "signed"), Some(nonce))
    }

    /// Ann writes, and the gateway acknowledges.
    pub(crate) async fn tell(&self, place: &str, id: &str, text: &str) -> MessageId {
        let ticket = self.say(place, id, text);
        match self.platform.verdict(ticket).await {
            Verdict::Accepted { message, .. } => message,
            other => panic!("{id} was not accepted: {other:?}"),
        }
    }
}

/// The test channel's facts, before a test changes them.
fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.redelivers = true;
    capabilities
}

/// One process.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) gateway: Gateway,
    pub(crate) store: FaultStore<MemoryStore>,
    pub(crate) plan: Plan,
    pub(crate) power: Power,
    platform: Platform,
}

impl Deref for Run {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl Run {
    /// The platform it is connected to.
    pub(crate) const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Waits until a message of `acme` is final.
    pub(crate) async fn end(&self, message: MessageId) -> MessageStatus {
        let end = tokio::time::timeout(LONG, self.gateway.settled(&tenant(), message)).await;
        end.expect("the message comes to an end").unwrap()
    }

    /// Waits until the message is final, and checks how it ended.
    pub(crate) async fn ends(&self, message: MessageId, state: MessageState) {
        let end = self.end(message).await;
        assert_eq!(end.state, state, "{end:?}");
    }

    /// Waits for the verdict over a delivery, which must be an acceptance.
    pub(crate) async fn accepted(&self, ticket: Ticket) -> MessageId {
        match self.platform.verdict(ticket).await {
            Verdict::Accepted { message, .. } => message,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Waits until the process has died of its fault.
    pub(crate) async fn dies(self) {
        tokio::time::timeout(LONG, self.power.lost()).await.expect("the fault is met");
        self.kill().await;
    }

    /// `kill -9`: nothing of this process is heard of again.
    pub(crate) async fn kill(self) {
        self.power.cut();
        // The store is out of reach, so the drain can't end: it only drops the tasks.
        let drained = self.gateway.drain(Duration::ZERO);
        tokio::time::timeout(Duration::from_millis(100), drained).await.ok();
    }
}
