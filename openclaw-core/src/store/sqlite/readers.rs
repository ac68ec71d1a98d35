//! The connections that read, side by side with each other and with the writer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::Connection;

use super::{connection::Source, fault::fault, rows};
use crate::{Timestamp, store::embedded::in_place, traits::store::StoreError};

/// How long a read waits, where it is called, for a process that repairs the log.
const PATIENCE: Duration = Duration::from_millis(10);

/// Connections that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Readers {
    source: Source,
    idle: Mutex<Vec<Connection>>,
}

/// A connection inside a read transaction.
///
/// Dropping it closes the connection: what has failed is not used again.
pub(super) struct Snapshot {
    conn: Connection,
    readers: Arc<Readers>,
}

impl Readers {
    pub(super) const fn new(source: Source) -> Self {
        Self { source, idle: Mutex::new(Vec::new()) }
    }

    /// The state as it is now, with its time.
    pub(super) fn snapshot(self: &Arc<Self>) -> Result<(Snapshot, Timestamp), StoreError> {
        let failed = |e| in_place(&self.source.path, fault(e));
        let idle = self.idle().pop();
        let conn = idle.map_or_else(|| self.source.reader(PATIENCE), Ok).map_err(failed)?;
        run(&conn, "BEGIN").map_err(failed)?;
        let meta = rows::meta(&conn).map_err(|e| in_place(&self.source.path, e))?;
        Ok((Snapshot { conn, readers: Arc::clone(self) }, meta.time))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Reads from it, and keeps it.
    pub(super) fn look<T>(
        &self,
        rows: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        rows(&self.conn).map_err(|e| in_place(&self.readers.source.path, e))
    }

    /// Reads from it, and makes the connection free for the next.
    pub(super) fn read<T>(
        self,
        rows: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = &self.readers.source.path;
        let read = rows(&self.conn).map_err(|e| in_place(path, e))?;
        run(&self.conn, "COMMIT").map_err(|e| in_place(path, fault(e)))?;
        self.readers.idle().push(self.conn);
        Ok(read)
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
