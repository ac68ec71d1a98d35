//! Commits that wait become one script, so that one sync of the server carries them all.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{AbortHandle, yield_now},
    time::Instant,
};

use super::{Inner, Outcome};
use crate::traits::store::{Op, StoreError, Txn};

/// What one script takes, for it keeps the server from all others.
const BATCH: usize = 128;
const BATCH_OPS: usize = 512;
const BATCH_BYTES: usize = 4 << 20;

/// Transactions that may wait; who comes behind them waits for room.
const ROOM: u32 = 1024;

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    tickets: VecDeque<Ticket>,
    /// Is there a task that takes them?
    driven: bool,
}

/// A transaction, and who waits for it.
#[derive(Debug)]
struct Ticket {
    txn: Txn,
    answer: oneshot::Sender<Outcome>,
    since: Instant,
    /// The room of all that came together is with the last of them.
    _room: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    fn answer(self, outcome: Outcome) {
        // Who left does not hear it.
        drop(self.answer.send(outcome));
    }
}

/// Where an answer comes.
type Answers = Vec<oneshot::Receiver<Outcome>>;

impl Queue {
    pub(super) fn new() -> Self {
        let room = Arc::new(Semaphore::new(ROOM as usize));
        Self { waiting: Mutex::default(), room }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these in, one behind the other, when there is room. `true`: nobody takes them yet.
    async fn put(&self, txns: Vec<Txn>) -> (Answers, bool) {
        let size = u32::try_from(txns.len()).unwrap_or(ROOM).min(ROOM);
        // The semaphore is never closed.
        let mut room = Arc::clone(&self.room).acquire_many_owned(size).await.ok();
        let (since, mut left) = (Instant::now(), txns.len());
        let mut waiting = self.lock();
        let ticket = |txn| {
            left -= 1;
            let (answer, asked) = oneshot::channel();
            let _room = room.take_if(|_| left == 0);
            waiting.tickets.push_back(Ticket { txn, answer, since, _room });
            asked
        };
        let answers = txns.into_iter().map(ticket).collect();
        (answers, !std::mem::replace(&mut waiting.driven, true))
    }

    /// The next of them: what one script takes, without whom nobody waits for any more.
    fn next(&self) -> Vec<Ticket> {
        let mut waiting = self.lock();
        waiting.tickets.retain(|ticket| !ticket.answer.is_closed());
        let count = fitting(waiting.tickets.iter().map(|ticket| &ticket.txn));
        waiting.tickets.drain(..count).collect()
    }

    /// Gives back those that have waited this long, or all when there is no use in trying; and
    /// whether others are left. If none are, the next who comes begins anew.
    fn rest(&self, limit: Option<Duration>) -> (Vec<Ticket>, bool) {
        let mut waiting = self.lock();
        let old = |ticket: &&Ticket| limit.is_none_or(|limit| ticket.since.elapsed() >= limit);
        let count = waiting.tickets.iter().take_while(old).count();
        let given_up = waiting.tickets.drain(..count).collect();
        waiting.driven = !waiting.tickets.is_empty();
        (given_up, waiting.driven)
    }
}

/// How many of these one script takes: at least one, when there is one.
fn fitting<'a>(mut txns: impl Iterator<Item = &'a Txn>) -> usize {
    let Some(first) = txns.next() else { return 0 };
    let (mut ops, mut bytes) = (first.ops.len(), value_bytes(first));
    let fits = |txn: &&Txn| {
        ops += txn.ops.len();
        bytes += value_bytes(txn);
        ops <= BATCH_OPS && bytes <= BATCH_BYTES
    };
    1 + txns.take(BATCH - 1).take_while(fits).count()
}

fn value_bytes(txn: &Txn) -> usize {
    let value = |op: &Op| match op {
        Op::Put { value, .. } | Op::Append { value, .. } => value.len(),
        Op::Delete { .. } | Op::Touch { .. } | Op::Add { .. } => 0,
    };
    txn.ops.iter().map(value).sum()
}

/// The task that takes what waits; it ends when nothing does, and with its owner.
#[derive(Debug, Default)]
pub(super) struct Driver(Mutex<Option<AbortHandle>>);

impl Driver {
    /// Commits in order, together with what others commit at the same time.
    ///
    /// Behind one without an answer none is tried.
    pub(super) async fn commit(&self, inner: &Arc<Inner>, txns: Vec<Txn>) -> Vec<Outcome> {
        let ids: Vec<_> = txns.iter().map(|txn| txn.id).collect();
        let (answers, first) = inner.queue.put(txns).await;
        if first {
            let task = tokio::spawn(drive(Drive { inner: Arc::clone(inner), on: true }));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        }
        let mut outcomes = Vec::with_capacity(ids.len());
        for (id, answer) in ids.into_iter().zip(answers) {
            outcomes.push(answer.await.unwrap_or(Err(StoreError::OutcomeUnknown(id))));
        }
        outcomes
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let task = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// Who takes what waits. When it is gone before its time, nobody is left waiting.
struct Drive {
    inner: Arc<Inner>,
    on: bool,
}

impl Drop for Drive {
    fn drop(&mut self) {
        if self.on {
            let why = format!("{}: its runtime has ended: try again", self.inner.way.at);
            for ticket in self.inner.queue.rest(None).0 {
                ticket.answer(Err(StoreError::Unavailable(why.clone())));
            }
        }
    }
}

async fn drive(mut driving: Drive) {
    while driving.on {
        // Who was just answered, or asks at the same moment, comes along.
        yield_now().await;
        let Inner { queue, way, .. } = &*driving.inner;
        let (txns, answers): (Vec<_>, Vec<_>) =
            queue.next().into_iter().map(|Ticket { txn, answer, .. }| (txn, answer)).unzip();
        let outcomes = driving.inner.batch(&txns).await;
        let down = match outcomes.last() {
            Some(Err(StoreError::OutcomeUnknown(_))) => {
                Some(format!("{}: a commit before it had no answer: try again", way.at))
            }
            Some(Err(StoreError::Unavailable(why))) => Some(why.clone()),
            _ => None,
        };
        // Told before the answers: a runtime that stops behind them leaves nobody waiting.
        let (given_up, more) = queue.rest(down.is_none().then_some(way.timeout));
        let why = down.unwrap_or_else(|| format!("{} is overloaded: no turn in time", way.at));
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            drop(answer.send(outcome));
        }
        for ticket in given_up {
            ticket.answer(Err(StoreError::Unavailable(why.clone())));
        }
        driving.on = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traits::store::Key;

    fn sizes(values: &[usize]) -> Vec<usize> {
        let put =
            |size: &usize| Txn::new("t").op(Op::put(Key::system("t").build(), vec![0_u8; *size]));
        let txns: Vec<Txn> = values.iter().map(put).collect();
        let (mut left, mut sizes) = (&txns[..], Vec::new());
        while !left.is_empty() {
            let count = fitting(left.iter());
            sizes.push(count);
            left = &left[count..];
        }
        sizes
    }

    #[test]
    fn a_script_ends_at_its_count_and_at_its_bytes() {
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&[1; 300]), [128, 128, 44]);
        assert_eq!(sizes(&[BATCH_BYTES + 1, 1, BATCH_BYTES, 1]), [1, 1, 1, 1]);
        assert_eq!(sizes(&[BATCH_BYTES / 2; 5]), [2, 2, 1]);
    }
}
