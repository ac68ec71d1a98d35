//! Effects: the remotes count what the ledger says, and no more than was declared.

use std::collections::BTreeSet;

use openclaw_core::{
    Effect, Happened, IdempotencyKey, MessageId, TenantId,
    gateway::MessageState,
    records::{EffectRecord, EffectState},
};

use super::Over;
use crate::sim::{Fault, plan::TENANTS};

/// One effect, as the ledger has it.
struct Line<'a> {
    tenant: &'a TenantId,
    turn: MessageId,
    key: IdempotencyKey,
    record: &'a EffectRecord,
}

impl Over<'_> {
    pub(super) async fn effects(&self) {
        let mut recorded = BTreeSet::new();
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let effects = match self.gateway.ledger(&tenant).all().await {
                Ok(effects) => effects,
                Err(e) => return self.violate(format!("the ledger can't be read: {e}")),
            };
            for (turn, operation, record) in &effects {
                let Ok(key) = IdempotencyKey::of(*turn, operation) else { continue };
                recorded.insert((record.target.to_string(), key.to_string()));
                let line = Line { tenant: &tenant, turn: *turn, key, record };
                self.count(&line).await;
            }
        }
        for (name, _, remote) in self.scene.remotes.all() {
            for (key, n) in remote.by_key() {
                if self.standard && !recorded.contains(&(name.to_owned(), key.clone())) {
                    self.violate(format!(
                        "{name} did {key} {n} times, and the ledger knows nothing"
                    ));
                }
            }
            if remote.keys_reused() > 0 {
                self.violate(format!("{name} was asked for other things under one key"));
            }
        }
    }

    async fn count(&self, line: &Line<'_>) {
        let Line { tenant, turn, key, record } = line;
        let Some(remote) = self.scene.remotes.get(&record.target) else { return };
        let count = remote.effects(key.as_str());
        let late = self.scene.books().late.contains(key.as_str())
            && !matches!(record.effect, Effect::Keyed { .. });
        let hangs = self.scene.plan.faults.has(Fault::StoreHangs);
        let most = if record.effect == Effect::AtLeastOnce || late { u64::MAX } else { 1 };
        let status = self.gateway.status(tenant, *turn).await.ok().flatten();
        let end = status.map(|status| status.state);
        let fits = match &record.state {
            EffectState::Done { .. } => count >= 1,
            EffectState::Claimed { .. } | EffectState::Failed { happened: Happened::No, .. } => {
                count == 0 || late
            }
            // Its commit arrived behind the end of its turn, which had not waited for it.
            EffectState::Dispatching { .. } if count == 0 && hangs => true,
            _ => end == Some(MessageState::Parked),
        };
        if !fits || count > most {
            self.violate(format!(
                "{} of {turn} is {}, happened {count} times, and its message is {end:?}",
                record.target,
                record.state.name()
            ));
        }
    }
}
