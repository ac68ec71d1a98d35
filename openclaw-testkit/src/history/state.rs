//! The rows as one order of calls leaves them: what a transaction means, one after the other.

use std::collections::BTreeMap;

use bytes::Bytes;
use openclaw_core::store::{Applied, Commit, Conflict, Entry, Guard, Key, Op, Txn, Version};

use super::{Asked, Call, Heard};

/// Rows behind some of the calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    rows: Vec<Option<Row>>,
    /// For each key the last version that is known of it.
    last: Vec<Version>,
    /// The versions of commits nobody heard of, once somebody has seen one of their rows.
    seen: Vec<Option<Version>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    value: Bytes,
    /// The call that wrote it.
    by: usize,
}

/// Calls, and the places of their keys.
pub(super) struct Model<'a> {
    pub(super) calls: &'a [Call],
    pub(super) places: BTreeMap<&'a Key, usize>,
}

/// Why a transaction changes nothing.
struct Lost(usize, usize);

impl Model<'_> {
    /// Before the first call.
    pub(super) fn begin(&self) -> State {
        let keys = self.places.len();
        State {
            rows: vec![None; keys],
            last: vec![Version::default(); keys],
            seen: vec![None; self.calls.len()],
        }
    }

    /// The rows behind this call; `None` when it would have been answered in another way.
    pub(super) fn after(&self, state: &State, at: usize) -> Option<State> {
        let call = self.calls.get(at)?;
        let mut next = state.clone();
        match (&call.asked, &call.heard) {
            (Asked::Read(keys), Heard::Rows(rows)) if keys.len() == rows.len() => {
                let mut all = keys.iter().zip(rows);
                all.all(|(key, row)| self.sees(&mut next, self.place(key), row.as_ref()))
                    .then_some(next)
            }
            (Asked::Commit(txn), heard) => self.commit(next, at, txn, heard),
            _ => None,
        }
    }

    fn place(&self, key: &Key) -> usize {
        self.places.get(key).copied().unwrap_or_default()
    }

    fn commit(&self, mut state: State, at: usize, txn: &Txn, heard: &Heard) -> Option<State> {
        match (self.apply(&state, at, txn), heard) {
            (
                Err(Lost(failed, place)),
                Heard::Commit(Commit::Conflict(Conflict { failed: told, current, .. })),
            ) => {
                (failed == *told && self.sees(&mut state, place, current.as_ref())).then_some(state)
            }
            (Ok((next, _)), Heard::Nothing) => Some(next),
            (
                Ok((mut next, sums)),
                Heard::Commit(Commit::Applied(Applied { version, sums: told, .. })),
            ) => {
                let grown = self.written(txn).all(|place| {
                    let last = next.last.get_mut(place);
                    last.is_some_and(|last| std::mem::replace(last, *version) < *version)
                });
                (sums == *told && grown).then_some(next)
            }
            _ => None,
        }
    }

    /// Each row once that this transaction gives a version.
    fn written(&self, txn: &Txn) -> impl Iterator<Item = usize> {
        let puts = txn.ops.iter().filter_map(|op| match op {
            Op::Put { key, .. } | Op::Add { key, .. } => Some(self.place(key)),
            Op::Delete { .. } | Op::Touch { .. } | Op::Append { .. } => None,
        });
        let mut places: Vec<usize> = puts.collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter()
    }

    fn apply(&self, state: &State, at: usize, txn: &Txn) -> Result<(State, Vec<i64>), Lost> {
        for (n, guard) in txn.guards.iter().enumerate() {
            let place = self.place(guard.key());
            if !self.holds(state, guard, place) {
                return Err(Lost(n, place));
            }
        }
        let (mut next, mut sums) = (state.clone(), Vec::new());
        for (n, op) in txn.ops.iter().enumerate() {
            let (place, value) = match op {
                Op::Put { key, value, .. } => (self.place(key), Some(value.clone())),
                Op::Delete { key } => (self.place(key), None),
                Op::Add { key, delta, bound, .. } => {
                    let place = self.place(key);
                    let sum = number(next.rows.get(place).and_then(Option::as_ref))
                        .and_then(|before| before.checked_add(*delta))
                        .filter(|sum| bound.as_ref().is_none_or(|bound| bound.contains(sum)))
                        .ok_or(Lost(txn.guards.len() + n, place))?;
                    sums.push(sum);
                    (place, Some(Bytes::copy_from_slice(&sum.to_be_bytes())))
                }
                Op::Touch { .. } | Op::Append { .. } => continue,
            };
            if let Some(row) = next.rows.get_mut(place) {
                *row = value.map(|value| Row { value, by: at });
            }
        }
        Ok((next, sums))
    }

    /// A version that nobody has seen is none that somebody names.
    fn holds(&self, state: &State, guard: &Guard, place: usize) -> bool {
        let row = state.rows.get(place).and_then(Option::as_ref);
        match guard {
            Guard::Absent(_) => row.is_none(),
            Guard::Exists(_) => row.is_some(),
            Guard::VersionIs(_, version) => {
                row.is_some_and(|row| self.version(state, row.by) == Some(*version))
            }
        }
    }

    /// The version of a call that wrote; `None` when nobody has seen it yet.
    fn version(&self, state: &State, by: usize) -> Option<Version> {
        match self.calls.get(by).map(|call| &call.heard) {
            Some(Heard::Commit(Commit::Applied(applied))) => Some(applied.version),
            _ => state.seen.get(by).copied().flatten(),
        }
    }

    /// Is this what a reader of the row sees? Who is first to see a version tells it to the rest.
    fn sees(&self, state: &mut State, place: usize, told: Option<&Entry>) -> bool {
        let row = state.rows.get(place).and_then(Option::as_ref);
        let (row, told) = match (row, told) {
            (Some(row), Some(told)) => (row, told),
            (row, told) => return row.is_none() && told.is_none(),
        };
        let (by, same) = (row.by, row.value == told.value);
        match self.version(state, by) {
            Some(version) => same && version == told.version,
            None => {
                let last = state.last.get_mut(place);
                let grown =
                    last.is_some_and(|last| std::mem::replace(last, told.version) < told.version);
                if let Some(seen) = state.seen.get_mut(by) {
                    *seen = Some(told.version);
                }
                same && grown
            }
        }
    }
}

/// The number in a row; an absent one is 0.
fn number(row: Option<&Row>) -> Option<i64> {
    let Some(row) = row else { return Some(0) };
    <[u8; 8]>::try_from(row.value.as_ref()).ok().map(i64::from_be_bytes)
}
