//! Approvals: no gated effect without one for exactly that, consumed in the commit of its claim.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use openclaw_core::{
    MessageId, TenantId,
    records::{Approval, ApprovalState, EffectRecord},
};

use super::Over;
use crate::sim::{plan::TENANTS, remotes::GUARDED, rows::effect};

/// The skills that nobody may call without an approval: the agent names it, or rules ask for it.
const GATED: [&str; 2] = ["gated", GUARDED];

/// One is enough to be one too many.
const ONE: NonZeroUsize = NonZeroUsize::MIN;

impl Over<'_> {
    pub(super) async fn approvals(&self) {
        if !self.standard {
            return;
        }
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let effects = match self.gateway.ledger(&tenant).all().await {
                Ok(effects) => effects,
                Err(e) => return self.violate(format!("the ledger can't be read: {e}")),
            };
            let mut used = BTreeMap::new();
            for (turn, operation, record) in &effects {
                if GATED.contains(&&*record.target) {
                    self.approval(&tenant, *turn, operation, record, &mut used).await;
                }
            }
            match self.gateway.approvals(&tenant).open(None, ONE).await {
                Ok((open, _)) if open.is_empty() => {}
                other => self.violate(format!("everything is over, and {tenant} has {other:?}")),
            }
        }
    }

    /// One of its own, for exactly this.
    async fn approval(
        &self,
        tenant: &TenantId,
        turn: MessageId,
        operation: &str,
        record: &EffectRecord,
        used: &mut BTreeMap<Arc<str>, String>,
    ) {
        let name = format!("{turn}.{operation}");
        let Some(id) = &record.approval else {
            return self.violate(format!("{name} is gated and has no approval"));
        };
        if let Some(other) = used.insert(Arc::clone(id), name.clone()) {
            self.violate(format!("the approval {id} was used for {other} and {name}"));
        }
        let approval = self.gateway.approvals(tenant).get(id).await.ok().flatten();
        let digest = Approval::digest_of(tenant, &record.target, "1.0.0", &record.request);
        let fits = approval.as_ref().is_some_and(|approval| {
            approval.state == ApprovalState::Consumed
                && approval.digest == digest
                && (&*record.target != GUARDED || granted(approval, turn, operation))
        });
        if !fits {
            self.violate(format!("{name} was claimed under {approval:?}"));
        }
        if !self.scene.books().approved.contains(&effect(tenant, turn, operation)) {
            self.violate(format!("{name} was claimed, and its approval in another commit"));
        }
    }
}

/// Two people have said yes to exactly this; neither asked for it, and nobody has said no.
fn granted(approval: &Approval, turn: MessageId, operation: &str) -> bool {
    let Some(asked) = &approval.asked else { return false };
    let own = |name: &Arc<str>| *name == asked.sender || *name == asked.agent;
    let mut people: Vec<&Arc<str>> = approval.votes.iter().map(|vote| &vote.by).collect();
    people.sort();
    people.dedup();
    let agree = approval.votes.iter().all(|vote| vote.yes && !own(&vote.by));
    asked.turn == turn && &*asked.operation == operation && agree && people.len() >= 2
}
