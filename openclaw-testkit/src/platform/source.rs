//! What people wrote, on its way into a gateway.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use openclaw_core::{
    Result,
    channel::{Ack, Acker, Delivery, Source},
};

use super::{PlatformChannel, Ticket, Verdict};

#[derive(Debug)]
pub(super) struct Inlet(pub(super) PlatformChannel);

impl Inlet {
    fn take(&self, max: usize) -> Vec<Delivery> {
        let mut books = self.0.platform.books();
        let n = books.waiting.len().min(max);
        let some = books.waiting.drain(..n);
        some.map(|(ticket, envelope, nonce)| {
            let slip = Slip { desk: self.0.clone(), ticket, settled: false };
            let delivery = Delivery::new(envelope, slip);
            match nonce {
                Some(nonce) => delivery.with_nonce(nonce),
                None => delivery,
            }
        })
        .collect()
    }
}

#[async_trait]
impl Source for Inlet {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let platform = &self.0.platform;
        platform.books().pulled.push(max.get());
        loop {
            self.0.power.gate().await;
            let changed = platform.0.changed.notified();
            let batch = self.take(max.get());
            if !batch.is_empty() {
                return Ok(batch);
            }
            changed.await;
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.0.platform.books().closed += 1;
        Ok(())
    }
}

/// The duty to settle one delivery; lost with its process, the platform takes it as abandoned.
#[derive(Debug)]
struct Slip {
    desk: PlatformChannel,
    ticket: Ticket,
    settled: bool,
}

#[async_trait]
impl Acker for Slip {
    async fn settle(mut self: Box<Self>, ack: Ack) -> Result<()> {
        self.desk.power.gate().await;
        let verdict = match ack {
            Ack::Accept(admitted) => {
                Verdict::Accepted { message: admitted.message, duplicate: admitted.duplicate }
            }
            Ack::Retry { after, error } => Verdict::Retry { after, kind: error.kind() },
            Ack::DeadLetter { reason } => Verdict::Refused(reason.kind()),
        };
        self.settled = true;
        self.desk.platform.settle(self.ticket, verdict);
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.settled {
            self.desk.platform.settle(self.ticket, Verdict::Abandoned);
        }
    }
}
