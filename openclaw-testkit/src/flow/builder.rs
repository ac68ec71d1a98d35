//! Composing a gateway under test.

use std::{collections::BTreeMap, fmt, sync::Mutex};

use openclaw_core::{
    ChannelId, Error, ErrorKind, InvalidId, OrFail, Result, TenantId, channel::Capabilities,
    gateway::GatewayBuilder, store::MemoryStore,
};
use tokio::time::Instant;

use super::{
    TestGateway,
    store::Rows,
    world::{Compose, World},
};
use crate::{
    env::{EPOCH, PausedClock, SeededRng},
    platform::Platform,
    trace::Trace,
};

/// Builds a [`TestGateway`].
#[must_use = "end it with `start`"]
pub struct TestGatewayBuilder {
    compose: Compose,
    seed: u64,
    tenant: String,
    channels: Vec<(String, Capabilities)>,
}

impl fmt::Debug for TestGatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestGatewayBuilder")
            .field("seed", &self.seed)
            .field("tenant", &self.tenant)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

impl TestGatewayBuilder {
    pub(super) fn new() -> Self {
        Self {
            compose: Box::new(|builder| builder),
            seed: 1,
            tenant: "acme".to_owned(),
            channels: Vec::new(),
        }
    }

    /// Composes the gateway: agents, skills, router, bounds. It is run again at each start.
    ///
    /// Store, environment and channels of the test are there already. Hand over the function
    /// that composes the real gateway, when it takes and returns a builder.
    pub fn gateway(
        mut self,
        compose: impl Fn(GatewayBuilder) -> GatewayBuilder + Send + Sync + 'static,
    ) -> Self {
        self.compose = Box::new(compose);
        self
    }

    /// Decides all randomness: ids, and the chances of fault plans. 1 unless set.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The tenant of users who name none. `"acme"` unless set.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Adds a channel with default capabilities.
    ///
    /// The first channel is that of users who name none. Without any there is one, `"chat"`.
    pub fn channel(self, name: impl Into<String>) -> Self {
        self.channel_with(name, Capabilities::default())
    }

    /// Adds a channel with these capabilities.
    pub fn channel_with(mut self, name: impl Into<String>, capabilities: Capabilities) -> Self {
        self.channels.push((name.into(), capabilities));
        self
    }

    /// Starts the first process.
    ///
    /// # Errors
    /// As [`GatewayBuilder::start`]; `VALIDATION_ERROR` for a name that is no id.
    pub async fn start(self) -> Result<TestGateway> {
        let clock = PausedClock::new(EPOCH);
        let mut channels = self.channels;
        if channels.is_empty() {
            channels.push(("chat".to_owned(), Capabilities::default()));
        }
        let mut desks = BTreeMap::new();
        let mut first = None;
        for (name, capabilities) in channels {
            let id = named(ChannelId::new(&name))?;
            first.get_or_insert_with(|| id.clone());
            let platform = Platform::new(id.clone(), Trace::default());
            if desks.insert(id, (platform, capabilities)).is_some() {
                let e = Error::new(ErrorKind::ValidationError, "this channel was added twice");
                return Err(e.with("channel", name));
            }
        }
        let none = || Error::new(ErrorKind::ValidationError, "there is no channel");
        let world = World {
            compose: self.compose,
            rows: Rows::new(MemoryStore::new(std::sync::Arc::new(clock.clone()))),
            clock,
            rng: SeededRng::new(self.seed),
            began: Instant::now(),
            desks,
            channel: first.ok_or_else(none)?,
            tenant: named(TenantId::new(&self.tenant))?,
            talk: Mutex::default(),
        };
        world.rows.know(&world.tenant);
        TestGateway::open(world).await
    }
}

/// A name of the test as an id.
pub(super) fn named<T>(id: Result<T, InvalidId>) -> Result<T> {
    id.before_send(ErrorKind::ValidationError)
}
