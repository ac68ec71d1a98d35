//! What a copy did, and why it did not.

use crate::{
    Digest,
    traits::store::{Key, StoreError, Version},
};

/// What a copy did, and what the comparison at its end found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyReport {
    /// Rows that this run wrote; those of earlier runs are not counted.
    pub copied: u64,
    /// It went on where an earlier run had ended.
    pub resumed: bool,
    /// Rows of the source, as the comparison counted them.
    pub rows: u64,
    /// Rows of the destination.
    pub rows_there: u64,
    /// A digest over all keys and values of the source, in order.
    pub digest: Digest,
    /// The same over the destination.
    pub digest_there: Digest,
    /// The highest version in the source: the destination only gives out higher ones.
    pub highest: Version,
    /// The first rows that differ, at most 32.
    pub mismatches: Vec<Mismatch>,
    /// How many rows differ.
    pub differing: u64,
}

impl CopyReport {
    /// Do both sides hold the same?
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.differing == 0 && self.rows == self.rows_there && self.digest == self.digest_there
    }
}

/// A row that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Its key.
    pub key: Key,
    /// What is wrong with it.
    pub difference: Difference,
}

impl Mismatch {
    pub(super) const fn new(key: Key, difference: Difference) -> Self {
        Self { key, difference }
    }
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The destination does not have it.
    Missing,
    /// Only the destination has it.
    Extra,
    /// Its values differ.
    Value,
    /// It expires on one side only.
    Expiry,
}

/// Why a copy did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source did not answer.
    #[error("the source of the copy: {0}")]
    Source(#[source] StoreError),
    /// The destination did not answer, or refused a row.
    #[error("the destination of the copy: {0}")]
    Destination(#[source] StoreError),
    /// The destination holds a row that this copy did not write.
    #[error("the destination is not empty: it holds {0:?}: choose an empty store")]
    NotEmpty(Key),
    /// The source is itself a copy that was not finished.
    #[error("the source is an unfinished copy: finish it first")]
    Unfinished,
    /// Another copy into the same destination is under way.
    #[error("another copy writes to the destination: stop one of the two, then run again")]
    Overtaken,
}
