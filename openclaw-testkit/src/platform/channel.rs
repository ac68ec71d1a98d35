//! The channel of one process to a platform.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Effect, Error, ErrorKind, Happened, Result,
    channel::{
        Capabilities, Channel, Health, Intent, Outbound, Receipt, Reconcile, Reconciled, Source,
    },
};

use super::{Platform, Sending, source::Inlet};
use crate::fault::Power;

/// The channel of one process to a [`Platform`]: without power it is silent for ever.
///
/// It can be asked afterwards when its posts are declared `Reconcilable`.
#[derive(Clone, Debug)]
pub struct PlatformChannel {
    pub(super) platform: Platform,
    pub(super) power: Power,
    capabilities: Capabilities,
}

impl PlatformChannel {
    pub(super) const fn new(platform: Platform, capabilities: Capabilities, power: Power) -> Self {
        Self { platform, power, capabilities }
    }
}

#[async_trait]
impl Channel for PlatformChannel {
    fn id(&self) -> &ChannelId {
        &self.platform.0.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        self.power.gate().await;
        Ok(Some(Box::new(Inlet(self.clone()))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        self.power.gate().await;
        let sending = self.platform.next_sending();
        let error = |kind, happened| Error::new(kind, "the test says so").with_happened(happened);
        match sending {
            Sending::Take => Ok(self.platform.take(&call)),
            Sending::Refuse(kind) => Err(error(kind, Happened::No)),
            Sending::Limit(after) => {
                Err(error(ErrorKind::RateLimited, Happened::No).with_retry_after(after))
            }
            Sending::LoseAnswer => {
                self.platform.take(&call);
                Err(error(ErrorKind::Unavailable, Happened::Maybe))
            }
            Sending::LoseRequest => Err(error(ErrorKind::Unavailable, Happened::Maybe)),
            Sending::Late(by) => {
                let receipt = self.platform.take(&call);
                tokio::time::sleep(by).await;
                Ok(receipt)
            }
            Sending::Hang => {
                self.platform.take(&call);
                std::future::pending().await
            }
            Sending::Panic => boom(),
        }
    }

    async fn health(&self) -> Health {
        Health::Up
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.capabilities.post == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for PlatformChannel {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        self.power.gate().await;
        let mut books = self.platform.books();
        if let Some(scripted) = books.reconciled.pop_front() {
            return Ok(scripted);
        }
        let at = books.posts.iter().position(|post| post.key == intent.key.as_str());
        Ok(at.map_or(Reconciled::DidNotHappen, |at| {
            Reconciled::Happened(Arc::new(format!("p{at}").into()))
        }))
    }
}

#[expect(clippy::panic, reason = "to panic is what it is for")]
fn boom() -> Result<Receipt> {
    panic!("the channel panics, as the test asked")
}
