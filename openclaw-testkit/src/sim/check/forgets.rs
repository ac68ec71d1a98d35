//! Retention: once everything is old, what is finished is gone, and nothing else.

use std::collections::BTreeSet;

use openclaw_core::{
    MessageId, TenantId,
    records::{EffectRecord, EffectState},
    store::{Key, StateStoreExt as _},
};

use super::Over;
use crate::sim::{
    Fault,
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
        let mut letters = self.late_dispatches(tenant).await?;
        for table in ["dl", "pk", "lv"] {
            letters.extend(self.messages_in(tenant, table).await?);
        }
        let done = self.messages_in(tenant, "dn").await?;
        if let Some(id) = done.iter().find(|id| !letters.contains(id)) {
            self.violate(format!("{id} was finished long ago, and is kept: one of {}", done.len()));
        }
        let effects = self.messages_in(tenant, "fx").await?;
        if let Some(id) = effects.iter().find(|id| !letters.contains(id)) {
            self.violate(format!("the effects of {id} are kept, and {id} is not"));
        }
        let approvals = self.scene.rows.scan_all(Key::of(tenant, "ap").prefix()).await?;
        let turns = approvals.iter().filter_map(|(key, _)| {
            let id = key.as_bytes().get(key.as_bytes().len().checked_sub(43)?..)?;
            std::str::from_utf8(id).ok()?.split_once('-')?.0.parse::<MessageId>().ok()
        });
        if let Some(id) = turns.into_iter().find(|id| !letters.contains(id)) {
            self.violate(format!("what {id} asked for is kept, and {id} is not"));
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

    /// Messages with a dispatch that may have arrived behind their end: it is kept, as every doubt.
    async fn late_dispatches(
        &self,
        tenant: &TenantId,
    ) -> openclaw_core::Result<BTreeSet<MessageId>> {
        if !self.scene.plan.faults.has(Fault::StoreHangs) {
            return Ok(BTreeSet::new());
        }
        let effects = self.gateway.ledger(tenant).all().await?;
        let sent = |record: &EffectRecord| matches!(record.state, EffectState::Dispatching { .. });
        Ok(effects.iter().filter(|(.., record)| sent(record)).map(|(turn, ..)| *turn).collect())
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
