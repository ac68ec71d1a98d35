//! The audit trail: one entry for each decision, and seals that verify.

use std::collections::BTreeMap;

use openclaw_core::{
    MessageId, TenantId,
    records::{AuditAction, AuditEntry, EffectState},
};

use super::Over;
use crate::sim::{Fault, plan::TENANTS};

/// The entries about one message.
#[derive(Debug, Default)]
struct Trail(Vec<AuditEntry>);

impl Trail {
    fn count(&self, actions: &[AuditAction]) -> usize {
        self.0.iter().filter(|entry| actions.contains(&entry.action)).count()
    }
}

impl Over<'_> {
    pub(super) async fn trail(&self) {
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let log = self.gateway.audit(&tenant);
            match log.verify(None).await {
                Ok(report) if report.is_ok() => {}
                other => self.violate(format!("the trail of {tenant} does not verify: {other:?}")),
            }
            let Ok(entries) = log.entries().await else {
                return self.violate(format!("the trail of {tenant} can't be read"));
            };
            let mut trails: BTreeMap<MessageId, Trail> = BTreeMap::new();
            for entry in entries {
                trails.entry(entry.message).or_default().0.push(entry);
            }
            self.messages(&tenant, &trails);
            self.ledger(&tenant, &trails).await;
        }
    }

    /// Each commit of a message that decides has its entry.
    fn messages(&self, tenant: &TenantId, trails: &BTreeMap<MessageId, Trail>) {
        use AuditAction as A;
        let kinds: [(&[&str], &[A]); 3] = [
            (&["turn"], &[A::Replied, A::Silent, A::Suspended]),
            (&["resolve", "vote"], &[A::Resumed]),
            (&["replay"], &[A::Replayed]),
        ];
        let nothing = Trail::default();
        let courses = self.scene.books().courses.clone();
        let mine = courses.iter().filter(|(_, course)| *course.tenant == *tenant.as_str());
        for (id, course) in mine {
            let trail = trails.get(id).unwrap_or(&nothing);
            for (label, actions) in kinds {
                let commits = course.labels.iter().filter(|l| label.contains(l)).count();
                let entries = trail.count(actions);
                if commits != entries {
                    self.violate(format!(
                        "{id} had {commits} commits of {label:?}, and the trail has {entries}"
                    ));
                }
            }
            let until =
                course.labels.iter().position(|l| matches!(*l, "turn" | "replay" | "resolve"));
            let first =
                course.labels.get(..until.unwrap_or(course.labels.len())).unwrap_or_default();
            let failed = first.iter().filter(|l| **l == "attempt").count();
            let reasons = self.scene.books().reasons.get(id).copied().unwrap_or_default();
            // A process that was stopped comes too late for its own turns.
            let stopped = self.scene.plan.faults.has(Fault::Pause);
            if self.standard && !stopped && failed > reasons as usize {
                self.violate(format!("{id} failed {failed} times, for {reasons} reasons"));
            }
            let shelved = course.labels.iter().filter(|l| **l == "shelve").count();
            if trail.count(&[A::Parked, A::DeadLettered]) < shelved {
                self.violate(format!("{id} was shelved {shelved} times, and the trail has fewer"));
            }
        }
    }

    /// Each effect was claimed in sight, and each end of one can be read.
    async fn ledger(&self, tenant: &TenantId, trails: &BTreeMap<MessageId, Trail>) {
        use AuditAction as A;
        let Ok(effects) = self.gateway.ledger(tenant).all().await else { return };
        let mut claims: BTreeMap<MessageId, usize> = BTreeMap::new();
        let nothing = Trail::default();
        for (turn, operation, record) in &effects {
            *claims.entry(*turn).or_default() += 1;
            let trail = trails.get(turn).unwrap_or(&nothing);
            let meant: &[A] = match record.state {
                EffectState::Done { .. } => &[A::EffectDone, A::EffectDecided],
                EffectState::Failed { .. } => &[A::EffectFailed],
                EffectState::Unknown { .. } => &[A::EffectUnknown],
                EffectState::Parked { .. } => &[A::Parked],
                _ => continue,
            };
            if trail.count(meant) == 0 {
                let state = record.state.name();
                self.violate(format!(
                    "{turn}/{operation} is {state}, and the trail has no {meant:?}"
                ));
            }
        }
        for (turn, n) in claims {
            let entries = trails.get(&turn).map_or(0, |trail| trail.count(&[A::EffectClaimed]));
            if entries != n {
                self.violate(format!("{turn} has {n} effects, and the trail {entries} claims"));
            }
        }
    }
}
