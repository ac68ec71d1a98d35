//! The bounded queue between the callers and the writer thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use crate::traits::store::{Commit, Op, StoreError, Txn, Version};

/// How many bytes of keys and values a batch takes, when it is more than one ticket.
const BATCH_BYTES: usize = 16 << 20;

/// What a caller waits for. When it ends without an answer, nobody knows the outcome.
pub(in crate::store) type Answer = oneshot::Receiver<Result<Commit, StoreError>>;

/// What waits for its turn.
#[derive(Debug)]
pub(in crate::store) enum Ticket {
    Commit { txn: Txn, answer: oneshot::Sender<Result<Commit, StoreError>> },
    Raise { least: Version, answer: oneshot::Sender<Result<(), StoreError>> },
}

impl Ticket {
    /// The bytes it asks to be written.
    fn bytes(&self) -> usize {
        let Self::Commit { txn, .. } = self else { return 0 };
        let written = |op: &Op| match op {
            Op::Put { key, value, .. } => key.as_bytes().len() + value.len(),
            Op::Append { prefix, value, .. } => prefix.as_bytes().len() + value.len(),
            Op::Delete { key } | Op::Touch { key, .. } | Op::Add { key, .. } => {
                key.as_bytes().len()
            }
        };
        txn.ops.iter().map(written).sum()
    }

    /// Tells the caller why nothing came of it.
    fn refuse(self, e: StoreError) {
        match self {
            Self::Commit { answer, .. } => drop(answer.send(Err(e))),
            Self::Raise { answer, .. } => drop(answer.send(Err(e))),
        }
    }
}

/// The queue. Callers wait for space without blocking; the writer waits blocking.
#[derive(Debug)]
pub(in crate::store) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    space: Semaphore,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    tickets: VecDeque<Ticket>,
    /// The writer sleeps until this many wait. Nobody wakes it earlier: a wake for each ticket
    /// would cost more than the ticket.
    wanted: usize,
    closed: Option<String>,
}

impl Queue {
    pub(in crate::store) fn new(capacity: usize) -> Self {
        // The semaphore counts permits in 32 bits for one caller.
        let capacity = capacity.clamp(1, 1 << 20);
        let state = Mutex::new(State { wanted: usize::MAX, ..State::default() });
        Self { state, filled: Condvar::new(), space: Semaphore::new(capacity), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a transaction as soon as there is space.
    pub(in crate::store) async fn send(&self, txn: Txn) -> Result<Answer, StoreError> {
        self.room(1).await?;
        let (answer, receiver) = oneshot::channel();
        self.push([Ticket::Commit { txn, answer }])?;
        Ok(receiver)
    }

    /// Queues a raise behind the transactions that wait.
    pub(in crate::store) async fn send_raise(
        &self,
        least: Version,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        self.room(1).await?;
        let (answer, receiver) = oneshot::channel();
        self.push([Ticket::Raise { least, answer }])?;
        Ok(receiver)
    }

    /// Queues transactions side by side, so that they land in one batch when they fit in one.
    pub(in crate::store) async fn send_many(
        &self,
        txns: Vec<Txn>,
    ) -> Vec<Result<Answer, StoreError>> {
        let mut answers = Vec::with_capacity(txns.len());
        let mut left = txns.into_iter();
        while left.len() > 0 {
            let count = left.len().min(self.capacity);
            let (tickets, receivers): (Vec<_>, Vec<_>) = left
                .by_ref()
                .take(count)
                .map(|txn| {
                    let (answer, receiver) = oneshot::channel();
                    (Ticket::Commit { txn, answer }, receiver)
                })
                .unzip();
            let sent = match self.room(count).await {
                Ok(()) => self.push(tickets),
                Err(e) => Err(e),
            };
            answers.extend(receivers.into_iter().map(|r| sent.clone().map(|()| r)));
        }
        answers
    }

    async fn room(&self, count: usize) -> Result<(), StoreError> {
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        match self.space.acquire_many(permits).await {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_closed) => {
                let why = self.lock().closed.clone();
                Err(StoreError::Closed(why.unwrap_or_default()))
            }
        }
    }

    fn push(&self, tickets: impl IntoIterator<Item = Ticket>) -> Result<(), StoreError> {
        let mut state = self.lock();
        if let Some(why) = &state.closed {
            return Err(StoreError::Closed(why.clone()));
        }
        state.tickets.extend(tickets);
        if state.tickets.len() >= state.wanted {
            state.wanted = usize::MAX;
            drop(state);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next batch; `None` once the queue is closed and empty.
    ///
    /// `woken` callers have just got their answer and tend to come back at once. When there is
    /// company, it is worth a short wait for them: else the callers fall into two camps, each
    /// of which waits for the sync of the other.
    pub(in crate::store) fn take(
        &self,
        max: usize,
        woken: usize,
        linger: Duration,
    ) -> Option<Vec<Ticket>> {
        let mut state = self.lock();
        let wanted = (state.tickets.len() + woken).min(max);
        if wanted > 1 && !linger.is_zero() {
            state.wanted = wanted;
            let short = |s: &mut State| s.tickets.len() < wanted && s.closed.is_none();
            let waited = self.filled.wait_timeout_while(state, linger, short);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        while state.tickets.is_empty() {
            if state.closed.is_some() {
                return None;
            }
            state.wanted = 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted = usize::MAX;
        let count = fitting(&state.tickets, max);
        let batch = state.tickets.drain(..count).collect();
        drop(state);
        self.space.add_permits(count);
        Some(batch)
    }

    /// Takes no more; what waits is still taken out.
    pub(in crate::store) fn finish(&self, why: &str) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| why.to_owned());
        drop(state);
        self.space.close();
        self.filled.notify_all();
    }

    /// Takes no more, and answers everybody who waits. The first reason stays.
    pub(in crate::store) fn close(&self, why: &str) {
        self.finish(why);
        let mut state = self.lock();
        let tickets = std::mem::take(&mut state.tickets);
        let why = state.closed.clone().unwrap_or_default();
        drop(state);
        for ticket in tickets {
            ticket.refuse(StoreError::Closed(why.clone()));
        }
    }
}

/// How many of the first tickets make a batch: at least one, when there is one.
fn fitting(tickets: &VecDeque<Ticket>, max: usize) -> usize {
    let mut bytes = 0_usize;
    let fits = |ticket: &&Ticket| {
        bytes = bytes.saturating_add(ticket.bytes());
        bytes <= BATCH_BYTES
    };
    tickets.iter().take(max).take_while(fits).count().max(tickets.len().min(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traits::store::Key;

    #[tokio::test]
    async fn a_batch_ends_at_its_bytes_and_takes_one_transaction_at_least() {
        let queue = Queue::new(64);
        let mib = |count: usize| {
            let put =
                |n: usize| Op::put(Key::system("t").number(n as u64).build(), vec![7; 1 << 20]);
            Txn::new("t").ops((0..count).map(put))
        };
        let mut answers = queue.send_many([9, 6, 6, 40, 1, 1].map(mib).into()).await;
        let raise = queue.send_raise(Version::new(9)).await;
        answers.extend(queue.send_many([1, 1, 15].map(mib).into()).await);
        let mut taken = Vec::new();
        for max in [256, 256, 256, 2, 256, 256] {
            taken.push(queue.take(max, 0, Duration::ZERO).expect("a batch").len());
        }
        assert_eq!(taken, [2, 1, 1, 2, 3, 1]);
        drop((answers, raise));
    }
}
