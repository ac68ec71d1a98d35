//! A channel of our own: the platform is the parent, at the other end of the link.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, Conversation, Effect, Envelope, Error, ErrorKind, OrFail as _,
    Result, Sender, TenantId,
    channel::{Ack, Acker, Capabilities, Channel, Delivery, Outbound, Receipt, Source},
};
use tokio::sync::mpsc;

use crate::{
    link::Link,
    wire::{Ask, Line, Name, TENANT, Up},
};

/// A message as the parent delivers it.
pub(crate) type Delivered = (Name, String);

/// One of the two channels.
#[derive(Debug)]
pub(crate) struct LinkChannel {
    line: Line,
    id: ChannelId,
    capabilities: Capabilities,
    link: Arc<Link>,
    /// Until the gateway subscribes.
    inbox: Mutex<Option<mpsc::Receiver<Delivered>>>,
}

impl LinkChannel {
    /// The channel, and where its messages go in.
    pub(crate) fn new(line: Line, link: Arc<Link>) -> Result<(Self, mpsc::Sender<Delivered>)> {
        let mut capabilities = Capabilities::default();
        capabilities.redelivers = true;
        capabilities.post = match line {
            Line::Plain => Effect::AtMostOnce,
            Line::Keyed => Effect::Keyed { retention: Duration::from_secs(3600) },
        };
        let (deliver, inbox) = mpsc::channel(4096);
        let inbox = Mutex::new(Some(inbox));
        Ok((Self { line, id: channel_id(line)?, capabilities, link, inbox }, deliver))
    }
}

fn channel_id(line: Line) -> Result<ChannelId> {
    ChannelId::new(line.id()).map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))
}

#[async_trait]
impl Channel for LinkChannel {
    fn id(&self) -> &ChannelId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken = || Error::new(ErrorKind::Unavailable, "the one connection was used");
        let inbox = inbox.ok_or_else(taken)?;
        let (id, link) = (self.id.clone(), Arc::clone(&self.link));
        Ok(Some(Box::new(LinkSource { id, link, inbox })))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        let key = call.key().map(ToString::to_string).unwrap_or_default();
        let Outbound::Post { to, part, .. } = call.into_payload() else {
            return Err(Error::new(ErrorKind::Unsupported, "posts only"));
        };
        let chat: usize = to.id.parse().before_send(ErrorKind::NotFound)?;
        let text = part.content.to_text().into_owned();
        let serial = self.link.ask(Ask::Post { line: self.line, key, chat, text }).await?;
        Ok(serial.map_or_else(Receipt::default, |serial| Receipt::new(serial.to_string())))
    }
}

#[derive(Debug)]
struct LinkSource {
    id: ChannelId,
    link: Arc<Link>,
    inbox: mpsc::Receiver<Delivered>,
}

impl LinkSource {
    fn delivery(&self, (name, text): Delivered) -> Result<Delivery> {
        let tenant = TenantId::new(TENANT)
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        let chat = Conversation::new(self.id.clone(), name.chat.to_string());
        let envelope = Envelope::new(tenant, chat, Sender::new("parent"), Content::text(text))
            .with_id(name.to_string());
        Ok(Delivery::new(envelope, LinkAcker { message: name, link: Arc::clone(&self.link) }))
    }
}

#[async_trait]
impl Source for LinkSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut batch = Vec::new();
        self.inbox.recv_many(&mut batch, max.get()).await;
        batch.into_iter().map(|delivered| self.delivery(delivered)).collect()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct LinkAcker {
    message: Name,
    link: Arc<Link>,
}

#[async_trait]
impl Acker for LinkAcker {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        let message = self.message;
        self.link
            .say(match ack {
                Ack::Accept(admitted) => Up::Ack { message, id: admitted.message },
                Ack::Retry { after, .. } => Up::Nack {
                    message,
                    after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                },
                Ack::DeadLetter { reason } => Up::Refused { message, why: reason.to_string() },
            })
            .await;
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        self.link.try_say(Up::Nack { message: self.message, after_ms: 0 });
    }
}
