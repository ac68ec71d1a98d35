//! The thread on which a store lives: its writer, its connections, its reads.

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    batch::Outcome,
    reader::{Ask, Found, Reader},
    shared::Shared,
    writer::{Batches, Ticket, Writer},
};
use crate::traits::store::{StoreCapabilities, StoreError, Txn, Version};

/// How many batches may wait in the queue, and how many tickets at most.
const QUEUED_BATCHES: usize = 4;
const QUEUED: usize = 1 << 20;

/// How long a dropped store may take to write what is queued.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long its connections may take to end in good order.
const GOODBYE: Duration = Duration::from_secs(1);

/// The way to the thread. Dropping it writes what is queued, and waits for that.
pub(super) struct Home {
    runtime: Handle,
    reader: Arc<Reader>,
    /// Taken to close.
    queue: Option<mpsc::Sender<Vec<Ticket>>>,
    closing: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    batch: usize,
}

/// What the thread begins with.
struct Start {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    batches: Batches,
    queue: mpsc::Receiver<Vec<Ticket>>,
    closing: oneshot::Receiver<()>,
    opened: oneshot::Sender<Result<(), StoreError>>,
}

impl Home {
    /// Starts the thread, and connects on it.
    pub(super) async fn open(
        shared: Shared,
        batches: Batches,
        readers: usize,
    ) -> Result<Self, StoreError> {
        let failed = |e| StoreError::Unavailable(format!("its thread did not start: {e}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let shared = Arc::new(shared);
        let reader = Arc::new(Reader::new(Arc::clone(&shared), readers));
        let (queue, tickets) =
            mpsc::channel(batches.max.saturating_mul(QUEUED_BATCHES).min(QUEUED));
        let (close, closing) = oneshot::channel();
        let (opened, opening) = oneshot::channel();
        let handle = runtime.handle().clone();
        let reads = Arc::clone(&reader);
        let start = Start { shared, reader: reads, batches, queue: tickets, closing, opened };
        let thread = thread::Builder::new()
            .name("openclaw-postgres".to_owned())
            .spawn(move || live(runtime, start))
            .map_err(failed)?;
        let home = Self {
            runtime: handle,
            reader,
            queue: Some(queue),
            closing: Some(close),
            thread: Some(thread),
            batch: batches.max,
        };
        opening.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(home)
    }

    /// Answers a read on the thread. A caller that leaves does not stop it.
    pub(super) async fn read(&self, ask: Ask) -> Result<Found, StoreError> {
        let reader = Arc::clone(&self.reader);
        let read = self.runtime.spawn(async move { reader.read(ask).await });
        read.await.unwrap_or_else(|_ended| Err(stopped()))
    }

    /// Gives out only versions over this one. It waits for the commit that is under way.
    pub(super) async fn raise(&self, least: Version) -> Result<(), StoreError> {
        let reader = Arc::clone(&self.reader);
        let raised = self.runtime.spawn(async move { reader.raise(least).await });
        raised.await.unwrap_or_else(|_ended| Err(stopped()))
    }

    /// Where a connection of its own lives, and what it shares.
    pub(super) fn place(&self) -> (Handle, Arc<Shared>) {
        (self.runtime.clone(), self.reader.shared())
    }

    /// Commits one transaction.
    pub(super) async fn commit(&self, txn: Txn, limits: &StoreCapabilities) -> Outcome {
        let mut outcomes = self.commit_many(vec![txn], limits).await;
        outcomes.pop().unwrap_or_else(|| Err(stopped()))
    }

    /// Commits several side by side, in one batch when they fit in one.
    pub(super) async fn commit_many(
        &self,
        txns: Vec<Txn>,
        limits: &StoreCapabilities,
    ) -> Vec<Outcome> {
        let mut asked = Vec::with_capacity(txns.len());
        let mut tickets = Vec::new();
        let mut left = txns.len();
        for txn in txns {
            left -= 1;
            let (id, checked) = (txn.id, txn.check(limits));
            asked.push(checked.map(|()| {
                let (answer, asked) = oneshot::channel();
                tickets.push(Ticket { txn, answer });
                (id, asked)
            }));
            if tickets.len() == self.batch || (left == 0 && !tickets.is_empty()) {
                // When nobody takes them, their callers hear that below.
                self.send(std::mem::take(&mut tickets)).await;
            }
        }
        let mut outcomes = Vec::with_capacity(asked.len());
        for asked in asked {
            outcomes.push(match asked {
                Ok((id, answer)) => answer.await.unwrap_or(Err(StoreError::OutcomeUnknown(id))),
                Err(e) => Err(e),
            });
        }
        outcomes
    }

    async fn send(&self, tickets: Vec<Ticket>) {
        let Some(queue) = &self.queue else { return };
        if let Err(mpsc::error::SendError(tickets)) = queue.send(tickets).await {
            for ticket in tickets {
                drop(ticket.answer.send(Err(stopped())));
            }
        }
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.queue.take());
        drop(self.closing.take());
        let Some(thread) = self.thread.take() else { return };
        // An answer may wake a task that holds the last handle: the thread can't wait for
        // itself, and ends by itself.
        if thread.thread().id() != thread::current().id() {
            drop(thread.join());
        }
    }
}

/// The thread: opens, writes until the last handle is gone, says goodbye.
fn live(runtime: Runtime, start: Start) {
    let Start { shared, reader, batches, queue, mut closing, opened } = start;
    runtime.block_on(async {
        let writer = tokio::select! {
            biased;
            writer = Writer::open(shared, batches) => writer,
            _given_up = &mut closing => return,
        };
        let writer = match writer {
            Ok(writer) => writer,
            Err(e) => {
                drop(opened.send(Err(e)));
                return;
            }
        };
        drop(opened.send(Ok(())));
        tokio::select! {
            biased;
            () = writer.run(queue) => {}
            () = async { drop(closing.await); sleep(LAST_WORDS).await } => {}
        }
        drop(timeout(GOODBYE, reader.close()).await);
    });
    // A name that is being looked up must not hold the caller.
    runtime.shutdown_background();
}

fn stopped() -> StoreError {
    StoreError::Closed("its thread has stopped: open the store again".to_owned())
}
