//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss.
//!
//! Around any of them: [`TenantStore`] holds its
//! holder to one tenant, [`MeteredStore`] counts.

mod apply;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
mod embedded;
mod memory;
mod metered;
mod open;
#[cfg(feature = "redb")]
mod redb;
mod tenant;

#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
pub use self::{
    disk::Disk,
    memory::MemoryStore,
    metered::{CallMetrics, MeteredStore, StoreLatencies, StoreMetrics, StoreOutcome},
    open::Store,
    tenant::TenantStore,
};
pub use crate::traits::store::*;
