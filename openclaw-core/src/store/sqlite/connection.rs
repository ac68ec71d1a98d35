//! Connections to one file: how each is set up, and how the file is made.

use std::{
    fs,
    io::ErrorKind,
    path::{self, Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    fault::{cannot_open, is_busy},
    rows::{self, Found},
};
use crate::{
    Timestamp,
    store::embedded::{cannot_use, in_place, sync_directory},
    traits::store::StoreError,
};

/// How long a connection that waits for another process sleeps between two looks.
///
/// SQLite's own pauses grow to a tenth of a second: a process whose turn is short would not be
/// found free by the others.
const PAUSE: Duration = Duration::from_millis(1);

/// The bytes of the smallest database. SQLite would take a shorter file for an empty one.
const SMALLEST: u64 = 512;

/// A commit syncs the log before it answers. The log is written back by the writer itself, which
/// wants to know how that ended.
const SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; \
     PRAGMA checkpoint_fullfsync = ON; PRAGMA wal_autocheckpoint = 0; \
     PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY; \
     PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;";

/// The file of a store, and what all connections to it have in common.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Absolute: it names the same file for as long as the store is open.
    pub(super) path: PathBuf,
    pub(super) cache: usize,
    pub(super) patience: Duration,
}

impl Source {
    /// The file at this path.
    pub(super) fn new(path: &Path, cache: usize, patience: Duration) -> Result<Self, StoreError> {
        let path = path::absolute(path).map_err(|e| cannot_use(path, &e))?;
        Ok(Self { path, cache, patience })
    }

    /// Opens the file for writing, makes it when there is none, and tells its time.
    pub(super) fn open(&self) -> Result<(Connection, Timestamp), StoreError> {
        let opened = self.connect(OpenFlags::SQLITE_OPEN_CREATE, self.patience);
        let conn = opened.map_err(|e| cannot_open(&self.path, e))?;
        let time = self.prepare(&conn)?;
        sync_directory(&self.path).map_err(|e| cannot_use(&self.path, &e))?;
        Ok((conn, time))
    }

    /// One more connection, for reading. It never writes, not even when it is closed.
    pub(super) fn reader(&self, patience: Duration) -> rusqlite::Result<Connection> {
        let conn = self.connect(OpenFlags::empty(), patience)?;
        conn.execute_batch("PRAGMA query_only = ON")?;
        Ok(conn)
    }

    /// A connection that leaves the log where it is when it is closed.
    fn connect(&self, more: OpenFlags, patience: Duration) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let mut conn = Connection::open_with_flags(&self.path, flags)?;
        wait(&mut conn, patience)?;
        leave_log(&conn, true)?;
        conn.set_prepared_statement_cache_capacity(32);
        conn.execute_batch(SETTINGS)?;
        let kib = i64::try_from(self.cache / 1024).unwrap_or(i64::MAX);
        conn.pragma_update(None, "cache_size", -kib.max(1))?;
        Ok(conn)
    }

    /// Looks at what is in the file before anything is written to it.
    fn prepare(&self, conn: &Connection) -> Result<Timestamp, StoreError> {
        let failed = |e| cannot_open(&self.path, e);
        if conn.is_readonly("main").map_err(failed)? {
            return Err(cannot_use(&self.path, &ErrorKind::PermissionDenied.into()));
        }
        if fs::metadata(&self.path).is_ok_and(|file| (1..SMALLEST).contains(&file.len())) {
            return Err(cannot_use(&self.path, &ErrorKind::InvalidData.into()));
        }
        if matches!(self.look(conn)?, Found::Nothing) {
            self.use_log(conn)?;
            conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            // Another process may have made it meanwhile.
            let made = match self.look(conn) {
                Ok(Found::Nothing) => rows::init(conn).map_err(failed),
                found => found.map(drop),
            };
            let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
            made.and(conn.execute_batch(end).map_err(failed))?;
        } else {
            self.use_log(conn)?;
        }
        let meta = rows::meta(conn).map_err(|e| in_place(&self.path, e))?;
        leave_log(conn, false).map_err(failed)?;
        Ok(meta.time)
    }

    fn look(&self, conn: &Connection) -> Result<Found, StoreError> {
        match rows::look(conn).map_err(|e| cannot_open(&self.path, e))? {
            Found::Another => Err(StoreError::Corrupt(format!(
                "{} is the database of another program: choose another file",
                self.path.display()
            ))),
            Found::Ours => {
                rows::meta(conn).map_err(|e| in_place(&self.path, e))?;
                Ok(Found::Ours)
            }
            Found::Nothing => Ok(Found::Nothing),
        }
    }

    /// Writes go to a log beside the file from now on.
    ///
    /// Two that do this at once would each wait for the other, so SQLite lets neither wait.
    fn use_log(&self, conn: &Connection) -> Result<(), StoreError> {
        let set = || conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        let mut looks = looks(self.patience);
        let mode = loop {
            match set() {
                Err(e) if is_busy(&e) && looks > 0 => pause(),
                mode => break mode.map_err(|e| cannot_open(&self.path, e))?,
            }
            looks -= 1;
        };
        if mode == "wal" {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{}: its file system has no memory that processes share: put it on a local disk",
            self.path.display()
        )))
    }
}

/// Lets a connection wait about this long for others.
pub(super) fn wait(conn: &mut Connection, patience: Duration) -> rusqlite::Result<()> {
    let looks = looks(patience);
    conn.busy_handler(Some(move |looked: i32| {
        pause();
        u128::try_from(looked).unwrap_or_default() < looks
    }))
}

/// Shall closing the last connection leave the log where it is?
pub(super) fn leave_log(conn: &Connection, leave: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "SQLite asks on a thread that has to wait")]
fn pause() {
    thread::sleep(PAUSE);
}

fn looks(patience: Duration) -> u128 {
    patience.as_millis() / PAUSE.as_millis()
}
