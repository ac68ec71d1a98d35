//! Sums over rows that were put: a sealed number has to be opened before anybody adds to it.
//!
//! The store below adds only to plain numbers. When it refuses an add because the row is sealed,
//! and the row holds a number, the sum is made here and written as a plain number, guarded by the
//! version that was opened. From then on the row is plain, and the store below adds.

use bytes::Bytes;

use super::seal::NUMBER;
use crate::traits::store::{Applied, Entry, Guard, Key, Op, Txn, Version};

/// An add whose row holds a sealed number.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Its place in the transaction.
    at: usize,
    key: Key,
    version: Version,
    sum: i64,
}

impl Known {
    /// The guard that keeps the sum true.
    pub(super) fn guard(&self) -> Guard {
        Guard::VersionIs(self.key.clone(), self.version)
    }

    /// Makes the sum, if this add looks at the row and the row holds a number that allows it.
    pub(super) fn of(ops: &[Op], at: usize, opened: &Entry) -> Option<Self> {
        let Some(Op::Add { key, delta, bound, .. }) = ops.get(at) else { return None };
        let sum = number(&opened.value)?.checked_add(*delta)?;
        let fits = bound.as_ref().is_none_or(|bound| bound.contains(&sum));
        let known = Self { at, key: key.clone(), version: opened.version, sum };
        (fits && looks_at_its_row(ops, at, key)).then_some(known)
    }
}

/// The sum of the add at this place, written out.
pub(super) fn written(known: &[Known], at: usize) -> Option<Bytes> {
    let known = known.iter().find(|known| known.at == at)?;
    Some(Bytes::copy_from_slice(&known.sum.to_be_bytes()))
}

/// Puts the sums that were made here among those of the store below.
pub(super) fn sums(txn: &Txn, known: &[Known], applied: Applied) -> Applied {
    if known.is_empty() {
        return applied;
    }
    let mut below = applied.sums.into_iter();
    let adds = txn.ops.iter().enumerate().filter(|(_, op)| matches!(op, Op::Add { .. }));
    let sums = adds.filter_map(|(at, _)| {
        let here = known.iter().find(|known| known.at == at).map(|known| known.sum);
        here.or_else(|| below.next())
    });
    Applied::new(applied.version, applied.as_of, sums.collect())
}

/// Does an add of this transaction look at a stored row?
pub(super) fn looks_at_rows(txn: &Txn) -> bool {
    txn.ops.iter().enumerate().any(|(at, op)| match op {
        Op::Add { key, .. } => looks_at_its_row(&txn.ops, at, key),
        _ => false,
    })
}

/// Does a later operation add to what this one puts? It stays plain then.
pub(super) fn is_added_to(ops: &[Op], at: usize, key: &Key, value: &[u8]) -> bool {
    value.len() == NUMBER
        && ops.iter().skip(at + 1).any(|op| matches!(op, Op::Add { key: k, .. } if k == key))
}

/// An earlier operation on the row is what the add looks at instead.
fn looks_at_its_row(ops: &[Op], at: usize, key: &Key) -> bool {
    !ops.iter().take(at).any(|op| match op {
        Op::Put { key: k, .. } | Op::Delete { key: k } | Op::Add { key: k, .. } => k == key,
        Op::Touch { .. } | Op::Append { .. } => false,
    })
}

fn number(value: &[u8]) -> Option<i64> {
    value.try_into().ok().map(i64::from_be_bytes)
}
