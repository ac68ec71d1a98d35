//! What protects a claim: somebody else's fence, or a lease of its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard_of;
use crate::{
    Result, Timestamp,
    records::row::Row,
    store::{Entry, Guard, Key, Version},
};

/// The right to write a record.
#[derive(Clone, Debug)]
pub(crate) enum Fence {
    /// Whoever holds this guard's row may.
    Held(Guard),
    /// Whoever wrote the lease last may.
    Leased(Lease),
}

/// A lease and its row's version; none before the first one.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) key: Key,
    pub(crate) version: Option<Version>,
    pub(crate) row: LeaseRow,
    pub(crate) length: Duration,
    /// How long a finished record counts.
    pub(crate) retention: Duration,
}

/// Who runs an effect, and until when nobody else may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    /// The layer that leases.
    pub(crate) owner: u64,
    /// The call that leases: two of one owner differ.
    pub(crate) nonce: u64,
    pub(crate) until: Timestamp,
    /// When the finished record counts as absent.
    pub(crate) expires: Option<Timestamp>,
}

impl Row for LeaseRow {
    const NAME: &'static str = "leases";
    const FORMAT: u8 = 1;
}

impl LeaseRow {
    pub(crate) fn renewed(&self, now: Timestamp, length: Duration) -> Self {
        Self { until: now.after(length), ..self.clone() }
    }

    pub(crate) fn given_up(&self) -> Self {
        Self { until: Timestamp::default(), ..self.clone() }
    }

    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl Lease {
    /// The row of a finished effect.
    pub(crate) fn ended(&self, now: Timestamp, parked: bool) -> LeaseRow {
        // What a person has to look at waits for that person.
        let expires = (!parked).then(|| now.after(self.retention));
        LeaseRow { expires, ..self.row.given_up() }
    }

    /// Takes over what was read, when this call wrote it.
    pub(crate) fn adopt(&mut self, entry: &Entry) -> Result<bool> {
        let row = LeaseRow::decode(&entry.value)?;
        let ours = (row.owner, row.nonce) == (self.row.owner, self.row.nonce);
        if ours {
            (self.row, self.version) = (row, Some(entry.version));
        }
        Ok(ours)
    }
}

impl Fence {
    /// The guard of every commit.
    pub(crate) fn guard(&self) -> Guard {
        match self {
            Self::Held(guard) => guard.clone(),
            Self::Leased(lease) => guard_of(&lease.key, lease.version),
        }
    }

    /// The guard of somebody else's fence.
    pub(super) const fn held(&self) -> Option<&Guard> {
        match self {
            Self::Held(guard) => Some(guard),
            Self::Leased(_) => None,
        }
    }

    pub(crate) const fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Held(_) => None,
            Self::Leased(lease) => Some(lease),
        }
    }

    /// A lease, as it is now, was written in this version.
    pub(super) const fn written(&mut self, version: Version) {
        if let Self::Leased(lease) = self {
            lease.version = Some(version);
        }
    }

    pub(super) fn leased_at(&mut self, row: LeaseRow, version: Version) {
        if let Self::Leased(lease) = self {
            (lease.row, lease.version) = (row, Some(version));
        }
    }
}
