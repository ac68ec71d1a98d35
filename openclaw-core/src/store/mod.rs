//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss. `FjallStore` (feature `fjall`) is the one for volume:
//! a directory, one process.

mod apply;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
mod embedded;
#[cfg(feature = "fjall")]
mod fjall;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "fjall")]
pub use self::fjall::{FjallStore, FjallStoreBuilder};
#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
pub use self::{disk::Disk, memory::MemoryStore, open::Store};
pub use crate::traits::store::*;
