//! The budgets of the standard gateway, and which of them count an effect.

use std::sync::Arc;

use openclaw_core::{
    AgentId, MessageId, Result,
    records::{Account, BudgetConfig, BudgetLimit, BudgetScope, Budgets, Holder},
};

use super::plan::Saying;

/// What leaves no record, and is counted all the same.
pub(super) const READS: &str = "reads";

/// Budgets that are met: every effect counts in some that are wide, and in some that are narrow.
///
/// That of a run has room for a greedy turn but for its last call; it renews, so that a turn that
/// reads once comes to its end, however often it is run again.
const BUDGETS: &str = r#"{
    "costs": [
        { "unit": "effects", "amount": 3 },
        { "unit": "effects", "skill": "pure", "amount": 0 },
        { "unit": "reads", "skill": "pure", "amount": 1 }
    ],
    "limits": [
        { "unit": "effects", "per": "ever", "most": 1000000 },
        { "unit": "effects", "skill": "often", "per": "minute", "most": 5 },
        { "unit": "effects", "skill": "keyed", "per": "minute", "most": 9 },
        { "unit": "effects", "per": "day", "most": 1000000, "scope": "agent" },
        { "unit": "effects", "per": "minute", "most": 18, "scope": "agent", "agent": "night" },
        { "unit": "effects", "skill": "keyed", "per": "minute", "most": 6, "scope": "session" },
        { "unit": "effects", "per": "ever", "most": 1000, "scope": "run", "tenant": "beta" },
        { "unit": "reads", "skill": "pure", "per": "minute", "most": 15, "scope": "run" }
    ]
}"#;

/// What the standard gateway may spend.
pub(super) fn config() -> Result<BudgetConfig> {
    BudgetConfig::from_json(BUDGETS)
}

/// The same, for a gateway.
pub(super) fn budgets() -> Result<Budgets> {
    Budgets::new(config()?)
}

/// Why an effect was asked for.
#[derive(Debug)]
pub(super) struct Cause<'a> {
    pub(super) turn: MessageId,
    pub(super) saying: &'a Saying,
    pub(super) agent: AgentId,
}

impl Cause<'_> {
    /// The account in which a limit counts an effect of this skill, if it does.
    pub(super) fn account(&self, limit: &BudgetLimit, skill: &str) -> Option<Account> {
        let BudgetLimit { unit, tenant, agent, scope, per, .. } = limit;
        let whose = tenant.as_ref().is_none_or(|tenant| *tenant == self.saying.tenant);
        if !whose || (&*limit.skill != "*" && &*limit.skill != skill) {
            return None;
        }
        let holder = match scope {
            BudgetScope::Agent => Holder::Agent(self.agent.clone()),
            BudgetScope::Session => Holder::Session(self.saying.conversation.session()),
            BudgetScope::Run => Holder::Run(self.turn),
            _ => Holder::Tenant,
        };
        let named = agent.as_ref().is_none_or(|agent| holder == Holder::Agent(agent.clone()));
        let account = || Account::new(Arc::clone(unit), Arc::clone(&limit.skill), *per);
        named.then(|| account().held_by(holder))
    }
}
