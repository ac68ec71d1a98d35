//! What one effect holds of one account.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Account, Period, Sum};
use crate::{
    TenantId, Timestamp,
    store::{Key, Op},
};

/// What an effect has reserved and spent in one window of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Share {
    /// The account.
    pub account: Account,
    /// The end of the window.
    pub until: Timestamp,
    /// What is reserved until it is known what became of the effect.
    pub reserved: u64,
    /// What was spent.
    pub spent: u64,
}

impl Share {
    pub(super) const fn new(account: Account, until: Timestamp, reserved: u64) -> Self {
        Self { account, until, reserved, spent: 0 }
    }

    /// The operation that reserves it, where a window has room for so much in all.
    pub(crate) fn reserve(&self, tenant: &TenantId, most: u64) -> Op {
        let bound = Some(i64::MIN..=amount(most));
        add(self.account.sum(tenant, self.until, Sum::Held), amount(self.reserved), bound)
    }

    /// The operations that spend it at once, where a window has room for so much in all.
    pub(crate) fn charge(&self, tenant: &TenantId, most: u64) -> [Op; 2] {
        let spent = self.account.sum(tenant, self.until, Sum::Spent);
        [self.reserve(tenant, most), add(spent, amount(self.reserved), None)]
    }

    /// The operations that make it so much instead, once it is spent.
    pub(crate) fn correct(&self, tenant: &TenantId, spent: u64) -> Vec<Op> {
        let by = amount(spent) - amount(self.reserved);
        let sums = [Sum::Held, Sum::Spent].into_iter().filter(|_| by != 0);
        sums.map(|sum| add(self.account.sum(tenant, self.until, sum), by, None)).collect()
    }

    /// Ends the reservation: so much was spent, and the rest goes back.
    pub(crate) fn settle(&mut self, tenant: &TenantId, spent: u64) -> Vec<Op> {
        let held = amount(spent) - amount(self.reserved);
        self.reserved = 0;
        self.spent = self.spent.saturating_add(spent);
        let sums = [(Sum::Held, held), (Sum::Spent, amount(spent))];
        let moved = sums.into_iter().filter(|(_, by)| *by != 0);
        moved.map(|(sum, by)| add(self.account.sum(tenant, self.until, sum), by, None)).collect()
    }
}

/// Is something reserved in one of them?
pub(crate) fn reserves(costs: &[Share]) -> bool {
    costs.iter().any(|share| share.reserved > 0)
}

/// Adds to a sum.
///
/// No version is guarded, so calls of one tenant never make each other's commits lose; only the
/// bound can refuse one.
pub(super) const fn add(key: Key, delta: i64, bound: Option<std::ops::RangeInclusive<i64>>) -> Op {
    Op::Add { key, delta, bound, ttl: None }
}

/// An amount as a store counts.
pub(super) fn amount(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// The shares of a row of effects before accounts had holders, and the bytes behind them.
pub(crate) fn take_unheld(bytes: &[u8]) -> postcard::Result<(Vec<Share>, &[u8])> {
    /// A share of those days.
    #[derive(Deserialize)]
    struct Unheld {
        unit: Arc<str>,
        skill: Arc<str>,
        per: Period,
        until: Timestamp,
        reserved: u64,
        spent: u64,
    }
    let (shares, rest) = postcard::take_from_bytes::<Vec<Unheld>>(bytes)?;
    let share = |Unheld { unit, skill, per, until, reserved, spent }| {
        let account = Account::new(unit, skill, per);
        Share { account, until, reserved, spent }
    };
    Ok((shares.into_iter().map(share).collect(), rest))
}
