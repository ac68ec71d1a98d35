//! How rows lie in redb's tables.
//!
//! `rows`: key → row. `expiry`: expiry and key → nothing, only for rows that expire. `meta`: what
//! outlives the process. The bytes are those of `embedded::row`.

use bytes::Bytes;
use redb::{AccessGuard, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::fault::fault;
use crate::{
    Timestamp,
    store::{
        apply::{Row, Table},
        embedded::{Found, Meta, SWEEP, due, due_key, encode, head, live, range, row},
    },
    traits::store::{Entry, Key, Page, ScanQuery, StoreError},
};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("openclaw.rows");
const EXPIRY: TableDefinition<'_, &[u8], ()> = TableDefinition::new("openclaw.expiry");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("openclaw.meta");

/// The layout this code reads and writes.
const FORMAT: u64 = 1;

/// The rows inside one write transaction.
pub(super) struct Rows<'txn> {
    rows: redb::Table<'txn, &'static [u8], &'static [u8]>,
    expiry: redb::Table<'txn, &'static [u8], ()>,
    scratch: Vec<u8>,
    /// No row expires before this.
    earliest: Timestamp,
    /// Expiries this transaction wrote.
    scheduled: usize,
}

impl<'txn> Rows<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        earliest: Timestamp,
    ) -> Result<Self, StoreError> {
        let rows = txn.open_table(ROWS).map_err(fault)?;
        let expiry = txn.open_table(EXPIRY).map_err(fault)?;
        Ok(Self { rows, expiry, scratch: Vec::new(), earliest, scheduled: 0 })
    }

    /// Clears expired rows away, in proportion to what this transaction wrote, and tells when
    /// the next one expires.
    pub(super) fn sweep(mut self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let mut left = SWEEP + 2 * self.scheduled;
        while self.earliest <= now && left > 0 {
            left -= 1;
            let first = match self.expiry.first().map_err(fault)? {
                Some((due, _)) => due.value().to_vec(),
                None => return Ok(Timestamp::MAX),
            };
            let (at, key) = due(&first)?;
            self.earliest = at;
            if at <= now {
                self.expiry.remove(first.as_slice()).map_err(fault)?;
                self.rows.remove(key).map_err(fault)?;
            }
        }
        Ok(self.earliest)
    }

    fn schedule(&mut self, at: Timestamp, key: &[u8]) -> Result<(), StoreError> {
        self.earliest = self.earliest.min(at);
        self.scheduled += 1;
        self.expiry.insert(due_key(&mut self.scratch, at, key), ()).map_err(fault)?;
        Ok(())
    }

    fn unschedule(&mut self, at: Timestamp, key: &[u8]) -> Result<(), StoreError> {
        self.expiry.remove(due_key(&mut self.scratch, at, key)).map_err(fault)?;
        Ok(())
    }
}

impl Table for Rows<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.rows.get(key.as_bytes()).map_err(fault)?.map(|found| row(found.value())).transpose()
    }

    fn head(&self, key: &Key) -> Result<Option<Found>, StoreError> {
        let row = self.rows.get(key.as_bytes()).map_err(fault)?;
        row.map(|row| head(row.value())).transpose()
    }

    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError> {
        let bytes = encode(&mut self.scratch, &row);
        let old = self.rows.insert(key.as_bytes(), bytes).map_err(fault)?;
        let before = expiry(old)?;
        if before == row.expires {
            return Ok(());
        }
        if before < Timestamp::MAX {
            self.unschedule(before, key.as_bytes())?;
        }
        if row.expires < Timestamp::MAX {
            self.schedule(row.expires, key.as_bytes())?;
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<(), StoreError> {
        let before = expiry(self.rows.remove(key.as_bytes()).map_err(fault)?)?;
        if before < Timestamp::MAX { self.unschedule(before, key.as_bytes()) } else { Ok(()) }
    }
}

/// Reads several keys, expired rows left out.
pub(super) fn get_many(
    txn: &ReadTransaction,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<Option<Entry>>, StoreError> {
    let rows = txn.open_table(ROWS).map_err(fault)?;
    let read = |key: &Key| {
        let found = rows.get(key.as_bytes()).map_err(fault)?;
        found.map_or(Ok(None), |row| live(row.value(), now))
    };
    keys.iter().map(read).collect()
}

/// Reads a page, expired rows left out.
pub(super) fn page(
    txn: &ReadTransaction,
    query: &ScanQuery,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let end = query.prefix.end();
    let Some(wanted) = range(query, end.as_deref()) else { return Ok(page) };
    let rows = txn.open_table(ROWS).map_err(fault)?;
    let mut found = rows.range::<&[u8]>(wanted).map_err(fault)?;
    while let Some(next) = if query.reverse { found.next_back() } else { found.next() } {
        let (key, row) = next.map_err(fault)?;
        if let Some(entry) = live(row.value(), now)? {
            if page.rows.len() == query.limit.get() {
                page.more = true;
                break;
            }
            page.rows.push((Key::from_bytes(Bytes::copy_from_slice(key.value())), entry));
        }
    }
    Ok(page)
}

/// Writes what must outlive the process.
pub(super) fn save(txn: &WriteTransaction, meta: Meta) -> Result<(), StoreError> {
    let mut table = txn.open_table(META).map_err(fault)?;
    table.insert("version", meta.version).map_err(fault)?;
    table.insert("time", meta.time.as_millis()).map_err(fault)?;
    Ok(())
}

/// Makes the tables of an empty file.
pub(super) fn init(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(ROWS).map_err(fault)?;
    txn.open_table(EXPIRY).map_err(fault)?;
    txn.open_table(META).map_err(fault)?.insert("format", FORMAT).map_err(fault)?;
    save(txn, Meta::default())
}

/// What outlived the last process, and when the first row expires; `None` for an empty file.
pub(super) fn load(txn: &ReadTransaction) -> Result<Option<(Meta, Timestamp)>, StoreError> {
    if txn.list_tables().map_err(fault)?.next().is_none() {
        return Ok(None);
    }
    let meta = txn.open_table(META).map_err(fault)?;
    let number = |name| match meta.get(name).map_err(fault) {
        Ok(found) => Ok(found.map_or(0, |n| n.value())),
        Err(e) => Err(e),
    };
    match number("format")? {
        FORMAT => {}
        n => return Err(StoreError::Corrupt(format!("its layout is {n}, this is {FORMAT}"))),
    }
    let time = Timestamp::from_millis(number("time")?);
    let expiry = txn.open_table(EXPIRY).map_err(fault)?;
    let earliest = match expiry.first().map_err(fault)? {
        Some((first, _)) => due(first.value())?.0,
        None => Timestamp::MAX,
    };
    Ok(Some((Meta { version: number("version")?, time }, earliest)))
}

/// When the row that was there expires; never, when there was none.
fn expiry(old: Option<AccessGuard<'_, &'static [u8]>>) -> Result<Timestamp, StoreError> {
    old.map_or(Ok(Timestamp::MAX), |old| head(old.value()).map(|(_, expires)| expires))
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase, ReadableTableMetadata, backends::InMemoryBackend};

    use super::*;
    use crate::{
        Env,
        store::RedbStore,
        traits::store::{Commit, Guard, Op, StateStore, Txn, Version},
    };

    fn write<T>(db: &Database, earliest: u64, work: impl FnOnce(Rows<'_>) -> T) -> T {
        let txn = db.begin_write().unwrap();
        let done = work(Rows::open(&txn, Timestamp::from_millis(earliest)).unwrap());
        txn.commit().unwrap();
        done
    }

    fn sizes(db: &Database) -> (u64, u64) {
        let txn = db.begin_read().unwrap();
        let (rows, expiry) = (txn.open_table(ROWS).unwrap(), txn.open_table(EXPIRY).unwrap());
        (rows.len().unwrap(), expiry.len().unwrap())
    }

    fn put(rows: &mut Rows<'_>, n: u64, expires: u64) {
        let (version, expires) = (Version::new(1), Timestamp::from_millis(expires));
        let row = Row { version, expires, value: Bytes::new() };
        rows.put(Key::system("t").number(n).build(), row).unwrap();
    }

    #[test]
    fn a_sweep_takes_what_expired_bit_by_bit_and_nothing_else() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        write(&db, u64::MAX, |mut rows| (0..200).for_each(|n| put(&mut rows, n, 10 + n)));
        assert_eq!(sizes(&db), (200, 200));
        let sweep = |now| {
            write(&db, 10, |rows| rows.sweep(Timestamp::from_millis(now)).unwrap().as_millis())
        };
        assert_eq!(sweep(9), 10);
        assert_eq!(sizes(&db), (200, 200));
        assert!(sweep(109) <= 109, "more is left to do");
        assert_eq!(sizes(&db), (200 - SWEEP as u64, 200 - SWEEP as u64));
        let again = |now| (0..4).fold(0, |_, _| sweep(now));
        assert_eq!(again(109), 110);
        assert_eq!((sizes(&db), sweep(109)), ((100, 100), 110));
        again(1000);
        assert_eq!((sizes(&db), sweep(1000)), ((0, 0), u64::MAX));
    }

    #[test]
    fn the_index_follows_its_row() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let never = Timestamp::MAX.as_millis();
        for (expires, indexed) in [(10, 1), (20, 1), (20, 1), (never, 0), (never, 0), (30, 1)] {
            write(&db, 0, |mut rows| put(&mut rows, 1, expires));
            assert_eq!(sizes(&db), (1, indexed));
        }
        write(&db, 0, |mut rows| rows.remove(&Key::system("t").number(1).build()).unwrap());
        assert_eq!(sizes(&db), (0, 0));
    }

    #[tokio::test]
    async fn a_row_that_can_not_be_read_refuses_its_own_transaction_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let open = || RedbStore::open(&path, Env::system().clock()).unwrap();
        let key = |n| Key::system("t").number(n).build();
        drop(open());
        let db = Database::open(&path).unwrap();
        write(&db, 0, |mut rows| {
            drop(rows.rows.insert(key(1).as_bytes(), b"short".as_slice()).unwrap());
        });
        drop(db);
        let store = open();
        let step = |n| Txn::new("t").guard(Guard::Absent(key(n))).op(Op::put(key(n), "x"));
        let outcomes = store.commit_many((0..4).map(step).collect()).await;
        for (n, outcome) in outcomes.iter().enumerate() {
            match (n, outcome) {
                (1, Err(StoreError::Corrupt(_))) | (0 | 2 | 3, Ok(Commit::Applied(_))) => {}
                other => panic!("{other:?}"),
            }
        }
        let found = store.get_many(&[key(0), key(2), key(3)]).await.unwrap().value;
        assert!(found.iter().all(Option::is_some), "{found:?}");
    }
}
