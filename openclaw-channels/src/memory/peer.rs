//! The platform's side of a memory channel.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, Error, ErrorKind, MessageId, Result, Sender,
    TenantId,
    channel::{Admitted, Nonce},
};
use tokio::sync::oneshot;

use super::hub::{Hub, MemoryCounts, Sent};
use crate::redelivery::Posted;

/// The other side of a [`MemoryChannel`](super::MemoryChannel): people, or a platform.
///
/// Cheap to clone; all clones are the same peer.
#[derive(Clone, Debug)]
pub struct MemoryPeer {
    channel: ChannelId,
    tenant: TenantId,
    /// Names this run. A message's id is never that of a message of another run.
    run: MessageId,
    said: Arc<AtomicU64>,
    hub: Arc<Hub>,
}

impl MemoryPeer {
    pub(super) fn new(channel: ChannelId, tenant: TenantId, run: MessageId, hub: Arc<Hub>) -> Self {
        Self { channel, tenant, run, said: Arc::default(), hub }
    }

    /// An envelope of this peer's channel and tenant, with an id of its own. It is to be changed
    /// and injected.
    #[must_use]
    pub fn envelope(&self, conversation: &str, content: impl Into<Content>) -> Envelope {
        let conversation = Conversation::new(self.channel.clone(), conversation);
        let number = self.said.fetch_add(1, Ordering::Relaxed);
        Envelope::new(self.tenant.clone(), conversation, Sender::new("peer"), content.into())
            .with_id(format!("{}-{number}", self.run))
    }

    /// Says something in a conversation.
    ///
    /// # Errors
    /// As [`MemoryPeer::inject`].
    pub fn say(&self, conversation: &str, text: &str) -> Result<()> {
        self.inject(self.envelope(conversation, text))
    }

    /// Puts a message into the channel.
    ///
    /// # Errors
    /// `OVERLOADED` when as many as the capacity wait or are unsettled; `CONFLICT` after
    /// [`MemoryPeer::close`].
    pub fn inject(&self, envelope: Envelope) -> Result<()> {
        self.hub.post(Posted::new(envelope))
    }

    /// Puts a message into the channel whose nonce may be seen only once.
    ///
    /// # Errors
    /// As [`MemoryPeer::inject`].
    pub fn inject_once(&self, envelope: Envelope, nonce: Nonce) -> Result<()> {
        self.hub.post(Posted { nonce: Some(nonce), ..Posted::new(envelope) })
    }

    /// Puts a message into the channel and waits for its last verdict.
    ///
    /// # Errors
    /// As [`MemoryPeer::inject`], or the reason for which the gateway refused it.
    pub async fn admit(&self, envelope: Envelope) -> Result<Admitted> {
        let (tell, verdict) = oneshot::channel();
        self.hub.post(Posted { tell: Some(tell), ..Posted::new(envelope) })?;
        let gone = |_| Error::new(ErrorKind::Unavailable, "the message was dropped unsettled");
        verdict.await.map_err(gone)?
    }

    /// What was sent and is not taken yet, oldest first. Takes nothing.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.hub.sent()
    }

    /// Takes all that was sent, oldest first.
    #[must_use]
    pub fn take_sent(&self) -> Vec<Sent> {
        self.hub.take_sent().into()
    }

    /// Takes the oldest that was sent; waits for it when there is none.
    ///
    /// Cancel-safe: a dropped call takes nothing.
    pub async fn next_sent(&self) -> Sent {
        self.hub.next_sent().await
    }

    /// What became of the messages so far.
    #[must_use]
    pub fn counts(&self) -> MemoryCounts {
        self.hub.counts()
    }

    /// Waits until the counts are as `enough` wants them.
    pub async fn counts_when(&self, enough: impl Fn(&MemoryCounts) -> bool + Send) -> MemoryCounts {
        loop {
            let settled = self.hub.settled().notified();
            let counts = self.hub.counts();
            if enough(&counts) {
                return counts;
            }
            settled.await;
        }
    }

    /// How many messages wait, and how many are handed out and not settled.
    #[must_use]
    pub fn backlog(&self) -> (usize, usize) {
        self.hub.backlog()
    }

    /// Drops the connection. The source fails, and what is unsettled comes again over the next.
    pub fn disconnect(&self) {
        self.hub.disconnect();
    }

    /// Says no more: the source ends once everything is settled.
    pub fn close(&self) {
        self.hub.close();
    }
}
