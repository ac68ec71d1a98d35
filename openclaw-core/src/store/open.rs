//! One way to open any engine.

use std::sync::Arc;

use super::MemoryStore;
use crate::{
    Clock,
    traits::store::{SharedStore, StateStore, StoreError},
};

/// The schemes of engines that may be missing.
const ENGINES: &[&str] = &["redb", "fjall", "sqlite", "postgres", "postgresql", "redis", "rediss"];

/// Opens a store by the name of its place.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Store;

impl Store {
    /// Opens the store that a path or an address names.
    ///
    /// | place | engine | feature |
    /// |---|---|---|
    /// | `data/state.redb`, `redb:data/state` | `RedbStore`: one process | `redb` |
    /// | `fjall:data/state` | `FjallStore`: one process, a directory | `fjall` |
    /// | `sqlite:data/state.db` | `SqliteStore`: several processes on a box | `sqlite` |
    /// | `postgres://user@host/database` | `PostgresStore`: several boxes | `postgres` |
    /// | `redis://host:6379/0` | `RedisStore`: several boxes | `redis` |
    /// | `rediss://host:6379/0` | the same over TLS | `redis`, `tls` |
    /// | `memory:` | [`MemoryStore`]: gone with the process | |
    ///
    /// A `postgres:` address of another machine is over TLS, with the feature `tls`, unless it says
    /// `sslmode=disable`. Both servers take `sslrootcert=FILE` for their authorities.
    ///
    /// What has no scheme is the path of a redb file. The clock is the time of an embedded
    /// store; a server tells the time itself.
    ///
    /// ```
    /// use openclaw_core::{Env, store::Store};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
    /// let store = Store::open("memory:", Env::system().clock()).await?;
    /// assert!(!store.capabilities().durable);
    ///
    /// let wrong = Store::open("ldap://user:secret@host", Env::system().clock()).await;
    /// let said = wrong.unwrap_err().to_string();
    /// assert!(said.contains("ldap") && !said.contains("secret"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unsupported` for a scheme that names no engine, or one whose feature is off; else what
    /// the engine says. No error holds the secrets of an address.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis")),
        expect(clippy::unused_async, reason = "only servers keep a caller waiting")
    )]
    pub async fn open(place: &str, clock: Arc<dyn Clock>) -> Result<SharedStore, StoreError> {
        match scheme(place) {
            ("memory", _) => shared(Ok(MemoryStore::new(clock))),
            #[cfg(feature = "fjall")]
            ("fjall", path) => shared(super::FjallStore::open(path, clock)),
            #[cfg(feature = "redb")]
            ("redb", path) => shared(super::RedbStore::open(path, clock)),
            #[cfg(feature = "postgres")]
            ("postgres" | "postgresql", _) => shared(super::PostgresStore::open(place).await),
            #[cfg(feature = "redis")]
            ("redis" | "rediss", _) => shared(super::RedisStore::open(place).await),
            #[cfg(feature = "sqlite")]
            ("sqlite", path) => shared(super::SqliteStore::open(path, clock)),
            (engine, _) if ENGINES.contains(&engine) => Err(StoreError::Unsupported(format!(
                "{engine}: its engine is not part of this program: build openclaw-core with its \
                 feature"
            ))),
            (other, _) => Err(StoreError::Unsupported(format!(
                "the scheme {other:?}: write redb:, fjall:, sqlite:, postgres:, redis: or memory:, \
                 or the path of a redb file"
            ))),
        }
    }
}

/// The scheme, and what stands behind its colon.
///
/// A single letter is a drive of Windows, and a scheme has no slash before its colon.
fn scheme(place: &str) -> (&str, &str) {
    match place.split_once(':') {
        Some((scheme, rest))
            if scheme.len() > 1
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            (scheme, rest)
        }
        _ => ("redb", place),
    }
}

fn shared(opened: Result<impl StateStore, StoreError>) -> Result<SharedStore, StoreError> {
    opened.map(|store| Arc::new(store) as SharedStore)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_ends_at_its_colon_and_a_path_has_none() {
        for (place, split) in [
            ("state.redb", ("redb", "state.redb")),
            ("data/a:b", ("redb", "data/a:b")),
            (r"C:\data\state", ("redb", r"C:\data\state")),
            ("redb:data/state", ("redb", "data/state")),
            ("postgres://u:p@h/d", ("postgres", "//u:p@h/d")),
            ("memory:", ("memory", "")),
            ("", ("redb", "")),
        ] {
            assert_eq!(scheme(place), split, "{place}");
        }
    }
}
