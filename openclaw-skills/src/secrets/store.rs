//! Secrets as rows of a store.

use async_trait::async_trait;
use openclaw_core::{
    ErrorKind, Result, Secret, TenantId,
    store::{Commit, Key, Op, SharedStore, StateStore, StateStoreExt, Txn},
};

use super::{
    provider::{SecretProvider, refuse},
    reference::{SecretRef, SecretSource},
};

/// A tenant's secrets as rows of a `StateStore`.
///
/// Hand it a `SealedStore` (feature `sealed` of openclaw-core): a plain store keeps its rows
/// readable for whoever reads its files and backups. Names of secrets are keys, and stay plain.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{Env, Secret, TenantId, store::MemoryStore};
/// use openclaw_skills::secrets::{SecretProvider, StoredSecrets};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let store = Arc::new(MemoryStore::new(Env::system().clock()));
/// let secrets = StoredSecrets::new(store, TenantId::new("acme").expect("a name"));
/// secrets.put("CRM_KEY", &Secret::new("s3cret")).await?;
/// assert_eq!(secrets.fetch("CRM_KEY").await?.expose(), "s3cret");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct StoredSecrets {
    store: SharedStore,
    tenant: TenantId,
}

impl StoredSecrets {
    /// The secrets of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Keeps a secret; one of the same name is replaced.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a name that a [`SecretRef`] can't have, else as the store. Behind
    /// an unknown outcome: put it again.
    pub async fn put(&self, id: &str, secret: &Secret) -> Result<()> {
        let key = self.key(id)?;
        self.write(Op::put(key, secret.expose().as_bytes().to_vec())).await
    }

    /// Removes a secret; nothing happens when there is none.
    ///
    /// # Errors
    /// As [`StoredSecrets::put`].
    pub async fn remove(&self, id: &str) -> Result<()> {
        let key = self.key(id)?;
        self.write(Op::delete(key)).await
    }

    async fn write(&self, op: Op) -> Result<()> {
        match self.store.commit(Txn::new("secret").op(op)).await? {
            Commit::Applied(_) => Ok(()),
            Commit::Conflict(_) => {
                Err(refuse(ErrorKind::Conflict, "the store refused a commit without guards"))
            }
        }
    }

    fn key(&self, id: &str) -> Result<Key> {
        SecretRef::new(SecretSource::Store, "default", id)?;
        Ok(Key::of(&self.tenant, "sk").text(id).build())
    }
}

#[async_trait]
impl SecretProvider for StoredSecrets {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        let row = self.store.get(&self.key(id)?).await?;
        let row = row.ok_or_else(|| refuse(ErrorKind::NotFound, "the store has no such secret"))?;
        let text = String::from_utf8(row.value.to_vec());
        text.map(Secret::new)
            .map_err(|_bytes| refuse(ErrorKind::ValidationError, "the row is not UTF-8"))
    }
}
