//! Budgets: the accounts say what the ledger says, no limit is passed, and none is left out.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_core::{
    AgentId, MessageId, TenantId, Timestamp,
    records::{Account, Balance, BudgetLimit, EffectRecord},
};

use super::Over;
use crate::sim::{
    clerk::name_of,
    plan::TENANTS,
    spending::{Cause, READS, config},
};

/// What is spent and what is reserved, by account and window.
type Sums = BTreeMap<(Account, Timestamp), (i64, i64)>;

impl Over<'_> {
    pub(super) async fn budgets(&self) {
        let limits = match config() {
            Ok(config) => config.limits,
            Err(e) => return self.violate(format!("the budgets are no budgets: {e}")),
        };
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let ledger = self.gateway.ledger(&tenant);
            let accounts = self.gateway.accounts(&tenant);
            let (effects, balances) = match (ledger.all().await, accounts.balances().await) {
                (Ok(effects), Ok(balances)) => (effects, balances),
                (Err(e), _) | (_, Err(e)) => {
                    return self.violate(format!("the budgets of {name} can't be read: {e}"));
                }
            };
            let mut recorded = Sums::new();
            for (turn, operation, record) in &effects {
                if record.state.is_final() && !record.state.is_in_doubt() && reserves(record) {
                    self.violate(format!(
                        "{operation} of {turn} is {}, and reserves something",
                        record.state.name()
                    ));
                }
                self.counted(*turn, record, &limits);
                add(&mut recorded, record);
            }
            for balance in balances {
                self.balance(name, &balance, &mut recorded);
            }
            for (account, sums) in recorded.into_iter().filter(|(_, sums)| *sums != (0, 0)) {
                self.violate(format!("effects of {name} hold {sums:?} of {account:?}, unbooked"));
            }
        }
    }

    /// An effect counts in every limit that is about it, and in no other.
    fn counted(&self, turn: MessageId, record: &EffectRecord, limits: &[BudgetLimit]) {
        let n = self.scene.books().known_as.get(&turn).copied();
        let Some(saying) = n.and_then(|n| self.scene.saying(n)) else { return };
        let Ok(agent) = AgentId::new(name_of(saying)) else { return };
        let cause = Cause { turn, saying, agent };
        let of = |limit: &BudgetLimit| cause.account(limit, &record.target);
        let wanted: BTreeSet<Account> = limits.iter().filter_map(of).collect();
        let counted = record.costs.iter().map(|share| share.account.clone());
        let counted: BTreeSet<Account> = counted.collect();
        if wanted != counted && &*record.target != "pure" {
            self.violate(format!("an effect of {turn} counts in {counted:?}, not in {wanted:?}"));
        }
    }

    fn balance(&self, name: &str, balance: &Balance, recorded: &mut Sums) {
        let Balance { account, until, limit, spent, reserved, .. } = balance;
        if limit.is_some_and(|most| spent + reserved > i64::try_from(most).unwrap_or(i64::MAX)) {
            self.violate(format!("{name} is over a limit: {balance:?}"));
        }
        if &*account.unit == READS {
            return;
        }
        let sums = recorded.remove(&(account.clone(), *until)).unwrap_or_default();
        if sums != (*spent, *reserved) {
            self.violate(format!("effects of {name} hold {sums:?}, and booked is {balance:?}"));
        }
    }
}

fn reserves(record: &EffectRecord) -> bool {
    record.costs.iter().any(|share| share.reserved > 0)
}

fn add(recorded: &mut Sums, record: &EffectRecord) {
    for share in &record.costs {
        let sums = recorded.entry((share.account.clone(), share.until)).or_default();
        sums.0 += i64::try_from(share.spent).unwrap_or(i64::MAX);
        sums.1 += i64::try_from(share.reserved).unwrap_or(i64::MAX);
    }
}
