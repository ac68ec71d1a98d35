//! The receiving half of a naive channel.

use std::{num::NonZeroUsize, sync::Arc};

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, Error, ErrorKind, Result, Sender, TenantId,
    channel::{Ack, Acker, Delivery, Source},
};
use tokio::task::yield_now;

use super::{
    Flaw,
    hub::{Found, Hub, Message},
};

#[derive(Debug)]
pub(super) struct NaiveSource {
    channel: ChannelId,
    connection: u64,
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct Verdict {
    number: u64,
    hub: Arc<Hub>,
}

impl NaiveSource {
    pub(super) fn new(channel: ChannelId, connection: u64, hub: &Arc<Hub>) -> Self {
        Self { channel, connection, hub: Arc::clone(hub) }
    }

    fn delivery(&self, message: Message) -> Delivery {
        let chat = Conversation::new(self.channel.clone(), message.conversation);
        let tenant = TenantId::new("law").unwrap();
        let content = Content::text(message.text);
        let envelope = Envelope::new(tenant, chat, Sender::new("ann"), content).with_id(message.id);
        let (number, hub) = (message.number, Arc::clone(&self.hub));
        Delivery::new(envelope, Verdict { number, hub })
    }
}

#[async_trait::async_trait]
impl Source for NaiveSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        loop {
            let arrived = self.hub.arrived.notified();
            match self.hub.look(self.connection, max.get()) {
                Found::Messages(messages) => {
                    if self.hub.flaw == Flaw::NextLosesWhatItHeld {
                        yield_now().await;
                    }
                    return Ok(messages.into_iter().map(|m| self.delivery(m)).collect());
                }
                Found::Gone => return Err(Error::new(ErrorKind::Unavailable, "hung up")),
                Found::Nothing(_) if self.hub.flaw == Flaw::NothingMeansEnd => {
                    return Ok(Vec::new());
                }
                Found::Nothing(None) => arrived.await,
                Found::Nothing(Some(due)) => {
                    let soon = tokio::time::timeout_at(due, arrived).await;
                    drop(soon);
                }
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.hub.close();
        Ok(())
    }
}

#[async_trait::async_trait]
impl Acker for Verdict {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        if self.hub.settle(self.number, &ack) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "not out any more"))
    }

    fn abandon(self: Box<Self>) {
        self.hub.abandon(self.number);
    }
}
