//! A store that holds one tenant's rows, as far as its holder can tell.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    TenantId,
    traits::store::{
        Commit, Entry, Guard, Key, Op, Page, Prefix, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};

/// A [`StateStore`] whose holder can't name the rows of another tenant.
///
/// Every key, prefix and cursor must begin with this tenant's part ([`Key::of`]). What does not is
/// [`StoreError::Forbidden`], and the store below never hears of it: not the rows of other tenants,
/// not system rows, not a scan over more than one tenant. Nothing is narrowed silently.
///
/// Give it to code that serves one tenant: an extension, an export, a job of the tenant's own. It
/// guards against naming, not against use: limits and versions are those of the whole store, and
/// [`raise`](StateStore::raise) is forbidden, because versions belong to all tenants.
///
/// ```
/// use openclaw_core::{Env, TenantId, store::{Key, MemoryStore, Op, StateStore, StateStoreExt, StoreError, TenantStore, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (acme, other) = (TenantId::new("acme")?, TenantId::new("other")?);
/// let store = TenantStore::new(MemoryStore::new(Env::system().clock()), acme.clone());
///
/// let own = Key::of(&acme, "doc").text("greeting").build();
/// store.commit(Txn::new("docs").op(Op::put(own, "hello"))).await?;
///
/// let foreign = Key::of(&other, "doc").text("greeting").build();
/// let refused = store.get(&foreign).await;
/// assert!(matches!(refused, Err(StoreError::Forbidden(_))));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TenantStore<S> {
    inner: S,
    tenant: TenantId,
    own: Prefix,
}

impl<S: StateStore> TenantStore<S> {
    /// The rows of this tenant in this store.
    #[must_use]
    pub fn new(inner: S, tenant: TenantId) -> Self {
        let own = Key::all_of(&tenant);
        Self { inner, tenant, own }
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// What all keys of this tenant begin with: the widest scan there is.
    #[must_use]
    pub const fn prefix(&self) -> &Prefix {
        &self.own
    }

    /// Refuses bytes that don't begin with the tenant's part.
    fn check(&self, bytes: &[u8], what: impl FnOnce() -> String) -> Result<(), StoreError> {
        if bytes.starts_with(self.own.as_bytes()) {
            return Ok(());
        }
        // Whose row it is stays out of it: the holder is not to learn that there is one.
        Err(StoreError::Forbidden(format!(
            "{} is outside of the tenant {:?}: begin it with `Key::of` this tenant",
            what(),
            self.tenant.as_str(),
        )))
    }

    fn check_txn(&self, txn: &Txn) -> Result<(), StoreError> {
        for (at, guard) in txn.guards.iter().enumerate() {
            let (Guard::Absent(key) | Guard::VersionIs(key, _) | Guard::Exists(key)) = guard;
            self.check(key.as_bytes(), || format!("the row of guard {at} of {:?}", txn.label))?;
        }
        for (at, op) in txn.ops.iter().enumerate() {
            let bytes = match op {
                Op::Put { key, .. }
                | Op::Delete { key }
                | Op::Touch { key, .. }
                | Op::Add { key, .. } => key.as_bytes(),
                Op::Append { prefix, .. } => prefix.as_bytes(),
            };
            self.check(bytes, || format!("the row of operation {at} of {:?}", txn.label))?;
        }
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for TenantStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        for (at, key) in keys.iter().enumerate() {
            self.check(key.as_bytes(), || format!("key {at} of a read"))?;
        }
        self.inner.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.check(query.prefix.as_bytes(), || "the prefix of a scan".to_owned())?;
        if let Some(after) = &query.after {
            self.check(after.as_bytes(), || "the cursor of a scan".to_owned())?;
        }
        self.inner.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.check_txn(&txn)?;
        self.inner.commit(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let checked: Vec<_> = txns.iter().map(|txn| self.check_txn(txn).map(|()| txn.id)).collect();
        let own = txns.into_iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let mut answers =
            self.inner.commit_many(own.map(|(txn, _)| txn).collect()).await.into_iter();
        let answered = checked.into_iter().map(|checked| {
            let id = checked?;
            answers.next().unwrap_or(Err(StoreError::OutcomeUnknown(id)))
        });
        answered.collect()
    }

    async fn raise(&self, _least: Version) -> Result<(), StoreError> {
        Err(StoreError::Forbidden(format!(
            "the versions belong to the whole store, not to the tenant {:?}: raise the store itself",
            self.tenant.as_str(),
        )))
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let inner = self.inner.snapshot().await?;
        Ok(Arc::new(TenantStore { inner, tenant: self.tenant.clone(), own: self.own.clone() }))
    }
}
