//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss. `RedisStore` (feature `redis`) is for processes on
//! several boxes that have a Redis.

mod apply;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
mod embedded;
mod memory;
mod open;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use self::{disk::Disk, memory::MemoryStore, open::Store};
pub use crate::traits::store::*;
