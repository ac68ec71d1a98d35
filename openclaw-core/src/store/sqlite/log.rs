//! Writing the log back into the file, so that it stays short.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    connection::wait,
    fault::{is_busy, is_full},
};

/// Pages in the log that are worth writing back.
const WORTH: i64 = 1000;

/// Pages in the log at which the writer waits for those who still read in it.
///
/// One page of the shared index of the log holds about as many: it need not grow.
const TOO_LONG: i64 = 4000;

/// How long the writer waits for them, and how long it does for other writers.
const PATIENCE: Duration = Duration::from_millis(100);

/// How the log is kept short.
///
/// SQLite starts the log again from its beginning once all of it is in the file and nobody reads
/// in it. Where there are always readers, that moment may never come by itself.
#[derive(Debug)]
pub(super) struct Log {
    /// The length at which to wait for readers again.
    wait_at: i64,
}

impl Log {
    pub(super) const fn new() -> Self {
        Self { wait_at: TOO_LONG }
    }

    /// Writes back what is worth it. What it can't do now is left to the next time.
    pub(super) fn tidy(
        &mut self,
        conn: &mut Connection,
        patience: Duration,
    ) -> rusqlite::Result<()> {
        let (pages, done) = checkpoint(conn, "NOOP")?;
        if pages < self.wait_at && pages - done < WORTH {
            return Ok(());
        }
        let (pages, _) = checkpoint(conn, "PASSIVE")?;
        if pages < TOO_LONG {
            self.wait_at = TOO_LONG;
        } else if pages >= self.wait_at {
            wait(conn, PATIENCE.min(patience))?;
            let ended = checkpoint(conn, "TRUNCATE");
            wait(conn, patience)?;
            self.wait_at = ended?.0 + TOO_LONG;
        }
        Ok(())
    }
}

/// Pages in the log, and how many of them are in the file.
fn checkpoint(conn: &Connection, how: &str) -> rusqlite::Result<(i64, i64)> {
    let mut sql = conn.prepare_cached(&format!("PRAGMA wal_checkpoint({how})"))?;
    match sql.query_row([], |row| Ok((row.get(1)?, row.get(2)?))) {
        // Another process is at it, or the disk is full: the log keeps what is in it.
        Err(e) if is_busy(&e) || is_full(&e) => Ok((0, 0)),
        answer => answer,
    }
}
