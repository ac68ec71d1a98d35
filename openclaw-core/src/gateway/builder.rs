//! Composing a gateway: channels, agents, skills, a store, and what the bounds are.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::{Gateway, Router};
use crate::{
    AgentId, ChannelId, Env, Error, ErrorKind, Limits, Result,
    agent::{Agent, Budget},
    channel::Channel,
    middleware::{skill_stack::Skills, stack::Resilience},
    records::{Budgets, Retention, partitions::Fences},
    rules::Authorizer,
    skill::{Skill, SkillSource},
    store::{SharedStore, StateStore},
};

/// When a delivery is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckPolicy {
    /// Once the message is durable. The default.
    #[default]
    Recorded,
    /// Once the message is finished: replied, silent, dead or parked.
    Replied,
}

/// The bounds and times of a gateway.
///
/// Every default is stated at its field, or at the fields of its type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// Messages and replies on hand, over all conversations. 4,096.
    pub pending: usize,
    /// Messages on hand in one conversation. 64.
    pub lane: usize,
    /// Turns that run at once. 256.
    pub turns: usize,
    /// Replies that go out at once. 256.
    pub sends: usize,
    /// Attempts at a turn, the first included. 3.
    pub turn_attempts: u32,
    /// The pause after the first failed attempt at a turn; it doubles, up to 5 s. 1 s.
    ///
    /// Up to 60 s where the agent has to be asked again because the store takes nothing.
    pub turn_pause: Duration,
    /// The longest one attempt at a turn may take. 60 s.
    pub turn_timeout: Duration,
    /// Attempts at a part of a reply, the first and those of its stack included. 5.
    pub send_attempts: u32,
    /// The pause after the first failed attempt at a part; it doubles. 1 s.
    pub send_pause: Duration,
    /// The longest one attempt at a part may take. 30 s.
    pub send_timeout: Duration,
    /// A longer wait before a part is kept in the store and not in memory. 30 s.
    pub defer: Duration,
    /// The longest wait before a part that a platform may ask for, and any other. 24 h.
    ///
    /// A reply that is asked to wait for longer is a dead letter, and the next one goes on.
    pub longest_wait: Duration,
    /// What one turn may ask for.
    pub budget: Budget,
    /// What one message may cost.
    pub limits: Limits,
    /// How often the audit trail is sealed. 30 s.
    pub seal_every: Duration,
    /// How long what is finished is kept.
    pub retention: Retention,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            pending: 4096,
            lane: 64,
            turns: 256,
            sends: 256,
            turn_attempts: 3,
            turn_pause: second,
            turn_timeout: 60 * second,
            send_attempts: 5,
            send_pause: second,
            send_timeout: 30 * second,
            defer: 30 * second,
            longest_wait: 86_400 * second,
            budget: Budget::default(),
            limits: Limits::default(),
            seal_every: 30 * second,
            retention: Retention::default(),
        }
    }
}

/// Builds a [`Gateway`]; the store and the environment come first, everything else is added.
#[must_use = "end it with `start`"]
pub struct GatewayBuilder {
    pub(super) env: Env,
    pub(super) store: SharedStore,
    pub(super) channels: Vec<(Arc<dyn Channel>, AckPolicy)>,
    pub(super) agents: Vec<Arc<dyn Agent>>,
    pub(super) skills: Vec<Arc<dyn Skill>>,
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    pub(super) source: Option<Arc<dyn SkillSource>>,
    pub(super) router: Router,
    pub(super) config: GatewayConfig,
    pub(super) resilience: Option<Resilience>,
    pub(super) budgets: Budgets,
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("channels", &self.channels.len())
            .field("agents", &self.agents.len())
            .field("skills", &self.skills.len())
            .finish_non_exhaustive()
    }
}

impl GatewayBuilder {
    pub(super) fn new(env: Env, store: impl StateStore) -> Self {
        Self {
            env,
            store: Arc::new(store),
            channels: Vec::new(),
            agents: Vec::new(),
            skills: Vec::new(),
            authorizer: None,
            source: None,
            router: Router::default(),
            config: GatewayConfig::default(),
            resilience: None,
            budgets: Budgets::default(),
        }
    }

    /// Adds a channel that is acknowledged once a message is durable.
    pub fn channel(self, channel: impl Channel) -> Self {
        self.channel_with(channel, AckPolicy::Recorded)
    }

    /// Adds a channel with its own moment of acknowledgement.
    pub fn channel_with(mut self, channel: impl Channel, ack: AckPolicy) -> Self {
        self.channels.push((Arc::new(channel), ack));
        self
    }

    /// Adds an agent. Without a router the first agent gets every message.
    pub fn agent(mut self, agent: impl Agent) -> Self {
        self.agents.push(Arc::new(agent));
        self
    }

    /// Adds a skill.
    pub fn skill(mut self, skill: impl Skill) -> Self {
        self.skills.push(Arc::new(skill));
        self
    }

    /// Says which calls of skills are allowed, refused, or need a person's yes. All are allowed.
    ///
    /// A call that needs a yes is recorded as a request, and answered with `APPROVAL_REQUIRED`. An
    /// agent that gives up with that error has its turn suspended until
    /// [`Gateway::decide_approval`], or until the time of the request is over. Run again, the same
    /// operation with the same arguments finds the grant, and its claim consumes it.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Takes the skills of a source, such as a registry with many versions of each.
    ///
    /// A skill that was added by itself hides one of the same name. The last source counts. A
    /// conversation is a route of its own: see [`RouteKey`](crate::skill::RouteKey).
    pub fn skills(mut self, source: impl SkillSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Says which agent gets which message.
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// Sets bounds and times.
    pub fn config(mut self, config: GatewayConfig) -> Self {
        self.config = config;
        self
    }

    /// Puts stacks around calls of skills, sends of channels and turns of agents.
    ///
    /// | stack | goes around | what it refuses |
    /// |---|---|---|
    /// | [`Resilience::skill`] of the skill's id | each call, between the claim and the dispatch mark | was surely not sent; its effect stays claimed, and may be asked for again |
    /// | [`Resilience::send`] of the channel's id | each part of a reply; the mark is innermost, before each try | costs no attempt: the reply waits for `retry_after`, in the store when that is longer than [`GatewayConfig::defer`] |
    /// | [`Resilience::agent`] of the agent's id | each attempt at a turn | costs no attempt: the message waits |
    ///
    /// Tries of a send's retry are attempts of its part, [`GatewayConfig::send_attempts`] in all. A
    /// turn's attempts are the gateway's alone: the retry of an agent's stack repeats none. What was
    /// refused is tried again within five minutes, because settings change while a gateway runs.
    /// Streamed hints and admission go without a stack, and without this everything does.
    pub fn resilience(mut self, resilience: Resilience) -> Self {
        self.resilience = Some(resilience);
        self
    }

    /// Bounds what each tenant's skill calls may spend; nothing bounds it without.
    ///
    /// The claim of an effect reserves what its call is expected to cost. Over a limit the agent
    /// hears `RATE_LIMITED`, with the time to the next window as `retry_after`, and nothing is
    /// claimed. What is left is in [`Gateway::accounts`].
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// Takes the store over, recovers what a crash left, and starts to work.
    ///
    /// # Errors
    /// A name is used twice, a route names an unknown agent, a skill declares what it does not
    /// offer or calls others in a circle, or ones that are not here; finished messages are kept for
    /// a shorter time than a channel may deliver them again; a row is of a newer program; the store
    /// holds an unfinished copy or restore, can't be read, or another gateway starts on it
    /// (`CONFLICT`).
    pub async fn start(self) -> Result<Gateway> {
        let parts = self.check()?;
        let fences = Fences::seize(&parts.store, &parts.env).await?;
        Gateway::open(parts, fences).await
    }

    pub(super) fn check(mut self) -> Result<Parts> {
        if self.router.agents().next().is_none() {
            self.router =
                Router::new(Vec::new(), self.agents.first().map(|agent| agent.id().clone()));
        }
        let mut channels = BTreeMap::new();
        let mut acks = BTreeMap::new();
        self.config.retention.check_pause()?;
        for (channel, ack) in self.channels {
            let id = channel.id().clone();
            self.config.retention.check(&id, channel.capabilities().redelivery_horizon)?;
            acks.insert(id.clone(), ack);
            unique("channel", id.as_str(), channels.insert(id.clone(), channel).is_none())?;
        }
        let mut agents = BTreeMap::new();
        for agent in self.agents {
            let id = agent.id().clone();
            unique("agent", id.as_str(), agents.insert(id.clone(), agent).is_none())?;
        }
        let skills = Skills::new(self.skills, self.source)?;
        if let Some(unknown) = self.router.agents().find(|id| !agents.contains_key(*id)) {
            return Err(invalid(
                "a route names an agent that was not added",
                "agent",
                unknown.as_str(),
            ));
        }
        let Self { env, store, authorizer, router, config, resilience, budgets, .. } = self;
        Ok(Parts {
            env,
            store,
            channels,
            acks,
            agents,
            skills,
            authorizer,
            router,
            config,
            resilience,
            budgets,
        })
    }
}

/// What a checked builder hands over.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) env: Env,
    pub(super) store: SharedStore,
    pub(super) channels: BTreeMap<ChannelId, Arc<dyn Channel>>,
    pub(super) acks: BTreeMap<ChannelId, AckPolicy>,
    pub(super) agents: BTreeMap<AgentId, Arc<dyn Agent>>,
    pub(super) skills: Skills,
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    pub(super) router: Router,
    pub(super) config: GatewayConfig,
    pub(super) resilience: Option<Resilience>,
    pub(super) budgets: Budgets,
}

fn unique(what: &'static str, id: &str, is_new: bool) -> Result<()> {
    if is_new { Ok(()) } else { Err(invalid("this name was added twice", what, id)) }
}

fn invalid(why: &'static str, what: &'static str, id: &str) -> Error {
    Error::new(ErrorKind::ValidationError, why).with(what, id)
}
