//! The receiving half of a memory channel.

use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use openclaw_core::{
    Error, ErrorKind, Happened, Result,
    channel::{Ack, Acker, Delivery, Source},
};
use tokio::time;

use super::hub::{Found, Hub};
use crate::redelivery::{Handed, Ticket};

#[derive(Debug)]
pub(super) struct MemorySource {
    hub: Arc<Hub>,
    connection: u64,
}

impl MemorySource {
    pub(super) fn connect(hub: Arc<Hub>) -> Self {
        let connection = hub.connect();
        Self { hub, connection }
    }

    fn deliver(&self, handed: Handed) -> Delivery {
        let acker = MemoryAcker { hub: Arc::clone(&self.hub), ticket: handed.ticket };
        let delivery = Delivery::new(handed.envelope, acker);
        match handed.nonce {
            Some(nonce) => delivery.with_nonce(nonce),
            None => delivery,
        }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        loop {
            // Made before the look: what comes in between wakes it.
            let arrived = self.hub.arrived().notified();
            match self.hub.look(self.connection, max.get()) {
                Found::Messages(handed) => {
                    return Ok(handed.into_iter().map(|handed| self.deliver(handed)).collect());
                }
                Found::Ended => return Ok(Vec::new()),
                Found::Stale => {
                    // The wake-up may have been meant for the source that replaced this one.
                    self.hub.arrived().notify_one();
                    return Err(Error::new(ErrorKind::Unavailable, "the connection is gone")
                        .with_happened(Happened::No));
                }
                Found::Nothing { until: None } => arrived.await,
                Found::Nothing { until: Some(due) } => {
                    // Due or woken, it looks again.
                    time::timeout_at(due, arrived).await.ok();
                }
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryAcker {
    hub: Arc<Hub>,
    ticket: Ticket,
}

#[async_trait]
impl Acker for MemoryAcker {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        if self.hub.settle(self.ticket, ack) {
            return Ok(());
        }
        let message = "the connection is gone: the message comes again";
        Err(Error::new(ErrorKind::Unavailable, message).with_happened(Happened::No))
    }

    fn abandon(self: Box<Self>) {
        self.hub.abandon(self.ticket);
    }
}
