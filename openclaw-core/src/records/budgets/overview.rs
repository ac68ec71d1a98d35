//! How a tenant's limits stand, for operators.

use serde::Serialize;

use super::{Accounts, Balance, BudgetLimit, BudgetScope, Holder};
use crate::{Result, Timestamp};

/// Accounts that are listed of one limit, at most.
const LISTED: usize = 100;

/// How one limit of a tenant stands in its present window: [`Accounts::overview`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Spending {
    /// The limit, as it is configured now.
    pub limit: BudgetLimit,
    /// The first moment behind the window; [`Timestamp::MAX`] when it has no end.
    pub until: Timestamp,
    /// What is spent, by all whom it counts.
    pub spent: i64,
    /// What is reserved, by all whom it counts.
    pub reserved: i64,
    /// The accounts that it bounds, those with the least left first, at most 100.
    ///
    /// Those in which nothing is yet are not listed, but for the tenant's or the named agent's own.
    pub accounts: Vec<Balance>,
    /// Accounts beyond these.
    pub more: usize,
}

impl Accounts {
    /// How each limit of the tenant stands now: what is reserved, spent and left, and of whom.
    ///
    /// Every limit that counts for this tenant is there, in the order in which they are looked at.
    /// [`balances`](Self::balances) has the windows that are over, and what nothing bounds any more.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use openclaw_core::{
    ///     Env, TenantId,
    ///     records::{BudgetConfig, BudgetCost, BudgetLimit, BudgetScope, Budgets, Period},
    ///     store::MemoryStore,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limits = [
    ///     BudgetLimit::new("calls", Period::Day, 1000),
    ///     BudgetLimit::new("calls", Period::Day, 50).each(BudgetScope::Session),
    /// ];
    /// let budgets = Budgets::new(BudgetConfig::new([BudgetCost::new("calls", 1)], limits))?;
    /// let env = Env::system();
    /// let store = Arc::new(MemoryStore::new(env.clock()));
    /// let overview = budgets.accounts(store, env, TenantId::new("acme")?).overview().await?;
    /// assert_eq!(overview[0].accounts[0].left, Some(1000));
    /// assert_eq!((overview[1].limit.most, overview[1].accounts.len()), (50, 0));
    /// # Ok(()) }
    /// ```
    pub async fn overview(&self) -> Result<Vec<Spending>> {
        let (balances, now) = self.read().await?;
        let rules = self.budgets.rules();
        let limits = rules.limits(&self.tenant);
        let mut spending: Vec<Spending> =
            limits.iter().map(|limit| Spending::new(limit.clone(), now)).collect();
        for balance in balances {
            let at = rules.bound(&self.tenant, &balance.account);
            if let Some(of) = at.and_then(|at| spending.get_mut(at))
                && balance.until == of.until
            {
                of.accounts.push(balance);
            }
        }
        spending.iter_mut().for_each(|of| of.sum_up(now));
        Ok(spending)
    }
}

impl Spending {
    fn new(limit: BudgetLimit, now: Timestamp) -> Self {
        let until = limit.per.window(now).until;
        Self { limit, until, spent: 0, reserved: 0, accounts: Vec::new(), more: 0 }
    }

    fn sum_up(&mut self, now: Timestamp) {
        if let Some(holder) = self.only().filter(|_| self.accounts.is_empty()) {
            self.accounts.push(Balance::empty(&self.limit, holder, now));
        }
        let sum =
            |of: fn(&Balance) -> i64| self.accounts.iter().map(of).fold(0, i64::saturating_add);
        (self.spent, self.reserved) = (sum(|b| b.spent), sum(|b| b.reserved));
        self.accounts.sort_by(|a, b| (a.left, &a.account).cmp(&(b.left, &b.account)));
        self.more = self.accounts.len().saturating_sub(LISTED);
        self.accounts.truncate(LISTED);
    }

    /// Whom it counts, when that is known without a call.
    fn only(&self) -> Option<Holder> {
        match (self.limit.scope, &self.limit.agent) {
            (BudgetScope::Tenant, _) => Some(Holder::Tenant),
            (_, agent) => agent.clone().map(Holder::Agent),
        }
    }
}
