//! What the writer thread does to the file: a batch, a sync, now and then the log.

use std::{sync::Arc, time::Duration};

use rusqlite::Connection;

use super::{
    connection::{Source, leave_log, wait},
    fault::{fault, is_full, is_sync},
    log::Log,
    readers::Readers,
    rows::{self, Meta, Rows},
};
use crate::{
    Clock, Timestamp,
    store::{
        apply::apply,
        embedded::{Engine, Failed, Outcome, View, in_place},
    },
    traits::store::{Commit, StoreError, Txn, Version},
};

/// How long closing waits for other writers, to keep the time that only reads have seen.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// The engine as its writer has it.
pub(super) struct Writer {
    conn: Connection,
    source: Source,
    view: Arc<View<Arc<Readers>>>,
    clock: Arc<dyn Clock>,
    log: Log,
    /// Why nothing is written any more.
    poisoned: Option<String>,
}

impl Engine for Writer {
    /// Applies a batch in order and makes it durable.
    fn batch(&mut self, txns: Vec<Txn>) -> Result<Vec<Outcome>, Failed> {
        if let Some(why) = &self.poisoned {
            return Err(Failed::Before(StoreError::Closed(why.clone())));
        }
        let (before, now) = self.begin().map_err(Failed::Before)?;
        let result = self.write(before, now, txns);
        self.view.done();
        result
    }

    fn raise(&mut self, least: Version) -> Result<(), Failed> {
        if let Some(why) = &self.poisoned {
            return Err(Failed::Before(StoreError::Closed(why.clone())));
        }
        let (before, now) = self.begin().map_err(Failed::Before)?;
        let raised = if least.get() > before.version {
            self.lift(Meta { version: least.get(), time: now })
        } else {
            self.undo();
            Ok(())
        };
        self.view.done();
        raised
    }

    /// Writes the log back while nobody waits for it.
    fn mend(&mut self) {
        if self.poisoned.is_some() {
            return;
        }
        if let Err(e) = self.log.tidy(&mut self.conn, self.source.patience)
            && is_sync(&e)
        {
            let why = self.poison(&fault(e));
            self.view.close(&why);
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
        if self.poisoned.is_none() {
            // Best effort: another process may be writing, and it keeps a time of its own.
            drop(self.keep_time());
        }
    }
}

impl Writer {
    /// A writer, and the view that shows what it writes.
    pub(super) fn new(
        source: Source,
        conn: Connection,
        time: Timestamp,
        clock: Arc<dyn Clock>,
    ) -> (Self, Arc<View<Arc<Readers>>>) {
        let view = Arc::new(View::new(Arc::new(Readers::new(source.clone())), time));
        let shown = Arc::clone(&view);
        (Self { conn, source, view, clock, log: Log::new(), poisoned: None }, shown)
    }

    /// Begins a batch once no other process writes: what they left, and the time it is.
    fn begin(&mut self) -> Result<(Meta, Timestamp), StoreError> {
        let named = |e| in_place(&self.source.path, e);
        run(&self.conn, "BEGIN IMMEDIATE").map_err(|e| named(fault(e)))?;
        let begun = rows::meta(&self.conn).map_err(named).and_then(|meta| {
            // Not before the lock was there: time went on while it waited.
            let now = self.clock.now().max(meta.time);
            self.view.begin(now, |_| Ok(())).map(|((), now)| (meta, now))
        });
        if begun.is_err() {
            self.undo();
        }
        begun
    }

    fn write(
        &mut self,
        before: Meta,
        now: Timestamp,
        txns: Vec<Txn>,
    ) -> Result<Vec<Outcome>, Failed> {
        match self.apply(before, now, txns) {
            Ok((outcomes, true)) => self.commit().map(|()| outcomes),
            Ok((outcomes, false)) => {
                self.undo();
                Ok(outcomes)
            }
            Err(e) => {
                self.undo();
                // A sync failed although no commit was under way: the log began anew.
                Err(Failed::Before(match e {
                    e @ StoreError::Closed(_) => StoreError::Closed(self.poison(&e)),
                    e => in_place(&self.source.path, e),
                }))
            }
        }
    }

    /// Applies a batch, and tells whether there is anything to make durable.
    fn apply(
        &self,
        before: Meta,
        now: Timestamp,
        txns: Vec<Txn>,
    ) -> Result<(Vec<Outcome>, bool), StoreError> {
        let mut rows = Rows::new(&self.conn);
        let mut version = before.version;
        let mut outcomes = Vec::with_capacity(txns.len());
        for each in txns {
            let outcome = apply(&mut rows, each, Version::new(version + 1), now)?;
            if let Commit::Applied(_) = outcome {
                version += 1;
            }
            outcomes.push(Ok(outcome));
        }
        if version == before.version {
            return Ok((outcomes, false));
        }
        rows.sweep(now)?;
        rows::save(&self.conn, Meta { version, time: now })?;
        Ok((outcomes, true))
    }

    fn lift(&mut self, meta: Meta) -> Result<(), Failed> {
        if let Err(e) = rows::save(&self.conn, meta) {
            self.undo();
            return Err(Failed::Before(in_place(&self.source.path, e)));
        }
        self.commit()
    }

    /// Makes the transaction durable.
    ///
    /// Its pages are in the log when its last page is, and that one is written last. A log that
    /// found no space lacks it. After any other error of a commit that has ended the transaction
    /// the log may be complete, and who opens the file next would find it so.
    fn commit(&mut self) -> Result<(), Failed> {
        let Err(e) = run(&self.conn, "COMMIT") else { return Ok(()) };
        let ended = self.conn.is_autocommit();
        let certain = !ended || is_full(&e);
        self.undo();
        let e = in_place(&self.source.path, fault(e));
        if certain {
            return Err(Failed::Before(e));
        }
        self.poison(&e);
        Err(Failed::After(e))
    }

    /// Ends a transaction of which nothing shall be kept.
    fn undo(&mut self) {
        if self.conn.is_autocommit() {
            return;
        }
        if let Err(e) = run(&self.conn, "ROLLBACK")
            && !self.conn.is_autocommit()
        {
            self.poison(&fault(e));
        }
    }

    /// Writes nothing more, not even the log when the file is closed.
    fn poison(&mut self, e: &StoreError) -> String {
        drop(leave_log(&self.conn, true));
        let why = self.poisoned(e);
        self.poisoned.get_or_insert(why).clone()
    }

    /// Keeps the time that readers saw since the last batch.
    fn keep_time(&mut self) -> Result<(), StoreError> {
        wait(&mut self.conn, LAST_WAIT.min(self.source.patience)).map_err(fault)?;
        let (before, now) = self.begin()?;
        if now > before.time {
            rows::save(&self.conn, Meta { time: now, ..before })?;
            run(&self.conn, "COMMIT").map_err(fault)?;
        }
        self.undo();
        self.view.done();
        Ok(())
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
