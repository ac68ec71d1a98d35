//! A channel inside this process: a peer injects messages and reads what was sent.

mod hub;
mod peer;
mod source;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Env, Error, ErrorKind, Result, TenantId,
    channel::{Capabilities, Channel, Health, Outbound, Part, Receipt, Source},
};

use self::{hub::Hub, source::MemorySource};

pub use self::{
    hub::{MemoryCounts, Sent},
    peer::MemoryPeer,
};

/// A channel whose platform is a [`MemoryPeer`] in the same process.
///
/// It redelivers what is not settled, keeps a conversation's order while it does, and bounds
/// both directions. A post under [`Effect::Keyed`](openclaw_core::Effect::Keyed) is taken once
/// for each key.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use openclaw_channels::memory::MemoryChannel;
/// use openclaw_core::channel::{Ack, Admitted, Channel, Outbound, Part};
/// use openclaw_core::{Call, ChannelId, Context, MessageId, TenantId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tenant = TenantId::new("acme")?;
/// let (channel, peer) = MemoryChannel::pair(ChannelId::new("web")?, tenant.clone());
/// peer.say("c1", "hello")?;
///
/// // What a gateway does: take it, settle it, answer.
/// let mut source = channel.receive().await?.ok_or("send-only")?;
/// for delivery in source.next(NonZeroUsize::MIN).await? {
///     let (envelope, settle) = delivery.into_parts();
///     settle.settle(Ack::Accept(Admitted::new(MessageId::from_u128(1), false))).await?;
///     let part = Part::new(envelope.content);
///     let post = Outbound::Post { to: envelope.conversation, part, reply_to: None };
///     channel.send(Call::outbound(Context::new(tenant.clone()), &channel, post)).await?;
/// }
///
/// assert_eq!(peer.next_sent().await.text(), "hello");
/// assert_eq!(peer.counts().accepted, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct MemoryChannel {
    id: ChannelId,
    capabilities: Arc<Capabilities>,
    hub: Arc<Hub>,
}

/// Makes a [`MemoryChannel`] and its peer.
#[derive(Clone, Debug)]
pub struct MemoryChannelBuilder {
    id: ChannelId,
    tenant: TenantId,
    capabilities: Capabilities,
    capacity: NonZeroUsize,
    env: Option<Env>,
}

impl MemoryChannelBuilder {
    /// What the channel is able to do. Redelivery, edits, reactions and typing by default.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// How many messages may wait, in each direction. 16,384.
    #[must_use]
    pub const fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Where the ids of what the peer says come from. The machine by default.
    #[must_use]
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// The channel, and its other side.
    #[must_use]
    pub fn build(self) -> (MemoryChannel, MemoryPeer) {
        let hub = Arc::new(Hub::new(&self.capabilities, self.capacity.get()));
        let run = self.env.unwrap_or_else(Env::system).next_id();
        let peer = MemoryPeer::new(self.id.clone(), self.tenant, run, Arc::clone(&hub));
        let capabilities = Arc::new(self.capabilities);
        (MemoryChannel { id: self.id, capabilities, hub }, peer)
    }
}

const CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);

impl MemoryChannel {
    /// A channel that can do everything, and its other side, which speaks for `tenant`.
    #[must_use]
    pub fn pair(id: ChannelId, tenant: TenantId) -> (Self, MemoryPeer) {
        Self::builder(id, tenant).build()
    }

    /// Starts a channel with settings of your own.
    #[must_use]
    pub fn builder(id: ChannelId, tenant: TenantId) -> MemoryChannelBuilder {
        let mut capabilities = Capabilities::default();
        capabilities.redelivers = true;
        // What is not settled comes again at once, and never in another process.
        capabilities.redelivery_horizon = Duration::from_secs(3_600);
        capabilities.edit = true;
        capabilities.delete = true;
        capabilities.react = true;
        capabilities.typing = true;
        MemoryChannelBuilder { id, tenant, capabilities, capacity: CAPACITY, env: None }
    }

    fn fits(&self, part: &Part) -> Result<()> {
        let Some(max) = self.capabilities.max_text else { return Ok(()) };
        let length = self.capabilities.unit.len(&part.content.to_text());
        if length <= max.get() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ValidationError, "the text is longer than the channel takes")
            .with("length", length)
            .with("max", max))
    }
}

#[async_trait]
impl Channel for MemoryChannel {
    fn id(&self) -> &ChannelId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(MemorySource::connect(Arc::clone(&self.hub)))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        if !self.capabilities.allows(call.payload()) {
            let message = "the channel does not declare this kind of outbound";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if let Outbound::Post { part, .. } | Outbound::Edit { part, .. } = call.payload() {
            self.fits(part)?;
        }
        self.hub.send(call).map(Receipt::new)
    }

    async fn health(&self) -> Health {
        if self.hub.is_connected() {
            Health::Up
        } else {
            Health::Down("the peer dropped the connection".to_owned())
        }
    }
}
