//! The way from a request to the gateway and the verdict's way back.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    Envelope, Error, ErrorKind, Happened, Result,
    channel::{Ack, Acker, Delivery, Nonce, Source},
};
use tokio::sync::{mpsc, oneshot};

use super::problem::Problem;

/// A message whose sender waits for the verdict.
#[derive(Debug)]
struct Asked {
    envelope: Envelope,
    nonce: Option<Nonce>,
    verdict: oneshot::Sender<Ack>,
}

/// A bounded queue to the gateway.
///
/// It is there before a source is: a gateway opens its channels once it has started, and whoever
/// asks between waits instead of being turned away.
#[derive(Debug)]
pub(super) struct Intake {
    capacity: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<Asked>,
    /// The other end, until the first source takes it.
    unclaimed: Option<mpsc::Receiver<Asked>>,
}

impl Queue {
    fn new(capacity: usize) -> Self {
        let (sender, asked) = mpsc::channel(capacity);
        Self { sender, unclaimed: Some(asked) }
    }
}

impl Intake {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, queue: Mutex::new(Queue::new(capacity)) }
    }

    /// Connects a new source. The one before it ends once it has given out what it holds.
    pub(super) fn connect(&self) -> Box<dyn Source> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(asked) = queue.unclaimed.take() {
                return Box::new(HttpSource(asked));
            }
            *queue = Queue::new(self.capacity);
        }
    }

    /// Hands a message over; the answer is where its verdict comes.
    pub(super) fn ask(
        &self,
        envelope: Envelope,
        nonce: Option<Nonce>,
    ) -> Result<oneshot::Receiver<Ack>, Problem> {
        let (verdict, answer) = oneshot::channel();
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.sender.try_send(Asked { envelope, nonce, verdict }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Problem::overloaded("too many messages at once"),
            mpsc::error::TrySendError::Closed(_) => Problem::unavailable("not taking messages"),
        })?;
        Ok(answer)
    }
}

#[derive(Debug)]
struct HttpSource(mpsc::Receiver<Asked>);

#[async_trait]
impl Source for HttpSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let mut asked = Vec::new();
        self.0.recv_many(&mut asked, max.get()).await;
        let deliver = |Asked { envelope, nonce, verdict }| {
            let delivery = Delivery::new(envelope, Verdict(verdict));
            match nonce {
                Some(nonce) => delivery.with_nonce(nonce),
                None => delivery,
            }
        };
        Ok(asked.into_iter().map(deliver).collect())
    }

    /// Those who still wait are told at once that nothing was taken.
    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Verdict(oneshot::Sender<Ack>);

#[async_trait]
impl Acker for Verdict {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        self.0.send(ack).map_err(|_gone| {
            Error::new(ErrorKind::Unavailable, "the client is gone before its answer")
                .with_happened(Happened::No)
        })
    }

    /// Dropping the sender tells the request that nothing was taken.
    fn abandon(self: Box<Self>) {}
}
