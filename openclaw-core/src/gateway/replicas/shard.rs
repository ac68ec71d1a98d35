//! A real channel as the gateway of one partition sees it: fed by the replica's front.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use crate::{
    Call, ChannelId, Content, Result,
    channel::{
        Capabilities, Channel, Delivery, Health, Outbound, Part, Receipt, Reconcile, Source,
    },
};

/// Deliveries that wait for the gateway of one partition, for each channel.
const QUEUE: usize = 64;

/// The way into the gateway of a partition, for one channel.
pub(super) type Door = mpsc::Sender<Delivery>;

type Queue = Arc<Mutex<mpsc::Receiver<Delivery>>>;

/// Sends as the real channel does; what comes in, came through the front.
pub(super) struct ShardChannel {
    real: Arc<dyn Channel>,
    queue: Queue,
}

impl ShardChannel {
    /// The channel, and the door that leads into it.
    pub(super) fn new(real: Arc<dyn Channel>) -> (Self, Door) {
        let (door, queue) = mpsc::channel(QUEUE);
        (Self { real, queue: Arc::new(Mutex::new(queue)) }, door)
    }
}

impl fmt::Debug for ShardChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.real.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Channel for ShardChannel {
    fn id(&self) -> &ChannelId {
        self.real.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.real.capabilities()
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(Some(Box::new(ShardSource(Arc::clone(&self.queue)))))
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        self.real.send(call).await
    }

    fn render(&self, content: &Content) -> Vec<Part> {
        self.real.render(content)
    }

    async fn health(&self) -> Health {
        self.real.health().await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.real.reconcile()
    }
}

/// What came through the door; it ends when the door is gone and the queue is empty.
#[derive(Debug)]
struct ShardSource(Queue);

#[async_trait]
impl Source for ShardSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut batch = Vec::new();
        // Cancel-safe: nothing is taken out before it is handed out.
        self.0.lock().await.recv_many(&mut batch, max.get()).await;
        Ok(batch)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // What is left is dropped with the queue: its sender tries again.
        self.0.lock().await.close();
        Ok(())
    }
}
