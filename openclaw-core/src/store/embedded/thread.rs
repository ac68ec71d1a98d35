//! The one thread that writes: a batch, a sync, the answers.

use std::{
    fmt, mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    guarded,
    queue::{Queue, Ticket},
};
use crate::traits::store::{Commit, StoreCapabilities, StoreError, Txn, TxnId, Version};

/// How many batches may wait in the queue.
const QUEUED_BATCHES: usize = 4;

/// What a caller is told.
pub(in crate::store) type Outcome = Result<Commit, StoreError>;

/// How a batch ended without a commit.
#[derive(Debug)]
pub(in crate::store) enum Failed {
    /// Nothing of it is stored.
    Before(StoreError),
    /// It may be stored or not: the store is poisoned.
    After(StoreError),
}

impl Failed {
    /// What the caller of this transaction is told.
    fn told(&self, id: TxnId) -> StoreError {
        match self {
            Self::Before(e) => e.clone(),
            Self::After(_) => StoreError::OutcomeUnknown(id),
        }
    }
}

/// How batches form.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Batches {
    /// How long the writer waits for the callers it has just answered.
    pub(in crate::store) linger: Duration,
    /// How many transactions share a sync.
    pub(in crate::store) max: usize,
}

impl Batches {
    /// What every engine starts with.
    pub(in crate::store) const USUAL: Self = Self { linger: Duration::from_micros(100), max: 256 };
}

/// An engine as its writer thread sees it.
pub(in crate::store) trait Engine: Send + 'static {
    /// Applies a batch in order and makes it durable; one outcome for each transaction.
    fn batch(&mut self, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed>;

    /// Makes it durable that no version up to this one is given out any more.
    fn raise(&mut self, _least: Version) -> Result<(), Failed> {
        Err(Failed::Before(StoreError::Unsupported("raising its versions".to_owned())))
    }

    /// Repairs what a batch broke, once its callers have been answered.
    fn mend(&mut self) {}

    /// Closes what readers see for good. The first reason stays.
    fn close(&mut self, why: &str);

    /// Why nobody may go on behind this error: a line that names the place.
    fn poisoned(&self, e: &StoreError) -> String;

    /// Leaves things in order: nothing more will come.
    fn finish(&mut self) {}
}

/// The way to the writer thread. Dropping it writes what is queued, and waits for that.
pub(in crate::store) struct Writing {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writing {
    /// Starts the thread of an engine under this name.
    pub(in crate::store) fn start(
        name: &str,
        batches: Batches,
        engine: impl Engine,
    ) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::new(batches.max.saturating_mul(QUEUED_BATCHES)));
        let turn = Turn { queue: Arc::clone(&queue), engine };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || turn.run(batches))
            .map_err(|e| StoreError::Unavailable(format!("its thread did not start: {e}")))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Commits one transaction.
    pub(in crate::store) async fn commit(&self, txn: Txn, limits: &StoreCapabilities) -> Outcome {
        txn.check(limits)?;
        let unknown = StoreError::OutcomeUnknown(txn.id);
        self.queue.send(txn).await?.await.unwrap_or(Err(unknown))
    }

    /// Commits several side by side, in one batch when they fit in one.
    pub(in crate::store) async fn commit_many(
        &self,
        txns: Vec<Txn>,
        limits: &StoreCapabilities,
    ) -> Vec<Outcome> {
        let checked: Vec<_> = txns.iter().map(|txn| txn.check(limits).map(|()| txn.id)).collect();
        let fit = txns.into_iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let mut sent = self.queue.send_many(fit.map(|(txn, _)| txn).collect()).await.into_iter();
        let mut outcomes = Vec::with_capacity(checked.len());
        for checked in checked {
            outcomes.push(match checked {
                Err(e) => Err(e),
                Ok(id) => match sent.next() {
                    Some(Ok(answer)) => answer.await.unwrap_or(Err(StoreError::OutcomeUnknown(id))),
                    Some(Err(e)) => Err(e),
                    None => Err(StoreError::OutcomeUnknown(id)),
                },
            });
        }
        outcomes
    }

    /// Gives out only versions over this one, behind what is queued.
    pub(in crate::store) async fn raise(&self, least: Version) -> Result<(), StoreError> {
        least.check_raise()?;
        let unknown = StoreError::OutcomeUnknown(TxnId::default());
        self.queue.send_raise(least).await?.await.unwrap_or(Err(unknown))
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.finish("its last handle was dropped");
        let Some(thread) = self.thread.take() else { return };
        // An answer may wake a task that holds the last handle: the thread can't wait for
        // itself, and ends by itself.
        if thread.thread().id() != thread::current().id() {
            drop(thread.join());
        }
    }
}

/// The thread's own state.
struct Turn<E: Engine> {
    queue: Arc<Queue>,
    engine: E,
}

impl<E: Engine> Turn<E> {
    /// Writes batch after batch until the queue is finished.
    fn run(mut self, batches: Batches) {
        let mut woken = 0;
        while let Some(tickets) = self.queue.take(batches.max, woken, batches.linger) {
            woken = tickets.len();
            self.serve(tickets);
        }
        drop(guarded(|| self.engine.finish()));
    }

    /// Serves a batch; a raise divides it.
    fn serve(&mut self, tickets: Vec<Ticket>) {
        let (mut txns, mut answers) = (Vec::new(), Vec::new());
        for ticket in tickets {
            match ticket {
                Ticket::Commit { txn, answer } => {
                    answers.push((txn.id, answer));
                    txns.push(txn);
                }
                Ticket::Raise { least, answer } => {
                    self.write(mem::take(&mut txns), mem::take(&mut answers));
                    let raised = self.attempt(|engine| engine.raise(least));
                    drop(answer.send(raised.map_err(|e| e.told(TxnId::default()))));
                    drop(guarded(|| self.engine.mend()));
                }
            }
        }
        self.write(txns, answers);
    }

    fn write(&mut self, txns: Vec<Txn>, answers: Vec<(TxnId, oneshot::Sender<Outcome>)>) {
        if txns.is_empty() {
            return;
        }
        let company = if txns.len() > 1 { txns.clone() } else { Vec::new() };
        match self.attempt(|engine| engine.batch(txns)) {
            // One of them met a damaged row: each on its own, so that only that one is refused.
            Err(Failed::Before(StoreError::Corrupt(_))) if !company.is_empty() => {
                for (txn, answer) in company.into_iter().zip(answers) {
                    self.write(vec![txn], vec![answer]);
                }
                return;
            }
            Ok(outcomes) => {
                for ((_, answer), outcome) in answers.into_iter().zip(outcomes) {
                    drop(answer.send(outcome));
                }
            }
            Err(failed) => {
                for (id, answer) in answers {
                    drop(answer.send(Err(failed.told(id))));
                }
            }
        }
        drop(guarded(|| self.engine.mend()));
    }

    /// Lets the engine work; closes everything when nobody may go on behind what went wrong.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut E) -> Result<T, Failed>) -> Result<T, Failed> {
        let engine = &mut self.engine;
        let done = guarded(|| work(engine)).unwrap_or_else(|e| Err(Failed::After(e)));
        match &done {
            Err(Failed::Before(StoreError::Closed(why))) => self.close(why),
            Err(Failed::After(e)) => {
                let why = self.engine.poisoned(e);
                self.close(&why);
            }
            _ => {}
        }
        done
    }

    fn close(&mut self, why: &str) {
        self.engine.close(why);
        self.queue.close(why);
    }
}

/// Also when the thread unwinds: nobody may wait for a writer that is gone.
impl<E: Engine> Drop for Turn<E> {
    fn drop(&mut self) {
        self.close("the writer has stopped");
    }
}
