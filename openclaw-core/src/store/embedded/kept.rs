//! What every embedded engine keeps beside its rows.

use crate::Timestamp;

/// Expired rows that a batch clears away beside its own work.
pub(in crate::store) const SWEEP: usize = 32;

/// What outlives the process.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Meta {
    /// The last version that was given out.
    pub(in crate::store) version: u64,
    /// The latest time that a commit answered.
    pub(in crate::store) time: Timestamp,
}
