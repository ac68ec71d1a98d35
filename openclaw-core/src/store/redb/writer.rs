//! The one thread that writes: a batch, a sync, the answers.

use std::{sync::Arc, time::Duration};

use redb::WriteTransaction;
use tokio::sync::oneshot;

use super::{
    backend::Watch,
    fault::{fault, guarded},
    queue::{Queue, Ticket},
    rows::{self, Meta, Rows},
    source::{Opened, Source},
    view::View,
};
use crate::{
    Clock, Timestamp,
    store::apply::apply,
    traits::store::{Commit, StoreError, Txn, TxnId, Version},
};

type Outcome = Result<Commit, StoreError>;

/// What a batch changes in the writer once it is durable.
type Keep = (Meta, Timestamp);

/// How a batch ended without a commit.
enum Failed {
    /// Nothing of it is in the file.
    Before(StoreError),
    /// It may be in the file or not.
    After(StoreError),
}

/// The thread's own state.
pub(super) struct Writer {
    queue: Arc<Queue>,
    view: Arc<View>,
    clock: Arc<dyn Clock>,
    source: Source,
    watch: Arc<Watch>,
    saved: Meta,
    earliest: Timestamp,
    linger: Duration,
    max_batch: usize,
}

impl Writer {
    /// A writer, and the view that shows what it writes.
    pub(super) fn new(
        source: Source,
        opened: Opened,
        queue: Arc<Queue>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Arc<View>) {
        let Opened { db, watch, meta, earliest } = opened;
        let view = Arc::new(View::new(db, meta.time));
        let shown = Arc::clone(&view);
        let (linger, max_batch) = (Duration::ZERO, 1);
        let saved = meta;
        (Self { queue, view, clock, source, watch, saved, earliest, linger, max_batch }, shown)
    }

    /// Sets how batches form.
    pub(super) const fn batches(mut self, linger: Duration, max_batch: usize) -> Self {
        self.linger = linger;
        self.max_batch = max_batch;
        self
    }

    /// Writes batch after batch until the queue is finished.
    pub(super) fn run(mut self) {
        let mut woken = 0;
        while let Some(tickets) = self.queue.take(self.max_batch, woken, self.linger) {
            woken = tickets.len();
            self.serve(tickets);
        }
        drop(guarded(|| self.keep_time()));
    }

    fn serve(&mut self, tickets: Vec<Ticket>) {
        let mut answers = Vec::with_capacity(tickets.len());
        let mut txns = Vec::with_capacity(tickets.len());
        for Ticket { txn, answer } in tickets {
            answers.push((txn.id, answer));
            txns.push(txn);
        }
        match guarded(|| self.batch(txns)).unwrap_or_else(|e| Err(Failed::After(e))) {
            Ok(outcomes) => {
                for ((_, answer), outcome) in answers.into_iter().zip(outcomes) {
                    drop(answer.send(outcome));
                }
            }
            Err(Failed::Before(e)) => refuse(answers, |_| e.clone()),
            Err(Failed::After(e)) => {
                self.poison(&e);
                refuse(answers, StoreError::OutcomeUnknown);
            }
        }
        if self.watch.failed() && !self.watch.sync_failed() {
            drop(self.mend());
        }
    }

    /// Applies a batch in order and makes it durable.
    fn batch(&mut self, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed> {
        if self.watch.failed() || self.view.is_down() {
            self.mend().map_err(Failed::Before)?;
        }
        let (txn, now) = self.view.begin(self.clock.now()).map_err(Failed::Before)?;
        let result = self.write(txn, now, txns);
        self.view.done();
        match result {
            // A sync failed although no commit was under way: the file grew.
            Err(Failed::Before(e)) if self.watch.sync_failed() => {
                Err(Failed::Before(StoreError::Closed(self.poison(&e))))
            }
            result => result,
        }
    }

    fn write(
        &mut self,
        mut txn: WriteTransaction,
        now: Timestamp,
        txns: Vec<Txn>,
    ) -> Result<Vec<Outcome>, Failed> {
        txn.set_quick_repair(true);
        let applied = self.apply(&txn, now, txns);
        let (outcomes, meta, earliest) = match applied {
            Ok((outcomes, Some((meta, earliest)))) => (outcomes, meta, earliest),
            Ok((outcomes, None)) => {
                txn.abort().map_err(|e| Failed::Before(fault(e)))?;
                return Ok(outcomes);
            }
            Err(e) => {
                // What the abort says adds nothing: the first error names the cause.
                drop(txn.abort());
                return Err(Failed::Before(e));
            }
        };
        let before = self.watch.syncs();
        if let Err(e) = txn.commit() {
            let e = fault(e);
            // Until the first sync nothing in the file points at what was written.
            if self.watch.syncs() == before && !self.watch.sync_failed() {
                self.view.put_down(e.clone());
                return Err(Failed::Before(e));
            }
            return Err(Failed::After(e));
        }
        (self.saved, self.earliest) = (meta, earliest);
        Ok(outcomes)
    }

    /// Applies a batch; when anything applied, also tells what to keep once it is durable.
    fn apply(
        &self,
        txn: &WriteTransaction,
        now: Timestamp,
        txns: Vec<Txn>,
    ) -> Result<(Vec<Outcome>, Option<Keep>), StoreError> {
        let mut rows = Rows::open(txn, self.earliest)?;
        let mut version = self.saved.version;
        let mut outcomes = Vec::with_capacity(txns.len());
        for each in txns {
            let outcome = apply(&mut rows, each, Version::new(version + 1), now)?;
            if let Commit::Applied(_) = outcome {
                version += 1;
            }
            outcomes.push(Ok(outcome));
        }
        if version == self.saved.version {
            return Ok((outcomes, None));
        }
        let earliest = rows.sweep(now)?;
        let meta = Meta { version, time: now };
        rows::save(txn, meta)?;
        Ok((outcomes, Some((meta, earliest))))
    }

    /// Opens the database again after an error of its file that lost nothing.
    fn mend(&mut self) -> Result<(), StoreError> {
        let being = "the file failed and is being opened again".to_owned();
        // The old one goes first: it holds the lock of the file.
        self.view.put_down(StoreError::Unavailable(being));
        match self.source.reopen() {
            Ok(Opened { db, watch, meta, earliest }) => {
                (self.watch, self.saved, self.earliest) = (watch, meta, earliest);
                self.view.put_up(db);
                Ok(())
            }
            Err(e) => {
                self.view.put_down(e.clone());
                Err(e)
            }
        }
    }

    /// Closes the store for good: nobody knows what a failed sync left in the file.
    fn poison(&self, e: &StoreError) -> String {
        let why = format!(
            "poisoned: {}: {e}: find the cause, then open the store again",
            self.source.path.display()
        );
        self.view.close(&why);
        self.queue.close(&why);
        why
    }

    /// Keeps the time that readers saw since the last batch.
    fn keep_time(&self) {
        let Ok((mut txn, now)) = self.view.begin(Timestamp::default()) else { return };
        if now > self.saved.time {
            txn.set_quick_repair(true);
            let kept = rows::save(&txn, Meta { time: now, ..self.saved });
            if kept.is_ok() {
                drop(txn.commit());
            }
        }
        self.view.done();
    }
}

/// Also when the thread unwinds: nobody may wait for a writer that is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        let why = "the writer has stopped";
        self.view.close(why);
        self.queue.close(why);
    }
}

fn refuse(answers: Vec<(TxnId, oneshot::Sender<Outcome>)>, error: impl Fn(TxnId) -> StoreError) {
    for (id, answer) in answers {
        drop(answer.send(Err(error(id))));
    }
}
