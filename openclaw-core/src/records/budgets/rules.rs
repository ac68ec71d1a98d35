//! A configuration, by tenant: which limits count a call, and how much of it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Account, BudgetConfig, BudgetLimit, Holder, Wish,
    config::{Line, fits},
};
use crate::{Payer, TenantId};

/// A configuration, by tenant.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) config: BudgetConfig,
    /// The limits of each tenant that has one of its own.
    of: BTreeMap<TenantId, Vec<BudgetLimit>>,
    /// Those of all others.
    others: Vec<BudgetLimit>,
}

impl BudgetLimit {
    /// The account in which it counts a call of this payer, if it does.
    fn account(&self, payer: Option<&Payer>) -> Option<Account> {
        let holder = self.scope.holder(payer)?;
        self.is_for(&holder).then(|| {
            Account::new(Arc::clone(&self.unit), Arc::clone(&self.skill), self.per).held_by(holder)
        })
    }

    /// Is it a limit of this holder?
    fn is_for(&self, holder: &Holder) -> bool {
        match (&self.agent, holder) {
            (Some(agent), Holder::Agent(holder)) => agent == holder,
            (agent, holder) => agent.is_none() && holder.scope() == self.scope,
        }
    }

    /// Does it bound what is in this account, where no narrower one does?
    fn bounds(&self, account: &Account) -> bool {
        let Account { unit, skill, per, holder } = account;
        self.unit == *unit && self.skill == *skill && self.per == *per && self.is_for(holder)
    }

    /// Does it stand in place of this one wherever that counts?
    fn covers(&self, other: &Self) -> bool {
        Line::of(self) == Line::of(other) && (self.agent.is_none() || self.agent == other.agent)
    }
}

impl Rules {
    pub(super) fn of(config: BudgetConfig) -> Self {
        let shared = || config.limits.iter().filter(|limit| limit.tenant.is_none());
        let mut others: Vec<BudgetLimit> = shared().cloned().collect();
        let mut of: BTreeMap<TenantId, Vec<BudgetLimit>> = BTreeMap::new();
        for limit in &config.limits {
            let Some(tenant) = &limit.tenant else { continue };
            of.entry(tenant.clone()).or_default().push(limit.clone());
        }
        for own in of.values_mut() {
            let covered = |limit: &&BudgetLimit| own.iter().any(|other| other.covers(limit));
            let left: Vec<_> = shared().filter(|limit| !covered(limit)).cloned().collect();
            own.extend(left);
        }
        // Of an agent and of every agent: the first one that fits counts.
        let narrow = |limit: &BudgetLimit| (limit.tenant.is_none(), limit.agent.is_none());
        of.values_mut().chain([&mut others]).for_each(|limits| limits.sort_by_key(narrow));
        Self { config, of, others }
    }

    /// The limits of a tenant, the narrower ones first.
    pub(super) fn limits(&self, tenant: &TenantId) -> &[BudgetLimit] {
        self.of.get(tenant).unwrap_or(&self.others)
    }

    /// The place among a tenant's limits of the one that bounds this account.
    pub(super) fn bound(&self, tenant: &TenantId, account: &Account) -> Option<usize> {
        self.limits(tenant).iter().position(|limit| limit.bounds(account))
    }

    /// What a call of this skill has to reserve.
    pub(super) fn wishes(
        &self,
        tenant: &TenantId,
        payer: Option<&Payer>,
        skill: &str,
    ) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = Vec::new();
        for limit in self.limits(tenant).iter().filter(|limit| fits(&limit.skill, skill)) {
            let amount = self.cost(&limit.unit, skill).filter(|amount| *amount > 0);
            let (Some(amount), Some(account)) = (amount, limit.account(payer)) else { continue };
            if !wishes.iter().any(|wish| wish.account == account) {
                wishes.push(Wish { account, amount, most: limit.most });
            }
        }
        wishes
    }

    /// What a call is expected to cost: the longest pattern counts, a whole name before all.
    fn cost(&self, unit: &str, skill: &str) -> Option<u64> {
        let costs = self.config.costs.iter();
        let fitting = costs.filter(|cost| &*cost.unit == unit && fits(&cost.skill, skill));
        fitting.max_by_key(|cost| (&*cost.skill == skill, cost.skill.len())).map(|cost| cost.amount)
    }
}
