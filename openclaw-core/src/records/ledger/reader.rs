//! The ledger of a tenant, read.

use std::sync::Arc;

use super::{EffectRecord, effect_rows, effects_of, turn_of};
use crate::{
    MessageId, Result, TenantId,
    records::row::Row as _,
    store::{Key, Prefix, SharedStore, StateStoreExt as _},
};

/// Reads the ledger of a tenant.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: SharedStore,
    tenant: TenantId,
}

impl Ledger {
    /// The ledger of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Every effect of a turn, by operation name.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn of_turn(&self, turn: MessageId) -> Result<Vec<(Arc<str>, EffectRecord)>> {
        let prefix = effects_of(&self.tenant, turn);
        let rows = self.store.scan_all(prefix.clone()).await?;
        rows.iter()
            .map(|(key, entry)| Ok((operation(key, &prefix), EffectRecord::decode(&entry.value)?)))
            .collect()
    }

    /// Every effect there is, in the order of the turns.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn all(&self) -> Result<Vec<(MessageId, Arc<str>, EffectRecord)>> {
        let prefix = effect_rows(&self.tenant);
        let rows = self.store.scan_all(prefix.clone()).await?;
        rows.iter()
            .map(|(key, entry)| {
                let behind = key.behind(&prefix).unwrap_or_default();
                let turn = turn_of(key, &prefix);
                let name = String::from_utf8_lossy(behind.get(18..).unwrap_or_default()).into();
                Ok((
                    turn.unwrap_or(MessageId::from_u128(0)),
                    name,
                    EffectRecord::decode(&entry.value)?,
                ))
            })
            .collect()
    }
}

fn operation(key: &Key, prefix: &Prefix) -> Arc<str> {
    String::from_utf8_lossy(key.behind(prefix).and_then(|b| b.get(2..)).unwrap_or_default()).into()
}
