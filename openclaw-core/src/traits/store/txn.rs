//! What a commit checks, does, and answers.

use std::{fmt, ops::RangeInclusive, time::Duration};

use bytes::Bytes;

use super::{Entry, Key, Prefix, StoreCapabilities, StoreError, Version, key::MAX_KEY_LEN};
use crate::Timestamp;

/// Names a transaction in errors and logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TxnId(u64);

impl TxnId {
    /// The id with this number.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What must hold before anything applies.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a store must handle every guard")]
pub enum Guard {
    /// No row has this key.
    Absent(Key),
    /// The row has exactly this version.
    VersionIs(Key, Version),
    /// Some row has this key.
    Exists(Key),
}

impl Guard {
    /// The key it looks at.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::VersionIs(key, _) | Self::Exists(key) => key,
        }
    }

    /// Does it hold for this row?
    #[must_use]
    pub fn holds(&self, row: Option<Version>) -> bool {
        match self {
            Self::Absent(_) => row.is_none(),
            Self::VersionIs(_, version) => row == Some(*version),
            Self::Exists(_) => row.is_some(),
        }
    }
}

/// What a transaction does to one row. Operations apply in order.
#[derive(Clone)]
#[expect(clippy::exhaustive_enums, reason = "a store must handle every operation")]
pub enum Op {
    /// Writes the row.
    Put {
        /// The row.
        key: Key,
        /// Its new value.
        value: Bytes,
        /// How long it exists; for ever when `None`.
        ttl: Option<Duration>,
    },
    /// Removes the row; nothing happens when there is none.
    Delete {
        /// The row.
        key: Key,
    },
    /// Sets how long the row exists, without a new version; nothing happens when there is none.
    Touch {
        /// The row.
        key: Key,
        /// How long it exists from now; for ever when `None`.
        ttl: Option<Duration>,
    },
    /// Writes a row at the end of a log: its key is prefix, version, place in the transaction.
    Append {
        /// The log.
        prefix: Prefix,
        /// The row's value.
        value: Bytes,
        /// How long it exists; for ever when `None`.
        ttl: Option<Duration>,
    },
    /// Adds to a number (eight bytes, big endian, absent is 0).
    ///
    /// A sum outside the bound, or a row that is no number, is a conflict: nothing applies.
    Add {
        /// The row.
        key: Key,
        /// What to add.
        delta: i64,
        /// Where the sum must lie.
        bound: Option<RangeInclusive<i64>>,
        /// How long the row exists from now; for ever when `None`.
        ttl: Option<Duration>,
    },
}

impl Op {
    /// A put without expiry.
    #[must_use]
    pub fn put(key: Key, value: impl Into<Bytes>) -> Self {
        Self::Put { key, value: value.into(), ttl: None }
    }

    /// A put that expires.
    #[must_use]
    pub fn put_for(key: Key, value: impl Into<Bytes>, ttl: Duration) -> Self {
        Self::Put { key, value: value.into(), ttl: Some(ttl) }
    }

    /// A delete.
    #[must_use]
    pub const fn delete(key: Key) -> Self {
        Self::Delete { key }
    }

    /// An append without expiry.
    #[must_use]
    pub fn append(prefix: Prefix, value: impl Into<Bytes>) -> Self {
        Self::Append { prefix, value: value.into(), ttl: None }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value, .. } => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Delete { key } => write!(f, "Delete({key:?})"),
            Self::Touch { key, ttl } => write!(f, "Touch({key:?}, {ttl:?})"),
            Self::Append { prefix, value, .. } => {
                write!(f, "Append({prefix:?}, {} bytes)", value.len())
            }
            Self::Add { key, delta, .. } => write!(f, "Add({key:?}, {delta})"),
        }
    }
}

/// A guarded batch: everything applies, or nothing does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Txn {
    /// Names it in errors and logs; 0 unless the caller sets one.
    pub id: TxnId,
    /// Names the step in traces and fault plans: `"admit"`, `"turn"`, `"dispatch"`, …
    pub label: &'static str,
    /// What must hold.
    pub guards: Vec<Guard>,
    /// What is done.
    pub ops: Vec<Op>,
}

impl Txn {
    /// An empty transaction for this step.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self { id: TxnId::new(0), label, guards: Vec::new(), ops: Vec::new() }
    }

    /// Names it.
    #[must_use]
    pub const fn with_id(mut self, id: TxnId) -> Self {
        self.id = id;
        self
    }

    /// Adds a guard.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    /// Adds an operation.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Adds several operations.
    #[must_use]
    pub fn ops(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.ops.extend(ops);
        self
    }

    /// Refuses keys, values and batches over the limits, before anything is applied.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], and [`StoreError::Unsupported`] for a key without bytes.
    pub fn check(&self, limits: &StoreCapabilities) -> Result<(), StoreError> {
        fit("operations", self.ops.len(), limits.max_ops)?;
        self.guards.iter().try_for_each(|g| fit_key(g.key().as_bytes().len()))?;
        self.ops.iter().try_for_each(|op| {
            let (key, value) = match op {
                Op::Put { key, value, .. } => (key.as_bytes().len(), value.len()),
                Op::Append { prefix, value, .. } => (prefix.as_bytes().len() + 10, value.len()),
                Op::Delete { key } | Op::Touch { key, .. } | Op::Add { key, .. } => {
                    (key.as_bytes().len(), 8)
                }
            };
            fit_key(key)?;
            fit("value", value, limits.max_value)
        })
    }
}

/// Not every engine has a place for a key without bytes.
fn fit_key(size: usize) -> Result<(), StoreError> {
    if size == 0 {
        return Err(StoreError::Unsupported("a key without bytes".to_owned()));
    }
    fit("key", size, MAX_KEY_LEN)
}

const fn fit(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// What a commit answers.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle both")]
pub enum Commit {
    /// Everything applied.
    Applied(Applied),
    /// A guard or a bound did not hold: nothing applied.
    Conflict(Conflict),
}

/// What an applied commit wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The version of every row this commit put, added to or appended.
    ///
    /// The n-th append of the transaction has the key [`Prefix::appended`]`(version, n)`.
    pub version: Version,
    /// The store's clock at the commit.
    pub as_of: Timestamp,
    /// The sums of its `Add`s, in order.
    pub sums: Vec<i64>,
}

impl Applied {
    /// An applied commit.
    #[must_use]
    pub const fn new(version: Version, as_of: Timestamp, sums: Vec<i64>) -> Self {
        Self { version, as_of, sums }
    }
}

/// Which guard lost, and against what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conflict {
    /// The place of the guard; counted on into the operations when a bound of an `Add` lost.
    pub failed: usize,
    /// The row it looked at, as it is.
    pub current: Option<Entry>,
}

impl Conflict {
    /// A lost guard.
    #[must_use]
    pub const fn new(failed: usize, current: Option<Entry>) -> Self {
        Self { failed, current }
    }
}
