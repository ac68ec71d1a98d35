//! The rows that a batch touches, read before it and written back behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::shared::{expires, expiry, signed, unsigned};
use crate::{
    Timestamp,
    store::apply::{Row, Table},
    traits::store::{Key, Op, StoreError, Txn, Version},
};

/// A row while a batch is applied.
#[derive(Debug, Default)]
struct Cell {
    /// Version and expiry as they are stored.
    stored: Option<(Version, Timestamp)>,
    row: Option<Row>,
}

/// All rows that a batch may touch.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<Key, Cell>);

/// What a batch leaves behind, column by column.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    pub(super) put: Put<'a>,
    pub(super) touched: (Vec<&'a [u8]>, Vec<Option<i64>>),
    pub(super) removed: Vec<&'a [u8]>,
}

/// Rows to write.
#[derive(Debug, Default)]
pub(super) struct Put<'a> {
    pub(super) keys: Vec<&'a [u8]>,
    pub(super) versions: Vec<i64>,
    pub(super) expires: Vec<Option<i64>>,
    pub(super) values: Vec<&'a [u8]>,
}

/// The keys that these transactions name.
pub(super) fn keys(txns: &[Txn]) -> Vec<&[u8]> {
    let guards = txns.iter().flat_map(|txn| &txn.guards).map(|guard| Some(guard.key()));
    let ops = txns.iter().flat_map(|txn| &txn.ops).map(|op| match op {
        Op::Put { key, .. } | Op::Delete { key } | Op::Touch { key, .. } | Op::Add { key, .. } => {
            Some(key)
        }
        // Its key has a version that nobody had before.
        Op::Append { .. } => None,
    });
    let keys: BTreeSet<&[u8]> = guards.chain(ops).flatten().map(Key::as_bytes).collect();
    keys.into_iter().collect()
}

impl Rows {
    /// Takes a row as it is stored.
    pub(super) fn read(&mut self, key: Key, row: Row) {
        let stored = Some((row.version, row.expires));
        self.0.insert(key, Cell { stored, row: Some(row) });
    }

    /// What is different from what is stored.
    pub(super) fn changes(&self) -> Changes<'_> {
        let mut changes = Changes::default();
        for (key, cell) in &self.0 {
            let key = key.as_bytes();
            match (&cell.row, cell.stored) {
                (Some(row), Some((version, _))) if row.version == version => {
                    if cell.stored != Some((row.version, row.expires)) {
                        changes.touched.0.push(key);
                        changes.touched.1.push(expiry(row.expires));
                    }
                }
                (Some(row), _) => {
                    changes.put.keys.push(key);
                    changes.put.versions.push(signed(row.version.get()));
                    changes.put.expires.push(expiry(row.expires));
                    changes.put.values.push(&row.value);
                }
                (None, Some(_)) => changes.removed.push(key),
                (None, None) => {}
            }
        }
        changes
    }
}

impl Table for Rows {
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        Ok(self.0.get(key).and_then(|cell| cell.row.clone()))
    }

    fn head(&self, key: &Key) -> Result<Option<(Version, Timestamp)>, StoreError> {
        let row = self.0.get(key).and_then(|cell| cell.row.as_ref());
        Ok(row.map(|row| (row.version, row.expires)))
    }

    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError> {
        self.0.entry(key).or_default().row = Some(row);
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<(), StoreError> {
        if let Some(cell) = self.0.get_mut(key) {
            cell.row = None;
        }
        Ok(())
    }
}

/// Reads a row whose key, version, expiry and value begin at this column; `None` when the join
/// found none.
pub(super) fn decode(
    row: &tokio_postgres::Row,
    from: usize,
) -> Result<Option<(Key, Row)>, tokio_postgres::Error> {
    let Some(key) = row.try_get::<_, Option<Vec<u8>>>(from)? else { return Ok(None) };
    let version = Version::new(unsigned(row.try_get(from + 1)?));
    let expires = expires(row.try_get(from + 2)?);
    let value: Vec<u8> = row.try_get(from + 3)?;
    Ok(Some((Key::from_bytes(key), Row { version, expires, value: value.into() })))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(n: u64) -> Key {
        Key::system("t").number(n).build()
    }

    fn row(version: u64, expires: u64) -> Row {
        let (version, expires) = (Version::new(version), Timestamp::from_millis(expires));
        Row { version, expires, value: Bytes::from_static(b"x") }
    }

    #[test]
    fn only_what_differs_is_written_back() {
        let mut rows = Rows::default();
        for n in 0..6 {
            rows.read(key(n), row(1, 10));
        }
        rows.put(key(1), row(2, 10)).unwrap();
        rows.put(key(2), row(1, 20)).unwrap();
        rows.remove(&key(3)).unwrap();
        rows.remove(&key(4)).unwrap();
        rows.put(key(4), row(2, u64::MAX)).unwrap();
        rows.put(key(5), row(2, 10)).unwrap();
        rows.remove(&key(5)).unwrap();
        rows.put(key(6), row(2, 30)).unwrap();
        rows.put(key(7), row(2, 30)).unwrap();
        rows.remove(&key(7)).unwrap();
        let changes = rows.changes();
        let named = |ns: &[u64]| ns.iter().map(|n| key(*n)).collect::<Vec<_>>();
        let shown = |keys: &[&[u8]]| -> Vec<Key> {
            keys.iter().map(|key| Key::from_bytes(key.to_vec())).collect()
        };
        assert_eq!(shown(&changes.put.keys), named(&[1, 4, 6]));
        assert_eq!(changes.put.expires, [Some(10), None, Some(30)]);
        assert_eq!(shown(&changes.touched.0), named(&[2]));
        assert_eq!(changes.touched.1, [Some(20)]);
        assert_eq!(shown(&changes.removed), named(&[3, 5]));
    }

    #[test]
    fn a_batch_names_each_key_once_and_no_appended_one() {
        let prefix = Key::system("log").prefix();
        let txn = Txn::new("t").op(Op::put(key(1), "x")).op(Op::append(prefix, "x"));
        let txns = [txn.clone().op(Op::delete(key(0))), txn];
        assert_eq!(keys(&txns), [key(0).as_bytes(), key(1).as_bytes()]);
    }
}
