//! Retention: once everything is old, what is finished is gone, and nothing else.

use std::collections::BTreeSet;

use openclaw_core::{
    MessageId, TenantId,
    store::{Key, StateStoreExt as _},
};

use super::Over;
use crate::sim::{
    plan::{HORIZON, TENANTS},
    rows::Parts,
};

impl Over<'_> {
    /// Lets time pass over everything that was said, and sweeps.
    pub(in crate::sim) async fn forgets(&self) {
        tokio::time::advance(HORIZON * 3).await;
        if let Err(e) = self.gateway.sweep().await {
            self.violate(format!("everything is over, and the sweep says {e}"));
        }
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            if let Err(e) = self.left(&tenant).await {
                self.violate(format!("the rows of {name} can't be read: {e}"));
            }
        }
    }

    async fn left(&self, tenant: &TenantId) -> openclaw_core::Result<()> {
        let mut letters = BTreeSet::new();
        for table in ["dl", "pk", "lv"] {
            letters.extend(self.messages_in(tenant, table).await?);
        }
        let done = self.messages_in(tenant, "dn").await?;
        if let Some(id) = done.first() {
            self.violate(format!("{id} was finished long ago, and is kept: one of {}", done.len()));
        }
        let effects = self.messages_in(tenant, "fx").await?;
        if let Some(id) = effects.iter().find(|id| !letters.contains(id)) {
            self.violate(format!("the effects of {id} are kept, and {id} is not"));
        }
        let seen = self.scene.books().seen.clone();
        let rows = self.scene.rows.scan_all(Key::of(tenant, "dd").prefix()).await?;
        let known: BTreeSet<MessageId> =
            rows.iter().filter_map(|(key, _)| seen.get(key).copied()).collect();
        if let Some(id) = known.iter().find(|id| !letters.contains(id)) {
            self.violate(format!("the dedupe row of {id} is kept, and {id} is not"));
        }
        let course = |id: &&MessageId| self.scene.books().courses.contains_key(id);
        if let Some(id) = letters.iter().filter(course).find(|id| !known.contains(id)) {
            self.violate(format!("{id} is not over, and its dedupe row is gone"));
        }
        Ok(())
    }

    async fn messages_in(
        &self,
        tenant: &TenantId,
        table: &'static str,
    ) -> openclaw_core::Result<Vec<MessageId>> {
        let rows = self.scene.rows.scan_all(Key::of(tenant, table).prefix()).await?;
        let ids = rows.iter().filter_map(|(key, _)| Parts::of(key.as_bytes())?.message());
        Ok(ids.collect())
    }
}
