//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss. `SqliteStore` (feature `sqlite`) is one file for
//! several processes of a box.

mod apply;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
#[cfg_attr(
    not(feature = "redb"),
    allow(dead_code, unused_imports, reason = "what engines share, not every one needs")
)]
mod embedded;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteStoreBuilder};
pub use self::{disk::Disk, memory::MemoryStore, open::Store};
pub use crate::traits::store::*;
