//! How rows lie in fjall's keyspaces.
//!
//! `rows`: key → row. `expiry`: expiry and key → nothing, only for rows that expire. `meta`: what
//! outlives the process. The bytes are those of `embedded::row`.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch, Readable, Snapshot, UserValue};

use super::{db::Db, fault::fault};
use crate::{
    Timestamp,
    store::{
        apply::{Row, Table},
        embedded::{Found, SWEEP, due, due_key, encode, head, live, range, row},
    },
    traits::store::{Entry, Key, MAX_KEY_LEN, Page, ScanQuery, StoreError},
};

/// What is stored, under what a batch changes: the engine writes a key once a batch.
pub(super) struct Rows<'db> {
    db: &'db Db,
    rows: BTreeMap<Key, Option<Row>>,
    /// Expiries that are written (true) or removed.
    expiry: BTreeMap<Vec<u8>, bool>,
    scratch: Vec<u8>,
    /// No row expires before this.
    earliest: Timestamp,
    /// Expiries this batch wrote.
    scheduled: usize,
}

impl<'db> Rows<'db> {
    pub(super) fn new(db: &'db Db, earliest: Timestamp) -> Self {
        let (rows, expiry) = (BTreeMap::new(), BTreeMap::new());
        Self { db, rows, expiry, scratch: Vec::new(), earliest, scheduled: 0 }
    }

    /// Clears expired rows away, in proportion to what this batch wrote, and tells when the next
    /// one expires.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Result<Timestamp, StoreError> {
        if self.earliest > now {
            return Ok(self.earliest);
        }
        let mut left = SWEEP + 2 * self.scheduled;
        let mut next = Timestamp::MAX;
        // What was swept before lies in front of it, and takes time to step over.
        let from = self.earliest.as_millis().to_be_bytes();
        for found in self.db.expiry.range(from..) {
            let index = found.key().map_err(fault)?;
            if self.expiry.get(&*index) == Some(&false) {
                continue;
            }
            let (at, key) = due(&index)?;
            if at > now || left == 0 {
                next = at;
                break;
            }
            left -= 1;
            self.rows.insert(Key::from_bytes(Bytes::copy_from_slice(key)), None);
            self.expiry.insert(index.to_vec(), false);
        }
        for (index, _) in self.expiry.iter().filter(|(_, written)| **written).take(1) {
            next = next.min(due(index)?.0);
        }
        self.earliest = next;
        Ok(next)
    }

    /// Puts the changes into a batch of the engine, and tells how many bytes they have.
    pub(super) fn write(mut self, batch: &mut OwnedWriteBatch) -> u64 {
        let mut bytes = 0;
        for (key, row) in &self.rows {
            let key = key.as_bytes();
            bytes += key.len();
            if let Some(row) = row {
                let row = encode(&mut self.scratch, row);
                bytes += row.len();
                batch.insert(&self.db.rows, key, row);
            } else {
                batch.remove(&self.db.rows, key);
            }
        }
        for (index, written) in &self.expiry {
            bytes += index.len();
            if *written {
                batch.insert(&self.db.expiry, index.as_slice(), [].as_slice());
            } else {
                batch.remove(&self.db.expiry, index.as_slice());
            }
        }
        bytes as u64
    }

    fn stored(&self, key: &Key) -> Result<Option<UserValue>, StoreError> {
        self.db.rows.get(key.as_bytes()).map_err(fault)
    }

    fn schedule(&mut self, at: Timestamp, key: &[u8]) {
        self.earliest = self.earliest.min(at);
        self.scheduled += 1;
        self.expiry.insert(due_key(&mut self.scratch, at, key).to_vec(), true);
    }

    fn unschedule(&mut self, at: Timestamp, key: &[u8]) {
        self.expiry.insert(due_key(&mut self.scratch, at, key).to_vec(), false);
    }
}

impl Table for Rows<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        match self.rows.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.stored(key)?.map(|found| row(&found)).transpose(),
        }
    }

    fn head(&self, key: &Key) -> Result<Option<Found>, StoreError> {
        match self.rows.get(key) {
            Some(changed) => Ok(changed.as_ref().map(|row| (row.version, row.expires))),
            None => self.stored(key)?.map(|found| head(&found)).transpose(),
        }
    }

    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError> {
        let before = expiry(self.head(&key)?);
        if before != row.expires {
            if before < Timestamp::MAX {
                self.unschedule(before, key.as_bytes());
            }
            if row.expires < Timestamp::MAX {
                self.schedule(row.expires, key.as_bytes());
            }
        }
        self.rows.insert(key, Some(row));
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<(), StoreError> {
        let Some(found) = self.head(key)? else { return Ok(()) };
        let before = expiry(Some(found));
        if before < Timestamp::MAX {
            self.unschedule(before, key.as_bytes());
        }
        self.rows.insert(key.clone(), None);
        Ok(())
    }
}

/// Reads several keys, expired rows left out.
pub(super) fn get_many(
    snapshot: &Snapshot,
    rows: &Keyspace,
    keys: &[Key],
    now: Timestamp,
) -> Result<Vec<Option<Entry>>, StoreError> {
    let read = |key: &Key| {
        // Over its own limit the engine panics.
        if key.as_bytes().len() > MAX_KEY_LEN {
            return Ok(None);
        }
        let found = snapshot.get(rows, key.as_bytes()).map_err(fault)?;
        found.map_or(Ok(None), |row| live(&row, now))
    };
    keys.iter().map(read).collect()
}

/// Reads a page, expired rows left out.
pub(super) fn page(
    snapshot: &Snapshot,
    rows: &Keyspace,
    query: &ScanQuery,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let end = query.prefix.end();
    let Some(wanted) = range(query, end.as_deref()) else { return Ok(page) };
    let mut found = snapshot.range::<&[u8], (Bound<&[u8]>, Bound<&[u8]>)>(rows, wanted);
    while let Some(next) = if query.reverse { found.next_back() } else { found.next() } {
        let (key, row) = next.into_inner().map_err(fault)?;
        if let Some(entry) = live(&row, now)? {
            if page.rows.len() == query.limit.get() {
                page.more = true;
                break;
            }
            page.rows.push((Key::from_bytes(Bytes::copy_from_slice(&key)), entry));
        }
    }
    Ok(page)
}

/// When the row that was there expires; never, when there was none.
fn expiry(old: Option<Found>) -> Timestamp {
    old.map_or(Timestamp::MAX, |(_, expires)| expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Env,
        store::{FjallStore, fjall::db::Memory},
        traits::store::{Commit, Guard, Op, StateStore, Txn, Version},
    };

    fn db(dir: &tempfile::TempDir) -> Db {
        let memory = Memory { cache: 1 << 20, write_buffer: 1 << 20 };
        let path = dir.path().join("rows");
        Db::make(&path, &path, memory).unwrap();
        Db::open(&path, &path, memory).unwrap().db
    }

    fn write<T>(db: &Db, earliest: u64, work: impl FnOnce(&mut Rows<'_>) -> T) -> T {
        let mut rows = Rows::new(db, Timestamp::from_millis(earliest));
        let done = work(&mut rows);
        let mut batch = db.batch();
        rows.write(&mut batch);
        batch.commit().unwrap();
        done
    }

    fn sizes(db: &Db) -> (usize, usize) {
        (db.rows.len().unwrap(), db.expiry.len().unwrap())
    }

    fn put(rows: &mut Rows<'_>, n: u64, expires: u64) {
        let (version, expires) = (Version::new(1), Timestamp::from_millis(expires));
        let row = Row { version, expires, value: Bytes::new() };
        rows.put(Key::system("t").number(n).build(), row).unwrap();
    }

    #[test]
    fn a_sweep_takes_what_expired_bit_by_bit_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        write(&db, u64::MAX, |rows| (0..200).for_each(|n| put(rows, n, 10 + n)));
        assert_eq!(sizes(&db), (200, 200));
        let sweep = |earliest, now| {
            let now = Timestamp::from_millis(now);
            write(&db, earliest, |rows| rows.sweep(now).unwrap().as_millis())
        };
        assert_eq!(sweep(10, 9), 10);
        assert_eq!(sizes(&db), (200, 200));
        let mut earliest = sweep(10, 109);
        assert_eq!(earliest, 10 + SWEEP as u64, "more is left to do");
        assert_eq!(sizes(&db), (200 - SWEEP, 200 - SWEEP));
        (0..4).for_each(|_| earliest = sweep(earliest, 109));
        assert_eq!((sizes(&db), earliest), ((100, 100), 110));
        (0..4).for_each(|_| earliest = sweep(earliest, 1000));
        assert_eq!((sizes(&db), earliest), ((0, 0), u64::MAX));
    }

    #[test]
    fn a_sweep_sees_what_its_own_batch_changes() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        write(&db, u64::MAX, |rows| (0..3).for_each(|n| put(rows, n, 10)));
        let now = Timestamp::from_millis(20);
        let next = write(&db, 10, |rows| {
            put(rows, 0, 30);
            put(rows, 1, 10);
            put(rows, 3, 20);
            rows.sweep(now).unwrap().as_millis()
        });
        assert_eq!((sizes(&db), next), ((2, 2), 20), "what this batch wrote waits for the next");
        assert_eq!(write(&db, next, |rows| rows.sweep(now).unwrap().as_millis()), 30);
        assert_eq!(sizes(&db), (1, 1));
    }

    #[test]
    fn the_index_follows_its_row() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let never = Timestamp::MAX.as_millis();
        for (expires, indexed) in [(10, 1), (20, 1), (20, 1), (never, 0), (never, 0), (30, 1)] {
            write(&db, 0, |rows| put(rows, 1, expires));
            assert_eq!(sizes(&db), (1, indexed));
        }
        write(&db, 0, |rows| {
            put(rows, 1, 50);
            put(rows, 1, 60);
            rows.remove(&Key::system("t").number(1).build()).unwrap();
            put(rows, 1, 70);
        });
        assert_eq!(sizes(&db), (1, 1));
        write(&db, 0, |rows| rows.remove(&Key::system("t").number(1).build()).unwrap());
        assert_eq!(sizes(&db), (0, 0));
    }

    #[tokio::test]
    async fn a_row_that_can_not_be_read_refuses_its_own_transaction_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let open = || FjallStore::open(&path, Env::system().clock()).unwrap();
        let key = |n| Key::system("t").number(n).build();
        drop(open());
        let memory = Memory { cache: 1 << 20, write_buffer: 1 << 20 };
        let db = Db::open(&path, &path.join("rows"), memory).unwrap().db;
        let mut batch = db.batch();
        batch.insert(&db.rows, key(1).as_bytes(), b"short".as_slice());
        batch.commit().unwrap();
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
