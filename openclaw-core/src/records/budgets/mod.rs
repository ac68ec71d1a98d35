//! Budgets: how much each tenant may spend, reserved before a call and settled behind it.

mod account;
mod accounts;
mod config;
mod overview;
mod period;
mod rules;
mod scope;
mod settle;
mod share;

use std::sync::{Arc, PoisonError, RwLock};

use self::rules::Rules;
pub use self::{
    account::Account,
    accounts::{Accounts, Balance},
    config::{BudgetConfig, BudgetCost, BudgetLimit},
    overview::Spending,
    period::{Period, Window},
    scope::{BudgetScope, Holder},
    share::Share,
};
pub(crate) use self::{
    account::{NoteRow, Sum, sum, sum_of, sum_rows},
    settle::{booked, forgotten},
    share::{reserves, take_unheld},
};
use crate::{Payer, Result, TenantId, Timestamp, store::Key};

/// What calls cost and how much may be spent, for a gateway and for ledger layers.
///
/// The claim of an effect reserves what its call is expected to cost, in the same commit. When it
/// is known what became of it, that commit books what it did cost, and gives the rest back:
///
/// | the effect | its reservation |
/// |---|---|
/// | is claimed, sent, in doubt or parked | stays |
/// | is done, or failed and has happened | is spent: what the skill [says](crate::Call::spent), else all of it |
/// | surely did not happen, and its call is over | goes back, except what the skill says it has spent |
///
/// The reservation is written in the effect's record ([`EffectRecord::costs`]), so whoever goes on
/// with the effect behind a crash goes on with its reservation, and a record that is answered again
/// costs nothing.
///
/// **The bound.** Reserved and spent together never pass a limit: each reservation is an
/// [`Op::Add`](crate::store::Op::Add) with that bound. They pass it only by what calls on their way
/// say they have spent beyond their reservation, and by nothing where a cost is the most that a call can cost.
///
/// **Why no row is hot.** Many calls add to one sum, and none of them guards its version: nobody's
/// commit loses because of another one's. A bound that does not hold is the refusal itself. So
/// there is nothing to split into shards, and every engine orders its commits anyway.
///
/// **Scopes.** A limit counts the calls of its tenant, or those of each agent, session or run, as the
/// [`Payer`] in a call's context says. One commit reserves in all accounts that count a call, or in none.
///
/// A call over a limit is refused with [`Reason::BudgetSpent`](crate::Reason::BudgetSpent): nothing
/// is claimed, and no attempt is spent. The error says whose budget is spent (`scope`, and its name
/// under that word), and when it renews (`renews`). The first refusal in a window is in the audit trail.
///
/// `Pure` calls have no record: what they are expected to cost is spent before they run.
///
/// Cheap to clone; [`reload`](Self::reload) changes all clones. What is reserved stays in the
/// window that it was reserved in.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Env, Error, ErrorKind, IdempotencyKey, TenantId,
///     middleware::{LedgerLayer, MarkLayer},
///     records::{BudgetConfig, BudgetCost, BudgetLimit, Budgets, Period},
///     skill::{SkillAnswer, SkillManifest},
///     store::{MemoryStore, SharedStore},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budgets = Budgets::new(BudgetConfig::new(
///     [BudgetCost::new("micro_usd", 300).of("shop.refund")],
///     [BudgetLimit::new("micro_usd", Period::Day, 500)],
/// ))?;
/// let env = Env::system();
/// let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
/// let service = ServiceBuilder::new()
///     .layer(LedgerLayer::builder(store.clone(), env.clone()).budgets(budgets.clone()).build())
///     .layer(MarkLayer::new())
///     .service(service_fn(async |call: Call<Arc<serde_json::Value>>| {
///         call.spent("micro_usd", 250);
///         Ok::<_, Error>(SkillAnswer::done("refunded".into()))
///     }));
/// let refund = |order: &str| {
///     let manifest = SkillManifest::new("shop.refund".parse().unwrap(), "1.0.0");
///     let key = IdempotencyKey::builder("shop.refund").part(order).build().unwrap();
///     Call::skill(Context::new(TenantId::new("acme").unwrap()), &manifest, Arc::default()).with_key(key)
/// };
/// service.clone().oneshot(refund("1042")).await?;
/// let e = service.clone().oneshot(refund("1043")).await.unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::RateLimited, "250 are spent, and 300 more are too much");
/// service.oneshot(refund("1042")).await?;
///
/// let balances = budgets.accounts(store, env, TenantId::new("acme")?).balances().await?;
/// assert_eq!((balances[0].spent, balances[0].reserved, balances[0].limit), (250, 0, Some(500)));
/// # Ok(()) }
/// ```
///
/// [`EffectRecord::costs`]: crate::records::EffectRecord::costs
#[derive(Clone, Debug, Default)]
pub struct Budgets(Arc<RwLock<Arc<Rules>>>);

/// What is to be reserved for a call in one account, and how much may be in it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) account: Account,
    pub(crate) amount: u64,
    pub(crate) most: u64,
}

impl Wish {
    /// The share that it becomes now.
    pub(crate) fn share(&self, now: Timestamp) -> Share {
        Share::new(self.account.clone(), self.account.per.window(now).until, self.amount)
    }

    /// Where it is kept what is in the account now.
    pub(crate) fn held(&self, tenant: &TenantId, now: Timestamp) -> Key {
        self.account.sum(tenant, self.account.per.window(now).until, Sum::Held)
    }

    pub(crate) fn note(&self, tenant: &TenantId, now: Timestamp) -> Key {
        self.account.note(tenant, self.account.per.window(now).until)
    }

    /// Is there room for it beside what is held?
    pub(crate) fn has_room(&self, held: i64) -> bool {
        held.saturating_add(share::amount(self.amount)) <= share::amount(self.most)
    }

    /// Can waiting ever make room for it?
    pub(crate) fn may_come(&self) -> bool {
        self.amount <= self.most && self.account.per != Period::Ever
    }
}

impl Budgets {
    /// The budgets of this configuration.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` of [`BudgetConfig::check`].
    pub fn new(config: BudgetConfig) -> Result<Self> {
        let budgets = Self::default();
        budgets.reload(config)?;
        Ok(budgets)
    }

    /// Takes another configuration.
    ///
    /// Sums are kept: a limit that is lowered counts what was spent before.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what is wrong; everything stays as it was then.
    pub fn reload(&self, config: BudgetConfig) -> Result<()> {
        config.check()?;
        let rules = Arc::new(Rules::of(config));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// The configuration that counts now.
    #[must_use]
    pub fn config(&self) -> BudgetConfig {
        self.rules().config.clone()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a call of this skill has to reserve.
    pub(crate) fn wishes(
        &self,
        tenant: &TenantId,
        payer: Option<&Payer>,
        skill: &str,
    ) -> Vec<Wish> {
        self.rules().wishes(tenant, payer, skill)
    }

    /// How much may be in a tenant's account; `None` when nothing bounds it.
    fn limit(&self, tenant: &TenantId, account: &Account) -> Option<u64> {
        let rules = self.rules();
        let at = rules.bound(tenant, account)?;
        rules.limits(tenant).get(at).map(|limit| limit.most)
    }
}
