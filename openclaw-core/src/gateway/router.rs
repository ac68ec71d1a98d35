//! The router: rules and an envelope in, an agent out. No clock, no lock, no I/O.

use crate::{AgentId, ChannelId, Envelope};

/// One rule: every condition it names must hold.
///
/// ```
/// use openclaw_core::{AgentId, ChannelId, Content, Conversation, Envelope, Sender, TenantId};
/// use openclaw_core::gateway::{Route, Router};
///
/// let (desk, night) = (AgentId::new("desk")?, AgentId::new("night")?);
/// let router = Router::new(vec![Route::to(night.clone()).header("shift", "night")], Some(desk.clone()));
/// let chat = Conversation::new(ChannelId::new("web")?, "c1");
/// let envelope = Envelope::new(TenantId::new("acme")?, chat, Sender::new("ann"), Content::text("hi"));
/// assert_eq!(router.route(&envelope), Some(&desk));
/// assert_eq!(router.route(&envelope.with_header("shift", "night")), Some(&night));
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct Route {
    agent: AgentId,
    channel: Option<ChannelId>,
    topic: Option<String>,
    header: Option<(String, String)>,
    sender: Option<String>,
}

impl Route {
    /// A rule for this agent; without conditions it takes every message.
    #[must_use]
    pub const fn to(agent: AgentId) -> Self {
        Self { agent, channel: None, topic: None, header: None, sender: None }
    }

    /// Only messages of this channel.
    #[must_use]
    pub fn channel(mut self, channel: ChannelId) -> Self {
        self.channel = Some(channel);
        self
    }

    /// Only this topic; a `*` at the end stands for any rest.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only messages with this header. Headers are the sender's own words.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.header = Some((name.into(), value.into()));
        self
    }

    /// Only this sender, compared exactly.
    #[must_use]
    pub fn sender(mut self, sender: impl Into<String>) -> Self {
        self.sender = Some(sender.into());
        self
    }

    /// The agent it names.
    #[must_use]
    pub const fn agent(&self) -> &AgentId {
        &self.agent
    }

    fn matches(&self, envelope: &Envelope) -> bool {
        let channel = self.channel.as_ref().is_none_or(|c| *c == envelope.conversation.channel);
        let topic = self.topic.as_deref().is_none_or(|pattern| {
            envelope.topic.as_deref().is_some_and(|topic| topic_matches(pattern, topic))
        });
        let header =
            self.header.as_ref().is_none_or(|(name, value)| envelope.header(name) == Some(value));
        let sender = self.sender.as_deref().is_none_or(|s| s == &*envelope.sender.id);
        channel && topic && header && sender
    }
}

fn topic_matches(pattern: &str, topic: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == topic, |start| topic.starts_with(start))
}

/// Rules in order; the first that matches wins, then the fallback.
#[derive(Clone, Debug, Default)]
pub struct Router {
    routes: Vec<Route>,
    fallback: Option<AgentId>,
}

impl Router {
    /// These rules, and an agent for everything else.
    #[must_use]
    pub const fn new(routes: Vec<Route>, fallback: Option<AgentId>) -> Self {
        Self { routes, fallback }
    }

    /// The agent for this message; `None` when nobody is meant.
    #[must_use]
    pub fn route(&self, envelope: &Envelope) -> Option<&AgentId> {
        let rule = self.routes.iter().find(|route| route.matches(envelope));
        rule.map(Route::agent).or(self.fallback.as_ref())
    }

    /// Every agent that the rules name.
    pub(super) fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.routes.iter().map(Route::agent).chain(&self.fallback)
    }
}
