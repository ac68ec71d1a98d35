//! What a skill is told beside its input.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use openclaw_core::{Call, Context, Error, ErrorKind, IdempotencyKey, Result, skill::SkillPort};
use serde_json::Value;

/// What a skill's function is told beside its input.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Effect, Env, TenantId,
///     middleware::{LedgerLayer, MarkLayer},
///     records::{BudgetConfig, BudgetCost, BudgetLimit, Budgets, Period},
///     skill::{Skill, SkillAnswer, SkillManifest},
///     store::{MemoryStore, SharedStore},
/// };
/// use openclaw_skills::{SkillCx, skill_fn};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// /// Asks a model, and says what that cost.
/// async fn summarize(cx: SkillCx, text: String) -> openclaw_core::Result<String> {
///     cx.spent("tokens", 20 + text.len() as u64);
///     Ok(text.chars().take(8).collect())
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manifest = SkillManifest::new("text.summarize".parse()?, "1.0.0").effect(Effect::Pure);
/// let skill = Arc::new(skill_fn(manifest, summarize)?);
/// let budgets = Budgets::new(BudgetConfig::new(
///     [BudgetCost::new("tokens", 500)],
///     [BudgetLimit::new("tokens", Period::Day, 10_000)],
/// ))?;
/// let (env, acme) = (Env::system(), TenantId::new("acme")?);
/// let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
/// let ledger = LedgerLayer::builder(store.clone(), env.clone()).budgets(budgets.clone()).build();
///
/// let call = Call::skill(Context::new(acme.clone()), skill.manifest(), Arc::new("A long one".into()));
/// let run = service_fn(move |call| { let skill = skill.clone(); async move { skill.run(call).await } });
/// let answer = ledger.layer(MarkLayer::new().layer(run)).oneshot(call).await?;
/// assert_eq!(answer, SkillAnswer::done("A long o".into()));
/// let balances = budgets.accounts(store, env, acme).balances().await?;
/// assert_eq!((balances[0].spent, balances[0].reserved), (30, 0), "500 were reserved");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SkillCx {
    /// The call without its input.
    head: Call<()>,
    others: Option<Arc<Others>>,
}

/// The way to other skills, and whether one of them has acted.
pub(crate) struct Others {
    pub(crate) port: Arc<dyn SkillPort>,
    pub(crate) acted: AtomicBool,
}

impl SkillCx {
    /// The head of this call, as a skill's function sees it.
    #[must_use]
    pub fn of(call: &Call<Arc<Value>>) -> Self {
        let others = |port| Arc::new(Others { port, acted: AtomicBool::new(false) });
        Self { head: call.clone().map(drop), others: call.skills().map(Arc::clone).map(others) }
    }

    /// Who asks, until when, at which attempt.
    #[must_use]
    pub const fn context(&self) -> &Context {
        self.head.context()
    }

    /// The key that names this effect, the same at every attempt.
    #[must_use]
    pub const fn key(&self) -> Option<&IdempotencyKey> {
        self.head.key()
    }

    /// The key, for a remote that must not be called without one.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, and nothing happened: the call has no key.
    pub fn require_key(&self) -> Result<&IdempotencyKey> {
        let missing = || Error::new(ErrorKind::ValidationError, "the call has no idempotency key");
        self.key().ok_or_else(missing)
    }

    /// Says what this call has really spent, in a unit of the host's budgets: see [`Call::spent`].
    pub fn spent(&self, unit: &str, amount: u64) {
        self.head.spent(unit, amount);
    }

    pub(crate) const fn others(&self) -> Option<&Arc<Others>> {
        self.others.as_ref()
    }
}

impl Others {
    pub(crate) fn has_acted(&self) -> bool {
        self.acted.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Others(acted: {})", self.has_acted())
    }
}
