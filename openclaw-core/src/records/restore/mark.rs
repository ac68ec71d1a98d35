//! The row that says: rows are all there, and what was under way is not parked yet.

use serde::{Deserialize, Serialize};

use super::RestoreError;
use crate::{
    Digest, Result, Timestamp,
    records::{
        commit::{self, unchanged},
        row::Row,
    },
    store::{BackupSummary, Op, SharedStore, Txn, Version, restore_key},
};

#[derive(Debug, Serialize, Deserialize)]
struct MarkRow {
    digest: Digest,
    as_of: Timestamp,
}

impl Row for MarkRow {
    const NAME: &'static str = "restores";
    const FORMAT: u8 = 1;
}

/// The mark of a restore, as it was found.
#[derive(Debug)]
pub(super) struct Mark(Version);

impl Mark {
    /// The operation that writes it: belongs into the commit that ends the copy.
    pub(super) fn put(summary: &BackupSummary) -> Result<Op> {
        let row = MarkRow { digest: summary.digest, as_of: summary.as_of };
        Ok(Op::put(restore_key(), row.encode()?))
    }

    /// Looks for the mark of this backup.
    pub(super) async fn find(
        store: &SharedStore,
        summary: &BackupSummary,
    ) -> Result<Option<Self>, RestoreError> {
        match commit::read::<MarkRow>(&**store, &restore_key()).await? {
            Some((row, _)) if row.digest != summary.digest => Err(RestoreError::Another(row.as_of)),
            found => Ok(found.map(|(_, version)| Self(version))),
        }
    }

    /// Rows with a higher version were written by the restore itself.
    pub(super) const fn version(&self) -> Version {
        self.0
    }

    /// Ends the restore: the store is in use like any other.
    pub(super) async fn remove(self, store: &SharedStore) -> Result<()> {
        let txn = Txn::new("restore")
            .guard(unchanged(restore_key(), self.0))
            .op(Op::delete(restore_key()));
        commit::commit(&**store, txn).await?.or_fenced().map(drop)
    }
}
