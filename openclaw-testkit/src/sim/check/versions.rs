//! Versions: a call ends with the one that began it, and the trail tells each change of a rollout.

use std::sync::Arc;

use openclaw_core::{
    Happened, IdempotencyKey, TenantId,
    records::{AuditAction, AuditLog, EffectState},
};

use super::Over;
use crate::sim::{plan::TENANTS, rolled::OPERATORS, second::TWICE};

impl Over<'_> {
    pub(super) async fn versions(&self) {
        self.rollouts().await;
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let effects = match self.gateway.ledger(&tenant).all().await {
                Ok(effects) => effects,
                Err(e) => return self.violate(format!("the ledger can't be read: {e}")),
            };
            for (turn, operation, record) in effects {
                let Ok(key) = IdempotencyKey::of(turn, &operation) else { continue };
                // What was surely not sent may go over to another version.
                let sent = !matches!(
                    record.state,
                    EffectState::Claimed { .. }
                        | EffectState::Failed { happened: Happened::No, .. }
                );
                if !sent || !TWICE.contains(&&*record.target) {
                    continue;
                }
                let books = self.scene.books();
                let tried = books.tries.get(key.as_str()).map(|tries| Arc::clone(&tries.version));
                let late = books.late.contains(key.as_str());
                drop(books);
                if tried.is_some() && tried != record.version && !late {
                    let (recorded, target) = (&record.version, &record.target);
                    self.violate(format!("{target} {tried:?} did {key}, recorded is {recorded:?}"));
                }
            }
        }
    }

    /// Each change of a rollout has its entry, and each roll-back has one.
    async fn rollouts(&self) {
        let Ok(operators) = TenantId::new(OPERATORS) else { return };
        let log = AuditLog::new(Arc::new(self.scene.rows.clone()), operators);
        let entries = match log.entries().await {
            Ok(entries) => entries,
            Err(e) => return self.violate(format!("the trail of {OPERATORS} can't be read: {e}")),
        };
        let told = |action: &AuditAction| entries.iter().filter(|e| e.action == *action).count();
        let told = (told(&AuditAction::RolledBack), told(&AuditAction::RolloutChanged));
        let rolled = self.scene.rolled();
        let done = (rolled.rolled_back, rolled.changed);
        drop(rolled);
        if told != done {
            self.violate(format!(
                "roll-backs and changes were {done:?}, and the trail has {told:?}"
            ));
        }
    }
}
