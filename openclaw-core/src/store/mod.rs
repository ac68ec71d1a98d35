//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss. `PostgresStore` (feature `postgres`) is for several
//! boxes.

mod apply;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
mod embedded;
mod memory;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
pub use self::{disk::Disk, memory::MemoryStore, open::Store};
pub use crate::traits::store::*;
