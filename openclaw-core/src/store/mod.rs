//! Storage: the [`StateStore`] trait and its engines.
//!
//! [`MemoryStore`] is always here. `RedbStore` (feature `redb`) is the embedded default: one
//! file, one process, durable at power loss. `FjallStore` (feature `fjall`) is the one for volume:
//! a directory, one process. `SqliteStore` (feature `sqlite`) is one file for several processes of
//! a box; `PostgresStore` (feature `postgres`) and `RedisStore` (feature `redis`) are for several
//! boxes, over TLS with the feature `tls`.
//!
//! Around any of them: `SealedStore` (feature `sealed`) encrypts values, [`TenantStore`] holds its
//! holder to one tenant, [`MeteredStore`] counts. [`StoreCopy`] moves rows from one to another.
//! [`Backup`] writes them into a file while the store is in use, and [`BackupFile`] reads it.

mod apply;
mod backup;
mod copy;
mod disk;
#[cfg(any(feature = "redb", feature = "fjall", feature = "sqlite"))]
#[cfg_attr(
    not(feature = "redb"),
    allow(dead_code, unused_imports, reason = "what engines share, not every one needs")
)]
mod embedded;
#[cfg(feature = "fjall")]
mod fjall;
mod frozen;
mod memory;
mod metered;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sealed")]
mod sealed;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tenant;
mod time;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod tls;

pub(crate) use self::copy::{Pages, everything, restore_key, unfinished_marks};
#[cfg(feature = "fjall")]
pub use self::fjall::{FjallStore, FjallStoreBuilder};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redb")]
pub use self::redb::{RedbStore, RedbStoreBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
#[cfg(feature = "sealed")]
pub use self::sealed::{Keys, Resealed, SealKey, SealedStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteStoreBuilder};
#[cfg(all(feature = "tls", any(feature = "postgres", feature = "redis")))]
pub use self::tls::Tls;
pub use self::{
    backup::{Backup, BackupError, BackupFile, BackupSummary},
    copy::{CopyError, CopyReport, Difference, Mismatch, StoreCopy},
    disk::Disk,
    memory::MemoryStore,
    metered::{CallMetrics, MeteredStore, StoreLatencies, StoreMetrics, StoreOutcome},
    open::Store,
    tenant::TenantStore,
    time::StoreTime,
};
pub use crate::traits::store::*;
