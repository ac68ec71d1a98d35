//! Settings of the HTTP channel, checked once.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use openclaw_core::{
    AgentId, ChannelId, Digest, Effect, Env, Error, ErrorKind, Limits, OrFail as _, Principal,
    Result, Secret, TenantId,
    channel::{Capabilities, Ordering},
};

use super::{
    body::Budget,
    channel::{ApiKey, HttpChannel, Inner},
    hook::Hook,
    intake::Intake,
    message::Names,
    secrets,
};

/// Makes an [`HttpChannel`].
///
/// ```
/// use openclaw_channels::http::{Hook, HttpChannel};
/// use openclaw_core::{ChannelId, Secret, TenantId};
///
/// let builder = HttpChannel::builder(ChannelId::new("web")?).tenant(TenantId::new("acme")?);
/// let shop = Hook::new("shop", Secret::new("correct horse battery staple"));
/// assert!(builder.clone().hook(shop).build().is_ok());
///
/// let guessable = Hook::new("shop", Secret::new("changeme"));
/// assert!(builder.hook(guessable).build().is_err());
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpChannelBuilder {
    id: ChannelId,
    tenant: Option<TenantId>,
    names: Names,
    hooks: Vec<Hook>,
    bearers: Vec<Bearer>,
    limits: Limits,
    env: Option<Env>,
    waiting: usize,
    reading: usize,
    reading_bytes: usize,
    connections: usize,
}

/// An API key, who comes with it, and whether it speaks for others.
#[derive(Clone, Debug)]
struct Bearer {
    key: Secret,
    principal: Principal,
    for_others: bool,
}

impl HttpChannelBuilder {
    pub(super) fn new(id: ChannelId) -> Self {
        Self {
            id,
            tenant: None,
            names: Names::default(),
            hooks: Vec::new(),
            bearers: Vec::new(),
            limits: Limits::default(),
            env: None,
            waiting: 1024,
            reading: 512,
            reading_bytes: 64 << 20,
            connections: 1024,
        }
    }

    /// Whose messages come in here, when no API key says otherwise.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// A name that `channel_id` may take. Without any, only the channel's own id.
    pub fn accept(mut self, channel: ChannelId) -> Self {
        self.names.channels.push(channel);
        self
    }

    /// A topic that is known. Without any, every topic is.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.names.topics.push(topic.into());
        self
    }

    /// The agents that a message may name. Without any, the gateway decides.
    pub fn agents(mut self, agents: impl IntoIterator<Item = AgentId>) -> Self {
        self.names.agents.extend(agents);
        self
    }

    /// A source of signed hooks.
    pub fn hook(mut self, hook: Hook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// An API key, at least 24 bytes, and who comes with it.
    ///
    /// With one set, each request to `/v1` needs a key; its messages are the principal's tenant's,
    /// and sent by its subject: a `sender_id` that names somebody else is refused.
    pub fn bearer(mut self, key: Secret, principal: Principal) -> Self {
        self.bearers.push(Bearer { key, principal, for_others: false });
        self
    }

    /// An API key of a program that brings other people's messages, of at least 24 bytes.
    ///
    /// It names any sender; such a sender is not verified. Whoever holds it decides who is said to
    /// have asked, and so who may not approve it: it is nothing for people who decide.
    pub fn bearer_for_others(mut self, key: Secret, principal: Principal) -> Self {
        self.bearers.push(Bearer { key, principal, for_others: true });
        self
    }

    /// What one request may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where dates and ids come from. The machine by default.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// How many messages may wait for the gateway; 503 above. 1,024.
    pub const fn waiting(mut self, messages: NonZeroUsize) -> Self {
        self.waiting = messages.get();
        self
    }

    /// How many bodies and bytes may be held at once. 512 and 64 MiB; 503 above.
    pub const fn reading(mut self, requests: NonZeroUsize, bytes: NonZeroUsize) -> Self {
        self.reading = requests.get();
        self.reading_bytes = bytes.get();
        self
    }

    /// How many connections may be open; 503 above. 1,024.
    pub const fn connections(mut self, connections: NonZeroUsize) -> Self {
        self.connections = connections.get();
        self
    }

    /// The channel, when all settings are good.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: a secret that is missing, short, guessable or used twice, or a name
    /// that is not one.
    pub fn build(mut self) -> Result<HttpChannel> {
        self.check_secrets()?;
        self.check_hooks()?;
        let hooks = self.hooks.iter().map(Hook::check).collect::<Result<_>>()?;
        if self.names.channels.is_empty() {
            self.names.channels.push(self.id.clone());
        }
        let tenant = match self.tenant {
            Some(tenant) => tenant,
            None => TenantId::new("default").before_send(ErrorKind::ValidationError)?,
        };
        let keys = self.bearers.into_iter().map(|Bearer { key, principal, for_others }| ApiKey {
            digest: api_key_digest(key.expose()),
            principal,
            for_others,
        });
        Ok(HttpChannel(Arc::new(Inner {
            id: self.id,
            capabilities: capabilities(),
            tenant,
            names: self.names,
            hooks,
            keys: keys.collect(),
            limits: self.limits,
            env: self.env.unwrap_or_else(Env::system),
            intake: Intake::new(self.waiting),
            budget: Budget::new(self.reading, self.reading_bytes),
            connections: self.connections,
            servers: Arc::new(AtomicUsize::new(0)),
        })))
    }

    fn check_secrets(&self) -> Result<()> {
        for Bearer { key, principal, .. } in &self.bearers {
            secrets::check(&format!("API key of {}", principal.subject), key)?;
        }
        let hooks = self
            .hooks
            .iter()
            .flat_map(|hook| hook.secrets().iter().map(|secret| (hook.role(), secret)));
        let keys = self
            .bearers
            .iter()
            .map(|bearer| (format!("API key of {}", bearer.principal.subject), &bearer.key));
        secrets::check_distinct(&hooks.chain(keys).collect::<Vec<_>>())
    }

    fn check_hooks(&self) -> Result<()> {
        let mut sources: Vec<&str> = self.hooks.iter().map(Hook::source).collect();
        sources.sort_unstable();
        match sources.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(_) => {
                let message = "two hooks have the same source: one scheme a source";
                Err(Error::new(ErrorKind::ValidationError, message))
            }
            None => Ok(()),
        }
    }
}

fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.tells_refusals = true;
    // Platforms repeat an event for three days at most, by hand or by themselves; a client's key
    // has a day with most. Twice that, and more.
    capabilities.redelivery_horizon = Duration::from_secs(7 * 86_400);
    // Connections race: only a client that waits for each answer has its order.
    capabilities.ordering = Ordering::None;
    // The reply is read from the gateway: sending it changes nothing.
    capabilities.post = Effect::Pure;
    capabilities
}

/// What is kept of an API key: a presented one is compared by it.
pub(super) fn api_key_digest(key: &str) -> [u8; 32] {
    *Digest::of("openclaw.api-key", [key]).as_bytes()
}
