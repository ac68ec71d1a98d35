//! What is spent and reserved, and what an operator makes of it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    Account, BudgetLimit, Budgets, Holder, NoteRow, Period, Sum, Window,
    account::{note_rows, sum_of, sum_rows},
    config::MOST,
    share::{add, amount},
};
use crate::{
    Env, Error, ErrorKind, Happened, MessageId, Result, TenantId, Timestamp,
    records::{
        audit::{AuditAction, AuditEntry},
        commit::{self, Known, unchanged},
        row::Row as _,
    },
    store::{Guard, Key, Op, SharedStore, StateStore as _, StateStoreExt as _, Txn},
};

/// Lost races before an operator hears of them.
const RACES: usize = 5;

/// What is in one window of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// The window's first moment.
    pub from: Timestamp,
    /// The first moment behind it.
    pub until: Timestamp,
    /// How much may be in it, as it is configured now.
    ///
    /// `None` when nothing bounds it any more.
    pub limit: Option<u64>,
    /// What was spent, adjustments included: they may bring it below zero.
    pub spent: i64,
    /// What is reserved for effects whose end is not known.
    pub reserved: i64,
    /// What is left of the limit; less than nothing where it was passed, or lowered.
    ///
    /// `None` when nothing bounds it any more.
    pub left: Option<i64>,
    /// What operators have added to what was spent.
    pub adjusted: i64,
}

impl Balance {
    /// Nothing, in the present window of the account that this limit bounds.
    pub(super) fn empty(limit: &BudgetLimit, holder: Holder, now: Timestamp) -> Self {
        let BudgetLimit { unit, skill, per, most, .. } = limit;
        let account = Account::new(Arc::clone(unit), Arc::clone(skill), *per).held_by(holder);
        let Window { from, until } = per.window(now);
        let left = Some(amount(*most));
        Self { account, from, until, limit: Some(*most), spent: 0, reserved: 0, left, adjusted: 0 }
    }
}

/// The accounts of a tenant: [`Budgets::accounts`].
#[derive(Clone, Debug)]
pub struct Accounts {
    pub(super) budgets: Budgets,
    store: SharedStore,
    env: Env,
    pub(super) tenant: TenantId,
}

impl Budgets {
    /// The accounts of this tenant in this store.
    #[must_use]
    pub fn accounts(&self, store: SharedStore, env: Env, tenant: TenantId) -> Accounts {
        Accounts { budgets: self.clone(), store, env, tenant }
    }
}

impl Accounts {
    /// What is in every window that is kept, those that end first before the others.
    ///
    /// Windows that are over are kept for a [time](crate::records::Retention::budgets), and as long
    /// as something is reserved in them.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn balances(&self) -> Result<Vec<Balance>> {
        self.read().await.map(|(balances, _)| balances)
    }

    /// What is in every window that is kept, and the store's time.
    pub(super) async fn read(&self) -> Result<(Vec<Balance>, Timestamp)> {
        let now = self.now().await?;
        let prefix = sum_rows(&self.tenant);
        let rows = self.store.scan_all(prefix.clone()).await?;
        let notes = self.store.scan_all(note_rows(&self.tenant)).await?;
        let notes: BTreeMap<&Key, _> = notes.iter().map(|(key, row)| (key, row)).collect();
        let sums: BTreeMap<&Key, _> = rows.iter().map(|(key, row)| (key, row)).collect();
        let mut windows: Vec<_> =
            rows.iter().filter_map(|(key, _)| Account::in_key(key, &prefix)).collect();
        windows.dedup();
        let balance = |(account, until): (Account, Timestamp)| {
            let sum = |sum| sum_of(sums.get(&account.sum(&self.tenant, until, sum)).copied());
            let (held, spent) = (sum(Sum::Held)?, sum(Sum::Spent)?);
            let note = notes.get(&account.note(&self.tenant, until));
            let note = note.map(|row| NoteRow::decode(&row.value)).transpose()?;
            let adjusted = note.unwrap_or_default().adjusted;
            let from = account.window(until).from;
            let limit = self.budgets.limit(&self.tenant, &account);
            let left = limit.map(|most| amount(most).saturating_sub(held));
            let reserved = held.saturating_sub(spent);
            Ok(Balance { account, from, until, limit, spent, reserved, left, adjusted })
        };
        let balances: Result<_> = windows.into_iter().map(balance).collect();
        Ok((balances?, now))
    }

    /// The store's time.
    async fn now(&self) -> Result<Timestamp> {
        // Whatever it is asked for, it tells it.
        let probe = Account::new("", "", Period::Ever).note(&self.tenant, Timestamp::MAX);
        Ok(self.store.get_many(std::slice::from_ref(&probe)).await?.as_of)
    }

    /// Adds to what was spent in the present window of an account; less than nothing gives room.
    ///
    /// `by` is the operator and `why` the reason, for the audit trail. What is added may pass the
    /// limit: then calls are refused until the next window.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for more than 2^50 at once; `CONFLICT` when other operators are in the
    /// way all the time; the store's error.
    pub async fn adjust(&self, account: &Account, delta: i64, by: &str, why: &str) -> Result<()> {
        if delta.unsigned_abs() > MOST {
            let why = "an adjustment is at most 2^50";
            return Err(Error::new(ErrorKind::ValidationError, why).with_happened(Happened::No));
        }
        for _ in 0..RACES {
            let txn = self.adjustment(account, delta, by, why).await?;
            if let Known::Applied(_) = commit::commit(&*self.store, txn).await? {
                return Ok(());
            }
        }
        let why = "somebody else adjusts this account all the time";
        Err(Error::new(ErrorKind::Conflict, why).with_happened(Happened::No))
    }

    async fn adjustment(&self, account: &Account, delta: i64, by: &str, why: &str) -> Result<Txn> {
        let until = account.per.window(self.now().await?).until;
        let key = account.note(&self.tenant, until);
        let found = commit::read::<NoteRow>(&*self.store, &key).await?;
        let (guard, note) = match found {
            Some((note, version)) => (unchanged(key.clone(), version), note),
            None => (Guard::Absent(key.clone()), NoteRow::default()),
        };
        let adjusted = note.adjusted.saturating_add(delta);
        // The sums have no version to guard: this row is what keeps it from applying twice.
        let note = NoteRow { adjusted, nonce: self.env.next_u64(), ..note };
        let what = format!("{delta:+} {account}, window up to {until}: {why}");
        let action = AuditAction::BudgetAdjusted;
        let entry = AuditEntry::new(self.env.now(), action, MessageId::from_u128(0), by);
        let sum = |sum| add(account.sum(&self.tenant, until, sum), delta, None);
        Ok(Txn::new("adjust")
            .guard(guard)
            .op(Op::put(key, note.encode()?))
            .op(sum(Sum::Held))
            .op(sum(Sum::Spent))
            .op(entry.because(Arc::<str>::from(what)).append(&self.tenant)?))
    }
}
