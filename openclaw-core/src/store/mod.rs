//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss.

mod apply;
mod disk;
mod memory;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
pub use self::{disk::Disk, memory::MemoryStore};
pub use crate::traits::store::*;
