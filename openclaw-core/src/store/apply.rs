//! What a transaction means, once for every engine that keeps its own rows.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Timestamp,
    traits::store::{Applied, Commit, Conflict, Entry, Guard, Key, Op, StoreError, Txn, Version},
};

/// A row with its header, expired or not.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) version: Version,
    /// [`Timestamp::MAX`] when it never expires.
    pub(super) expires: Timestamp,
    pub(super) value: Bytes,
}

impl Row {
    pub(super) fn entry(self) -> Entry {
        let at = (self.expires < Timestamp::MAX).then_some(self.expires);
        Entry::new(self.value, self.version).expiring(at)
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires > now
    }
}

/// Rows inside one write transaction of an engine.
pub(super) trait Table {
    /// The row, expired or not.
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError>;
    /// Version and expiry of the row, expired or not.
    fn head(&self, key: &Key) -> Result<Option<(Version, Timestamp)>, StoreError>;
    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError>;
    fn remove(&mut self, key: &Key) -> Result<(), StoreError>;
}

/// Checks all guards, then applies all operations or none.
///
/// An error from the table may leave half of the operations behind: the engine must abort its
/// own transaction then.
pub(super) fn apply(
    table: &mut impl Table,
    txn: Txn,
    version: Version,
    now: Timestamp,
) -> Result<Commit, StoreError> {
    for (at, guard) in txn.guards.iter().enumerate() {
        let live = table.head(guard.key())?.filter(|(_, expires)| *expires > now).map(|(v, _)| v);
        if !guard.holds(live) {
            return conflict(table, at, guard, now);
        }
    }
    let sums = match add_all(table, &txn, now)? {
        Ok(sums) => sums,
        Err(failed) => return Ok(Commit::Conflict(failed)),
    };
    let mut place = 0;
    let mut next_sum = sums.iter();
    for op in txn.ops {
        match op {
            Op::Put { key, value, ttl } => {
                table.put(key, Row { version, expires: until(now, ttl), value })?;
            }
            Op::Delete { key } => table.remove(&key)?,
            Op::Touch { key, ttl } => {
                if let Some(row) = table.row(&key)?.filter(|row| row.is_live(now)) {
                    table.put(key, Row { expires: until(now, ttl), ..row })?;
                }
            }
            Op::Append { prefix, value, ttl } => {
                let key = prefix.appended(version, place);
                place += 1;
                table.put(key, Row { version, expires: until(now, ttl), value })?;
            }
            Op::Add { key, ttl, .. } => {
                let sum = next_sum.next().copied().unwrap_or_default();
                let value = Bytes::copy_from_slice(&sum.to_be_bytes());
                table.put(key, Row { version, expires: until(now, ttl), value })?;
            }
        }
    }
    Ok(Commit::Applied(Applied::new(version, now, sums)))
}

fn conflict(
    table: &impl Table,
    at: usize,
    guard: &Guard,
    now: Timestamp,
) -> Result<Commit, StoreError> {
    let current = table.row(guard.key())?.filter(|row| row.is_live(now)).map(Row::entry);
    Ok(Commit::Conflict(Conflict::new(at, current)))
}

/// When a row that lives for `ttl` from now ceases to exist.
pub(super) fn until(now: Timestamp, ttl: Option<Duration>) -> Timestamp {
    ttl.map_or(Timestamp::MAX, |ttl| now.after(ttl))
}

/// The sums of all adds, in order, or the first one that may not be.
///
/// Adds are judged before anything applies. An earlier operation of the same transaction on
/// the same key counts.
fn add_all(
    table: &impl Table,
    txn: &Txn,
    now: Timestamp,
) -> Result<Result<Vec<i64>, Conflict>, StoreError> {
    let mut sums: Vec<i64> = Vec::new();
    for (at, op) in txn.ops.iter().enumerate() {
        let Op::Add { key, delta, bound, .. } = op else { continue };
        let stored = table.row(key)?.filter(|row| row.is_live(now));
        let refuse =
            |row: Option<Row>| Ok(Err(Conflict::new(txn.guards.len() + at, row.map(Row::entry))));
        let before = match earlier(txn, at, key, &sums) {
            Some(value) => value,
            None => stored.as_ref().map_or(Some(0), |row| number(&row.value)),
        };
        let Some(sum) = before.and_then(|n| n.checked_add(*delta)) else { return refuse(stored) };
        if bound.as_ref().is_some_and(|bound| !bound.contains(&sum)) {
            return refuse(stored);
        }
        sums.push(sum);
    }
    Ok(Ok(sums))
}

/// What an earlier operation of the transaction leaves in this row: `None` when there was
/// none, `Some(None)` when it left no number.
fn earlier(txn: &Txn, before: usize, key: &Key, sums: &[i64]) -> Option<Option<i64>> {
    let mut adds = sums.iter();
    let mut found = None;
    for op in txn.ops.iter().take(before) {
        match op {
            Op::Put { key: k, value, .. } if k == key => found = Some(number(value)),
            Op::Delete { key: k } if k == key => found = Some(Some(0)),
            Op::Add { key: k, .. } => {
                let sum = adds.next().copied();
                if k == key {
                    found = Some(sum);
                }
            }
            _ => {}
        }
    }
    found
}

fn number(value: &[u8]) -> Option<i64> {
    value.try_into().ok().map(i64::from_be_bytes)
}
