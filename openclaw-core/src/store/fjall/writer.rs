//! What the writer thread does to the directory: a batch, a sync.

use std::{sync::Arc, thread, time::Duration};

use super::{
    db::{Db, Memory, Opened},
    fault::fault,
    place::Place,
    rows::Rows,
};
use crate::{
    Clock, Timestamp,
    store::{
        apply::apply,
        embedded::{Engine, Failed, Meta, Outcome, View},
    },
    traits::store::{Commit, StoreError, Txn, Version},
};

/// Full buffers that may wait while the next one fills.
const BACKLOG: usize = 2;

/// Between two looks at whether the engine has caught up.
const LOOK: Duration = Duration::from_millis(1);

/// The engine as its writer has it.
pub(super) struct Writer {
    view: Arc<View<Db>>,
    clock: Arc<dyn Clock>,
    saved: Meta,
    earliest: Timestamp,
    write_buffer: u64,
    /// Bytes written since the last buffer was full.
    written: u64,
    /// The last to go: it holds the lock.
    place: Place,
}

impl Engine for Writer {
    /// Applies a batch in order and makes it durable.
    fn batch(&mut self, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed> {
        let (db, now) = self.begin(self.clock.now()).map_err(Failed::Before)?;
        let result = self.write(&db, now, txns);
        self.done(&db);
        result
    }

    fn raise(&mut self, least: Version) -> Result<(), Failed> {
        if least.get() <= self.saved.version {
            return Ok(());
        }
        let (db, now) = self.begin(self.clock.now()).map_err(Failed::Before)?;
        let rows = Rows::new(&db, self.earliest);
        let raised = self.keep(&db, rows, Meta { version: least.get(), time: now });
        self.done(&db);
        raised
    }

    /// Lets a full buffer go to tables, while the callers look at their answers.
    fn mend(&mut self) {
        if self.written < self.write_buffer {
            return;
        }
        self.written = 0;
        if let Ok((db, _)) = self.begin(Timestamp::default()) {
            // A failure is the engine's own: it takes no further batch.
            drop(db.rotate());
            self.done(&db);
        }
    }

    fn close(&mut self, why: &str) {
        self.view.close(why);
    }

    /// Nobody knows what a failed write or sync left in the journal.
    fn poisoned(&self, e: &StoreError) -> String {
        format!(
            "poisoned: {}: {e}: find the cause, then open the store again",
            self.place.path().display()
        )
    }

    fn finish(&mut self) {
        self.keep_time();
    }
}

impl Writer {
    /// A writer, and the view that shows what it writes.
    pub(super) fn new(
        place: Place,
        opened: Opened,
        memory: Memory,
        clock: Arc<dyn Clock>,
    ) -> (Self, Arc<View<Db>>) {
        let Opened { db, meta, earliest } = opened;
        let view = Arc::new(View::new(db, meta.time));
        let shown = Arc::clone(&view);
        let write_buffer = memory.write_buffer;
        (Self { view, clock, saved: meta, earliest, write_buffer, written: 0, place }, shown)
    }

    /// Begins a batch: until [`Writer::done`], readers see what is there now.
    fn begin(&self, now: Timestamp) -> Result<(Db, Timestamp), StoreError> {
        self.view.begin(now, |db| {
            db.hold();
            Ok(db.clone())
        })
    }

    fn done(&self, db: &Db) {
        db.show();
        self.view.done();
    }

    fn write(&mut self, db: &Db, now: Timestamp, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed> {
        self.keep_pace(db).map_err(Failed::Before)?;
        let mut rows = Rows::new(db, self.earliest);
        let mut version = self.saved.version;
        let mut outcomes = Vec::with_capacity(txns.len());
        for each in txns {
            let outcome = apply(&mut rows, each, Version::new(version + 1), now);
            let outcome = outcome.map_err(Failed::Before)?;
            if let Commit::Applied(_) = outcome {
                version += 1;
            }
            outcomes.push(Ok(outcome));
        }
        if version > self.saved.version {
            let earliest = rows.sweep(now).map_err(Failed::Before)?;
            self.keep(db, rows, Meta { version, time: now })?;
            self.earliest = earliest;
        }
        Ok(outcomes)
    }

    /// Makes a batch durable. It is seen by readers only when it is.
    fn keep(&mut self, db: &Db, rows: Rows<'_>, meta: Meta) -> Result<(), Failed> {
        let mut batch = db.batch();
        let bytes = rows.write(&mut batch);
        db.save(&mut batch, meta);
        match batch.commit() {
            Ok(()) => {
                self.saved = meta;
                self.written += bytes;
                Ok(())
            }
            // It says so before it writes anything.
            Err(e @ fjall::Error::Poisoned) => Err(Failed::Before(self.given_up(&fault(e)))),
            Err(e) => Err(Failed::After(fault(e))),
        }
    }

    /// Waits until the engine has turned full buffers into tables.
    ///
    /// The engine would wait too, but in the middle of a commit, and for ever when its worker
    /// has failed.
    fn keep_pace(&self, db: &Db) -> Result<(), StoreError> {
        while db.backlog() >= BACKLOG {
            if db.is_poisoned() {
                return Err(self.given_up(&fault(fjall::Error::Poisoned)));
            }
            thread::park_timeout(LOOK);
        }
        Ok(())
    }

    fn given_up(&self, e: &StoreError) -> StoreError {
        StoreError::Closed(self.poisoned(e))
    }

    /// Keeps the time that readers saw since the last batch.
    fn keep_time(&self) {
        let Ok((db, now)) = self.begin(Timestamp::default()) else { return };
        if now > self.saved.time {
            let mut batch = db.batch();
            db.save(&mut batch, Meta { time: now, ..self.saved });
            drop(batch.commit());
        }
        self.done(&db);
    }
}
