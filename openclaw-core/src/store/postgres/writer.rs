//! The task that writes: batch after batch, on a connection of its own.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use super::{
    batch::{Failed, Outcome, Writes},
    shared::Shared,
};
use crate::traits::store::{Op, StoreError, Txn};

/// How often a batch is tried that left no trace.
const TRIES: u32 = 3;

/// Values of one batch, in bytes; a single transaction may have more.
const BATCH_BYTES: usize = 16 << 20;

/// How long to leave expired rows alone when the last sweep took them all.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A transaction that waits for its turn, and who waits for it.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) txn: Txn,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// How batches form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches {
    /// How long the writer waits for the callers it has just answered.
    pub(super) linger: Duration,
    /// How many transactions share a commit of the server.
    pub(super) max: usize,
}

/// The task's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    batches: Batches,
    writes: Option<Writes>,
    /// When expired rows are looked for again.
    sweep: Instant,
}

impl Writer {
    /// Connects for the first time, and makes the tables when there are none.
    pub(super) async fn open(shared: Arc<Shared>, batches: Batches) -> Result<Self, StoreError> {
        let limit = shared.limits.connect.saturating_add(shared.limits.request);
        let opened = timeout(limit, Writes::connect(&shared, true)).await;
        let writes = Some(opened.unwrap_or_else(|_| Err(late(&shared)))?);
        Ok(Self { shared, batches, writes, sweep: Instant::now() })
    }

    /// Writes until nobody can send any more and nothing waits.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Vec<Ticket>>) {
        let mut waiting = VecDeque::new();
        let mut company = 0;
        loop {
            self.gather(&mut queue, &mut waiting, company).await;
            if waiting.is_empty() {
                let Some(tickets) = queue.recv().await else { break };
                waiting.extend(tickets);
                self.gather(&mut queue, &mut waiting, 0).await;
            }
            let tickets = next(&mut waiting, self.batches.max);
            let served = tickets.len();
            let (answers, down) = self.serve(tickets).await;
            // Counted before anybody who is answered now can be back.
            company = waiting.len() + queue.len() + served;
            for (answer, outcome) in answers {
                drop(answer.send(outcome));
            }
            let Some(down) = down else { continue };
            // Who waits behind a server that can't be reached waits no longer than it took to
            // find that out.
            while let Ok(tickets) = queue.try_recv() {
                waiting.extend(tickets);
            }
            for ticket in waiting.drain(..) {
                drop(ticket.answer.send(Err(down.clone())));
            }
        }
        self.close().await;
    }

    /// Takes what has come; when there is company, waits a moment for who was just answered.
    ///
    /// Else the callers fall into two camps, each of which waits for the commit of the other.
    async fn gather(
        &self,
        queue: &mut mpsc::Receiver<Vec<Ticket>>,
        waiting: &mut VecDeque<Ticket>,
        company: usize,
    ) {
        let wanted = company.min(self.batches.max);
        let end = Instant::now().checked_add(self.batches.linger);
        let over = || end.is_some_and(|end| Instant::now() >= end);
        loop {
            while waiting.len() < self.batches.max
                && let Ok(tickets) = queue.try_recv()
            {
                waiting.extend(tickets);
            }
            if wanted < 2 || waiting.len() >= wanted || queue.is_closed() || over() {
                return;
            }
            // A timer is too coarse for this.
            std::thread::yield_now();
            yield_now().await;
        }
    }

    /// Writes a batch; tells what each caller is to hear, and whether the server is out of reach.
    async fn serve(
        &mut self,
        tickets: Vec<Ticket>,
    ) -> (Vec<(oneshot::Sender<Outcome>, Outcome)>, Option<StoreError>) {
        let (txns, answers): (Vec<Txn>, Vec<_>) =
            tickets.into_iter().map(|ticket| (ticket.txn, ticket.answer)).unzip();
        let end = Instant::now() + self.shared.limits.request;
        let (outcomes, down) = match self.commit(&txns, end).await {
            Ok(outcomes) => (outcomes, None),
            Err(Failed::Passing(e) | Failed::Before(e)) => {
                let down = self.writes.is_none().then(|| e.clone());
                (vec![Err(e); txns.len()], down)
            }
            Err(Failed::Unknown) => {
                self.shared.doubt();
                let unknown = txns.iter().map(|txn| Err(StoreError::OutcomeUnknown(txn.id)));
                let late = Instant::now() >= end;
                (unknown.collect(), late.then(|| self::late(&self.shared)))
            }
        };
        (answers.into_iter().zip(outcomes).collect(), down)
    }

    /// Tries a batch until it is stored, or may be, or there is no use in trying.
    async fn commit(&mut self, txns: &[Txn], end: Instant) -> Result<Vec<Outcome>, Failed> {
        let mut tries = 1;
        loop {
            let tried = timeout_at(end, self.attempt(txns)).await;
            let failed = match tried {
                Ok(Ok(outcomes)) => return Ok(outcomes),
                Ok(Err(failed)) => failed,
                Err(_late) if self.writes.as_ref().is_some_and(Writes::is_committing) => {
                    Failed::Unknown
                }
                Err(_late) => Failed::Before(late(&self.shared)),
            };
            // What is in the middle of something is cut by this.
            self.writes.take_if(|writes| !writes.is_usable());
            match failed {
                Failed::Passing(_) if tries < TRIES => tries += 1,
                failed => return Err(failed),
            }
        }
    }

    async fn attempt(&mut self, txns: &[Txn]) -> Result<Vec<Outcome>, Failed> {
        let writes = match self.writes.take().filter(Writes::is_usable) {
            Some(writes) => writes,
            None => Writes::connect(&self.shared, false).await.map_err(Failed::Before)?,
        };
        let writes = self.writes.insert(writes);
        let sweep = self.sweep <= Instant::now();
        let (outcomes, more) = writes.run(&self.shared, txns, sweep).await?;
        if sweep && !more {
            self.sweep = Instant::now() + SWEEP_EVERY;
        }
        Ok(outcomes)
    }

    /// Leaves things in order: the time of a clock of our own goes on behind what was seen.
    async fn close(self) {
        let Some(mut writes) = self.writes.filter(Writes::is_usable) else { return };
        let kept = match &self.shared.clock {
            Some(_) => writes.keep(self.shared.seen()).await,
            None => Ok(()),
        };
        if kept.is_ok() {
            writes.close().await;
        }
    }
}

/// The next batch: at most this many, and not more bytes than one should have.
fn next(waiting: &mut VecDeque<Ticket>, max: usize) -> Vec<Ticket> {
    let mut bytes = 0_usize;
    let fits = |ticket: &&Ticket| {
        bytes = bytes.saturating_add(size(&ticket.txn));
        bytes <= BATCH_BYTES
    };
    let count = waiting.iter().take(max).take_while(fits).count().max(1).min(waiting.len());
    waiting.drain(..count).collect()
}

fn size(txn: &Txn) -> usize {
    let value = |op: &Op| match op {
        Op::Put { value, .. } | Op::Append { value, .. } => value.len(),
        Op::Delete { .. } | Op::Touch { .. } | Op::Add { .. } => 0,
    };
    txn.ops.iter().map(value).sum()
}

fn late(shared: &Shared) -> StoreError {
    StoreError::Unavailable(format!(
        "postgres at {}: no answer within {:?}: look at its load and at what lies between",
        shared.place, shared.limits.request
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traits::store::Key;

    fn sizes(values: &[usize], max: usize) -> Vec<usize> {
        let ticket = |size: &usize| {
            let key = Key::system("t").build();
            let txn = Txn::new("t").op(Op::put(key, vec![0; *size]));
            Ticket { txn, answer: oneshot::channel().0 }
        };
        let mut waiting: VecDeque<Ticket> = values.iter().map(ticket).collect();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(next(&mut waiting, max).len());
        }
        sizes
    }

    #[test]
    fn a_batch_ends_at_its_count_and_at_its_bytes() {
        assert_eq!(sizes(&[1; 7], 3), [3, 3, 1]);
        assert_eq!(sizes(&[BATCH_BYTES + 1, 1, BATCH_BYTES, 1], 9), [1, 1, 1, 1]);
        assert_eq!(sizes(&[BATCH_BYTES / 2; 5], 9), [2, 2, 1]);
    }
}
