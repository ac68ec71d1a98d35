//! How rows lie in SQLite's tables, and the statements that read and write them.
//!
//! `openclaw_rows`: a row by its key, and an index of those that expire. `openclaw_meta`: one row,
//! the format, the last version and the last time. Every transaction reads it: other processes
//! write too.

use std::ops::Bound;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::fault;
use crate::{
    Timestamp,
    store::{
        apply::{Row, Table},
        embedded::range,
    },
    traits::store::{Entry, Key, Page, ScanQuery, StoreError, Version},
};

/// The layout this code reads and writes.
const FORMAT: i64 = 1;

/// The number in the head of the file that says whose it is.
const OWNER: i64 = 0x4F43_4C57;

/// Expired rows that a batch clears away beside its own work.
const SWEEP: usize = 32;

const GET: &str = "SELECT version, expires, value FROM openclaw_rows WHERE key = ?1";
const HEAD: &str = "SELECT version, expires FROM openclaw_rows WHERE key = ?1";
const PUT: &str = "INSERT INTO openclaw_rows (key, version, expires, value) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO UPDATE \
     SET version = excluded.version, expires = excluded.expires, value = excluded.value";
const REMOVE: &str = "DELETE FROM openclaw_rows WHERE key = ?1";
const CLEAR: &str = "DELETE FROM openclaw_rows WHERE key IN (SELECT key FROM openclaw_rows \
     WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
const META: &str = "SELECT format, version, time FROM openclaw_meta";
const SAVE: &str = "UPDATE openclaw_meta SET version = ?1, time = ?2";

const PAGE: &str = "SELECT version, expires, value, key FROM openclaw_rows \
     WHERE key >= ?1 AND key < ?2 AND (expires IS NULL OR expires > ?3) ORDER BY key LIMIT ?4";
const PAGE_BACK: &str = "SELECT version, expires, value, key FROM openclaw_rows \
     WHERE key >= ?1 AND key < ?2 AND (expires IS NULL OR expires > ?3) ORDER BY key DESC LIMIT ?4";
// A key is at most 480 bytes, and no such blob comes behind this one.
const BEHIND_ALL: [u8; 481] = [0xFF; 481];

/// What outlives a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    /// The last version that was given out.
    pub(super) version: u64,
    /// The latest time that a commit answered.
    pub(super) time: Timestamp,
}

/// What is in a file.
pub(super) enum Found {
    Nothing,
    Ours,
    /// Somebody else's tables.
    Another,
}

/// The rows inside one write transaction.
pub(super) struct Rows<'conn> {
    conn: &'conn Connection,
    /// Rows with an expiry that this transaction wrote.
    scheduled: usize,
}

impl<'conn> Rows<'conn> {
    pub(super) const fn new(conn: &'conn Connection) -> Self {
        Self { conn, scheduled: 0 }
    }

    /// Clears expired rows away, in proportion to what this transaction wrote.
    pub(super) fn sweep(self, now: Timestamp) -> Result<(), StoreError> {
        let most = number((SWEEP + 2 * self.scheduled) as u64);
        run(self.conn, CLEAR, params![number(now.as_millis()), most])
    }
}

impl Table for Rows<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        get(self.conn, key)
    }

    fn head(&self, key: &Key) -> Result<Option<(Version, Timestamp)>, StoreError> {
        let mut found = self.conn.prepare_cached(HEAD).map_err(fault)?;
        found.query_row([key.as_bytes()], head).optional().map_err(fault)
    }

    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError> {
        let expires = expiry(row.expires);
        self.scheduled += usize::from(expires.is_some());
        let version = number(row.version.get());
        run(self.conn, PUT, params![key.as_bytes(), version, expires, &*row.value])
    }

    fn remove(&mut self, key: &Key) -> Result<(), StoreError> {
        run(self.conn, REMOVE, [key.as_bytes()])
    }
}

/// Reads several keys, expired rows left out.
pub(super) fn get_many(
    conn: &Connection,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<Option<Entry>>, StoreError> {
    let read = |key| Ok(get(conn, key)?.filter(|row| row.is_live(now)).map(Row::entry));
    keys.iter().map(read).collect()
}

/// Reads a page, expired rows left out.
pub(super) fn page(
    conn: &Connection,
    query: &ScanQuery,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let end = query.prefix.end();
    let Some((low, high)) = range(query, end.as_deref()) else { return Ok(Page::default()) };
    let low = match low {
        // The next key there can be.
        Bound::Excluded(key) => [key, &[0]].concat(),
        Bound::Included(key) => key.to_vec(),
        Bound::Unbounded => Vec::new(),
    };
    let high = match high {
        Bound::Excluded(key) | Bound::Included(key) => key,
        Bound::Unbounded => &BEHIND_ALL,
    };
    let limit = query.limit.get();
    let sql = if query.reverse { PAGE_BACK } else { PAGE };
    let mut found = conn.prepare_cached(sql).map_err(fault)?;
    let most = number(limit as u64).saturating_add(1);
    let found = found
        .query_map(params![low, high, number(now.as_millis()), most], |found| {
            let key = Bytes::copy_from_slice(found.get_ref(3)?.as_blob()?);
            Ok((Key::from_bytes(key), row(found)?.entry()))
        })
        .map_err(fault)?;
    let mut rows = found.collect::<Result<Vec<_>, _>>().map_err(fault)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Page::new(rows, more))
}

/// Whose file is it?
pub(super) fn look(conn: &Connection) -> rusqlite::Result<Found> {
    let sql = "SELECT (SELECT application_id FROM pragma_application_id), \
               (SELECT count(*) FROM sqlite_schema)";
    conn.query_row(sql, [], |row| {
        Ok(match (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?) {
            (0, 0) => Found::Nothing,
            (OWNER, _) => Found::Ours,
            _ => Found::Another,
        })
    })
}

/// Makes the tables of an empty file.
pub(super) fn init(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "CREATE TABLE openclaw_rows (key BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, \
           expires INTEGER, value BLOB NOT NULL) STRICT, WITHOUT ROWID; \
         CREATE INDEX openclaw_expiry ON openclaw_rows (expires) WHERE expires IS NOT NULL; \
         CREATE TABLE openclaw_meta (one INTEGER PRIMARY KEY CHECK (one = 1), \
           format INTEGER NOT NULL, version INTEGER NOT NULL, time INTEGER NOT NULL) STRICT; \
         INSERT INTO openclaw_meta VALUES (1, {FORMAT}, 0, 0); \
         PRAGMA application_id = {OWNER};"
    ))
}

/// What outlived the last transaction. It begins the reading of one.
pub(super) fn meta(conn: &Connection) -> Result<Meta, StoreError> {
    let mut meta = conn.prepare_cached(META).map_err(fault)?;
    let numbers = meta.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    match numbers.optional().map_err(fault)? {
        Some((FORMAT, version, time)) => {
            let (version, time) = (natural(1, version), natural(2, time));
            let time = Timestamp::from_millis(time.map_err(fault)?);
            Ok(Meta { version: version.map_err(fault)?, time })
        }
        Some((format, ..)) => Err(StoreError::Corrupt(format!(
            "its layout is {format}, this is {FORMAT}: open it with the program that wrote it"
        ))),
        None => Err(StoreError::Corrupt("its counters are missing".to_owned())),
    }
}

/// Writes what must outlive the process.
pub(super) fn save(conn: &Connection, meta: Meta) -> Result<(), StoreError> {
    run(conn, SAVE, [number(meta.version), number(meta.time.as_millis())])
}

fn get(conn: &Connection, key: &Key) -> Result<Option<Row>, StoreError> {
    let mut found = conn.prepare_cached(GET).map_err(fault)?;
    found.query_row([key.as_bytes()], row).optional().map_err(fault)
}

fn run(conn: &Connection, sql: &str, with: impl rusqlite::Params) -> Result<(), StoreError> {
    conn.prepare_cached(sql).and_then(|mut sql| sql.execute(with)).map(drop).map_err(fault)
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Version, Timestamp)> {
    let expires = row.get::<_, Option<i64>>(1)?.map(|at| natural(1, at)).transpose()?;
    let expires = expires.map_or(Timestamp::MAX, Timestamp::from_millis);
    Ok((Version::new(natural(0, row.get(0)?)?), expires))
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let (version, expires) = head(row)?;
    let value = Bytes::copy_from_slice(row.get_ref(2)?.as_blob()?);
    Ok(Row { version, expires, value })
}

/// When a row expires. One that would outlive SQLite's numbers never does.
fn expiry(at: Timestamp) -> Option<i64> {
    i64::try_from(at.as_millis()).ok()
}

/// A number as we know it; SQLite has signed ones only.
fn natural(column: usize, n: i64) -> rusqlite::Result<u64> {
    u64::try_from(n).map_err(|_negative| rusqlite::Error::IntegralValueOutOfRange(column, n))
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
