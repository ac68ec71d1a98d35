//! Budgets: reserved with the claim, settled with the effect, never over their limits.

mod accounts;
mod config;
mod crowd;
mod gateway;
mod given_back;
mod model;
mod overview;
mod scopes;
mod settling;

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Call, Context, Effect, Env, Error, ErrorKind, Happened, IdempotencyKey, MessageId,
    Payer, Reason, Refusal, Result, SessionId, TenantId,
    middleware::{LedgerLayer, MarkLayer},
    records::{
        Account, Accounts, Balance, BudgetConfig, BudgetCost, BudgetLimit, BudgetScope, Budgets,
        EffectRecord, Holder, Period,
    },
    skill::{SkillAnswer, SkillManifest},
    store::{MemoryStore, SharedStore},
};
use openclaw_testkit::{
    env::test_env,
    fault::{FaultStore, Plan},
    trace::{Event, Trace},
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);
const USD: &str = "micro_usd";

type Payload = Arc<Value>;
type Made = LedgerLayer<Payload, SkillAnswer>;

/// What a call of a skill does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It is done; what it says it has spent.
    Ok(Option<u64>),
    /// It did nothing, and may be asked for again.
    NotNow,
    /// It did nothing, for good.
    Never,
    /// Nobody knows.
    Lost,
}

impl Does {
    fn run(self, call: &Call<Payload>) -> Result<SkillAnswer> {
        let fails = |kind, happened| Err(Error::new(kind, "no").with_happened(happened));
        match self {
            Self::Ok(spent) => {
                if let Some(spent) = spent {
                    call.spent(USD, spent);
                }
                Ok(SkillAnswer::done(json!("done")))
            }
            Self::NotNow => fails(ErrorKind::Unavailable, Happened::No),
            Self::Never => fails(ErrorKind::Conflict, Happened::No),
            Self::Lost => fails(ErrorKind::Timeout, Happened::Maybe),
        }
    }
}

/// A store, budgets over it, and a ledger layer that keeps them.
struct Shop {
    env: Env,
    rows: MemoryStore,
    plan: Plan,
    trace: Trace,
    store: SharedStore,
    budgets: Budgets,
    layer: Made,
}

impl Shop {
    fn new(config: BudgetConfig) -> Self {
        let env = test_env(1);
        let rows = MemoryStore::new(env.clock());
        let (plan, trace) = (Plan::default(), Trace::default());
        let store = FaultStore::new(rows.clone(), plan.clone()).traced(trace.clone());
        let store: SharedStore = Arc::new(store);
        let budgets = Budgets::new(config).unwrap();
        let layer = made(&store, &env, &budgets);
        Self { env, rows, plan, trace, store, budgets, layer }
    }

    /// A shop where a call costs at most 300, and 1,000 may be spent in a period.
    fn of(per: Period) -> Self {
        Self::new(BudgetConfig::new(
            [BudgetCost::new(USD, 300)],
            [BudgetLimit::new(USD, per, 1000)],
        ))
    }

    /// What a process finds that starts now.
    fn restart(&mut self) {
        self.layer = made(&self.store, &self.env, &self.budgets);
    }

    async fn ask(&self, call: Call<Payload>, does: Does) -> Result<SkillAnswer> {
        let leaf = service_fn(move |call: Call<Payload>| async move { does.run(&call) });
        self.layer.layer(MarkLayer::new().layer(leaf)).oneshot(call).await
    }

    fn accounts(&self, tenant: &str) -> Accounts {
        self.budgets.accounts(Arc::new(self.rows.clone()), self.env.clone(), of(tenant))
    }

    async fn balances(&self) -> Vec<Balance> {
        self.accounts("acme").balances().await.unwrap()
    }

    /// What is spent and reserved in the last window there is.
    async fn balance(&self) -> (i64, i64) {
        let last = self.balances().await.pop();
        last.map_or((0, 0), |balance| (balance.spent, balance.reserved))
    }

    async fn record(&self, call: &Call<Payload>) -> EffectRecord {
        let found = self.layer.record(call.context().tenant(), call.key().unwrap()).await;
        found.unwrap().unwrap()
    }

    /// Labels of the commits that lost.
    fn lost(&self) -> Vec<&'static str> {
        let lost = |event: &Event| match event {
            Event::Conflict { label } => Some(*label),
            _ => None,
        };
        self.trace.events().iter().filter_map(lost).collect()
    }
}

fn made(store: &SharedStore, env: &Env, budgets: &Budgets) -> Made {
    LedgerLayer::builder(Arc::clone(store), env.clone()).lease(S).budgets(budgets.clone()).build()
}

fn of(tenant: &str) -> TenantId {
    TenantId::new(tenant).unwrap()
}

fn by(tenant: &str, skill: &str, order: &str, effect: Effect) -> Call<Payload> {
    let manifest = SkillManifest::new(skill.parse().unwrap(), "1.0.0").effect(effect);
    let key = IdempotencyKey::builder(skill).part(order).build().unwrap();
    let payload = Arc::new(json!({ "order": order }));
    Call::skill(Context::new(of(tenant)), &manifest, payload).with_key(key)
}

fn call(order: &str) -> Call<Payload> {
    by("acme", "shop.refund", order, Effect::AtMostOnce)
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

/// The same call for this payer.
fn paid_by(payer: Payer, call: Call<Payload>) -> Call<Payload> {
    let context = call.context().clone().with_payer(payer);
    call.with_context(context)
}

fn spent<T: std::fmt::Debug>(outcome: &Result<T>) -> bool {
    let refusal = outcome.as_ref().err().and_then(Error::refusal);
    refusal.map(Refusal::reason) == Some(Reason::BudgetSpent)
}

fn account(per: Period) -> Account {
    Account::new(USD, "*", per)
}

impl Shop {
    /// How many rows of a table there are.
    async fn rows_of(&self, table: &'static str) -> usize {
        use openclaw_core::store::{Key, StateStoreExt as _};
        self.rows.scan_all(Key::of(&of("acme"), table).prefix()).await.unwrap().len()
    }
}
