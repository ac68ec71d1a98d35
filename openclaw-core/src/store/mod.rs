//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss.

mod apply;
mod memory;

pub use self::memory::MemoryStore;
pub use crate::traits::store::*;
