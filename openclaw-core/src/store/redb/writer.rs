//! What the writer thread does to the file: a batch, a sync.

use std::sync::Arc;

use redb::{Database, WriteTransaction};

use super::{
    backend::Watch,
    fault::fault,
    rows::{self, Rows},
    source::{Opened, Source},
};
use crate::{
    Clock, Timestamp,
    store::{
        apply::apply,
        embedded::{Engine, Failed, Meta, Outcome, View},
    },
    traits::store::{Commit, StoreError, Txn, Version},
};

/// What a batch changes in the writer once it is durable.
type Keep = (Meta, Timestamp);

/// An answer, and what to keep when anything changed.
type Kept<T> = Result<(T, Option<Keep>), StoreError>;

/// The engine as its writer has it.
pub(super) struct Writer {
    view: Arc<View<Database>>,
    clock: Arc<dyn Clock>,
    source: Source,
    watch: Arc<Watch>,
    saved: Meta,
    earliest: Timestamp,
}

impl Engine for Writer {
    /// Applies a batch in order and makes it durable.
    fn batch(&mut self, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed> {
        self.durably(|writer, txn, now| writer.apply(txn, now, txns))
    }

    fn raise(&mut self, least: Version) -> Result<(), Failed> {
        self.durably(|writer, txn, now| writer.lift(txn, now, least))
    }

    fn mend(&mut self) {
        if self.watch.failed() && !self.watch.sync_failed() {
            drop(self.open_again());
        }
    }

    fn close(&mut self, why: &str) {
        self.view.close(why);
    }

    /// Nobody knows what a failed sync left in the file.
    fn poisoned(&self, e: &StoreError) -> String {
        format!(
            "poisoned: {}: {e}: find the cause, then open the store again",
            self.source.path.display()
        )
    }

    fn finish(&mut self) {
        self.keep_time();
    }
}

impl Writer {
    /// A writer, and the view that shows what it writes.
    pub(super) fn new(
        source: Source,
        opened: Opened,
        clock: Arc<dyn Clock>,
    ) -> (Self, Arc<View<Database>>) {
        let Opened { db, watch, meta, earliest } = opened;
        let view = Arc::new(View::new(db, meta.time));
        let shown = Arc::clone(&view);
        (Self { view, clock, source, watch, saved: meta, earliest }, shown)
    }

    /// Works on the file and makes it durable.
    fn durably<T>(
        &mut self,
        work: impl FnOnce(&Self, &WriteTransaction, Timestamp) -> Kept<T>,
    ) -> Result<T, Failed> {
        if self.watch.failed() || self.view.is_down() {
            self.open_again().map_err(Failed::Before)?;
        }
        let (txn, now) = self.begin(self.clock.now()).map_err(Failed::Before)?;
        let result = self.write(txn, now, work);
        self.view.done();
        match result {
            // A sync failed although no commit was under way: the file grew.
            Err(Failed::Before(e)) if self.watch.sync_failed() => {
                Err(Failed::Before(StoreError::Closed(self.poisoned(&e))))
            }
            result => result,
        }
    }

    fn begin(&self, now: Timestamp) -> Result<(WriteTransaction, Timestamp), StoreError> {
        self.view.begin(now, |db| db.begin_write().map_err(fault))
    }

    fn write<T>(
        &mut self,
        mut txn: WriteTransaction,
        now: Timestamp,
        work: impl FnOnce(&Self, &WriteTransaction, Timestamp) -> Kept<T>,
    ) -> Result<T, Failed> {
        txn.set_quick_repair(true);
        let (answer, meta, earliest) = match work(self, &txn, now) {
            Ok((answer, Some((meta, earliest)))) => (answer, meta, earliest),
            Ok((answer, None)) => {
                txn.abort().map_err(|e| Failed::Before(fault(e)))?;
                return Ok(answer);
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
        Ok(answer)
    }

    /// Counts on from this version, when that is not lower.
    fn lift(&self, txn: &WriteTransaction, now: Timestamp, least: Version) -> Kept<()> {
        if least.get() <= self.saved.version {
            return Ok(((), None));
        }
        let meta = Meta { version: least.get(), time: now };
        rows::save(txn, meta)?;
        Ok(((), Some((meta, self.earliest))))
    }

    /// Applies a batch; when anything applied, also tells what to keep once it is durable.
    fn apply(&self, txn: &WriteTransaction, now: Timestamp, txns: Vec<Txn>) -> Kept<Vec<Outcome>> {
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
    ///
    /// Not once it is closed for good: the transactions behind a failed sync come here, too.
    fn open_again(&mut self) -> Result<(), StoreError> {
        if let Some(why) = self.view.closed() {
            return Err(StoreError::Closed(why));
        }
        let being = "the file failed and is being opened again".to_owned();
        // The old one goes first: it holds the lock of the file.
        self.view.put_down(StoreError::Unavailable(being));
        let watch = Arc::default();
        match self.source.reopen(&watch) {
            Ok(Opened { db, watch, meta, earliest }) => {
                (self.watch, self.saved, self.earliest) = (watch, meta, earliest);
                self.view.put_up(db);
                Ok(())
            }
            // Nobody knows what this sync left in the file, either.
            Err(e) if watch.sync_failed() => {
                let why = self.poisoned(&e);
                self.view.close(&why);
                Err(StoreError::Closed(why))
            }
            Err(e) => {
                self.view.put_down(e.clone());
                Err(e)
            }
        }
    }

    /// Keeps the time that readers saw since the last batch.
    fn keep_time(&self) {
        let Ok((mut txn, now)) = self.begin(Timestamp::default()) else { return };
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
