//! What must hold when a run is over.

mod approvals;
mod budgets;
mod effects;
mod forgets;
mod letters;
mod order;
mod replies;
mod trail;
mod versions;

use std::{fmt, sync::Arc};

use openclaw_core::{TenantId, gateway::Gateway};

use super::{people::People, plan::TENANTS, scene::Scene};

/// What a run is checked for at its end; what must never be seen is watched all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Invariant {
    /// What was acknowledged is done, dead, parked in sight, or still waits for a person.
    NothingIsLost,
    /// An effect happens once, as it was declared, or its doubt is visible.
    EffectsAreOnce,
    /// What needs an approval has one for exactly that, consumed with its claim.
    Approvals,
    /// Budgets hold what the ledger says, and no limit is passed.
    Budgets,
    /// Order is kept inside a conversation.
    Order,
    /// Every reply has one cause, and every message at most one reply.
    Replies,
    /// A call ends with the version that began it, and each change of a rollout is audited once.
    Versions,
    /// The audit trail says what was decided, and its seals verify.
    Audit,
    /// Tenants never see each other.
    Tenants,
    /// What is finished is forgotten at its time, and nothing else is.
    Forgets,
    /// When the faults stop, everything drains, and the next start finds nothing.
    Drains,
}

/// The invariants that a run is checked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invariants(Vec<Invariant>);

impl Invariants {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        use Invariant as I;
        Self(vec![
            I::NothingIsLost,
            I::EffectsAreOnce,
            I::Approvals,
            I::Budgets,
            I::Order,
            I::Replies,
            I::Versions,
            I::Audit,
            I::Tenants,
            I::Forgets,
            I::Drains,
        ])
    }

    /// Leaves one out, for a gateway that does not promise it.
    #[must_use]
    pub fn without(mut self, invariant: Invariant) -> Self {
        self.0.retain(|i| *i != invariant);
        self
    }

    pub(super) fn has(&self, invariant: Invariant) -> bool {
        self.0.contains(&invariant)
    }
}

/// A run that is over.
pub(super) struct Over<'a> {
    pub(super) scene: &'a Arc<Scene>,
    pub(super) people: &'a People,
    pub(super) gateway: &'a Gateway,
    /// Is the agent the standard one?
    pub(super) standard: bool,
    /// Have skills several versions?
    pub(super) versions: bool,
}

impl fmt::Debug for Over<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").field("standard", &self.standard).finish_non_exhaustive()
    }
}

impl Over<'_> {
    pub(super) fn violate(&self, what: String) {
        self.scene.violate(what);
    }

    /// Checks everything that is asked for; the drain comes afterwards.
    pub(super) async fn check(&self, invariants: &Invariants) {
        if invariants.has(Invariant::NothingIsLost) {
            self.lost().await;
            self.letters().await;
        }
        if invariants.has(Invariant::Replies) {
            self.replies().await;
        }
        if invariants.has(Invariant::Order) {
            self.order();
        }
        self.skills(invariants).await;
        if invariants.has(Invariant::Audit) {
            self.trail().await;
        }
        if invariants.has(Invariant::Tenants) {
            self.tenants().await;
        }
    }

    /// What skills did: the effects, who allowed them, what they cost, in which versions.
    async fn skills(&self, invariants: &Invariants) {
        if invariants.has(Invariant::EffectsAreOnce) {
            self.effects().await;
        }
        if invariants.has(Invariant::Approvals) {
            self.approvals().await;
        }
        // A host's own gateway has budgets of its own.
        if invariants.has(Invariant::Budgets) && self.standard {
            self.budgets().await;
        }
        if invariants.has(Invariant::Versions) && self.standard && self.versions {
            self.versions().await;
        }
    }

    /// Everything that was accepted has one id, and that id is somewhere.
    async fn lost(&self) {
        for (n, known) in self.people.known() {
            let Some(saying) = self.scene.saying(n) else {
                continue;
            };
            if known.ids.len() > 1 {
                self.violate(format!("message {n} became {:?}", known.ids));
            }
            for id in known.ids {
                let purged = self.scene.books().purged.contains(&id);
                match self.gateway.status(&saying.tenant, id).await {
                    Ok(Some(status)) if status.state.is_final() => {}
                    Ok(None) if purged => {}
                    other => self.violate(format!("message {n} ended as {other:?}")),
                }
            }
        }
    }

    /// Nobody sees what is another tenant's.
    async fn tenants(&self) {
        for (n, id) in self.people.accepted() {
            let Some(saying) = self.scene.saying(n) else {
                continue;
            };
            for name in TENANTS {
                let Ok(other) = TenantId::new(name) else { continue };
                if other != saying.tenant
                    && !matches!(self.gateway.status(&other, id).await, Ok(None))
                {
                    self.violate(format!("{other} sees message {n} of {}", saying.tenant));
                }
            }
        }
        let known: std::collections::BTreeMap<_, _> =
            self.people.accepted().into_iter().map(|(n, id)| (id, n)).collect();
        for line in self.scene.lines.values() {
            for post in line.board.posts().iter() {
                let cause = post.reply_to.and_then(|id| known.get(&id));
                let saying = cause.and_then(|n| self.scene.saying(*n));
                if let Some(saying) = saying
                    && (saying.tenant.as_str() != post.tenant || saying.conversation != post.to)
                {
                    self.violate(format!(
                        "{:?} of {} went to {:?} of {}",
                        saying.text, saying.tenant, post.to, post.tenant
                    ));
                }
            }
        }
    }
}
