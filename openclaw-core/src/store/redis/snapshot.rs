//! A moment of the server: all rows in one answer of one script.
//!
//! The server has no versions of a row to go back to. One script sees one moment, and nobody
//! writes until it is done: so it is bounded, and a larger store is told to use the server's own
//! means.

use std::num::NonZeroUsize;

use super::RedisStore;
use crate::{
    store::{
        copy::everything,
        frozen::{Facts, Frozen},
        memory,
    },
    traits::store::{Commit, ScanQuery, SharedStore, StateStore, StoreError, Txn, Version},
};

/// Bytes of rows in one answer: some tenths of a second in which nobody else is served.
const MOST: usize = 64 << 20;

/// Freezes what is stored now: the rows are in memory here from then on.
pub(super) async fn take(store: &RedisStore) -> Result<SharedStore, StoreError> {
    let inner = &store.0;
    let query = ScanQuery::new(everything()).limit(NonZeroUsize::MAX);
    let found = inner.page_within(&query, MOST).await?;
    if found.value.more {
        return Err(StoreError::Unsupported(format!(
            "{}: snapshots of more than {MOST} bytes, for one keeps everybody waiting: take the \
             server's own, by BGSAVE, or copy the store with its gateways drained",
            inner.way.at
        )));
    }
    // It writes nothing; all versions before its own were given out.
    let version = match store.commit(Txn::new("snapshot")).await? {
        Commit::Applied(applied) => Version::new(applied.version.get().saturating_sub(1)),
        Commit::Conflict(_) => Version::default(),
    };
    let facts = Facts { as_of: found.as_of, version };
    Ok(Frozen::shared(memory::moment(found.value.rows), facts, inner.limits.clone()))
}
