//! The guarded skill call without a gateway: each step of its order, with faults and restarts.

mod doubts;
mod laws;
mod limits;
mod outputs;
mod people;
mod steps;
mod versions;

use std::{sync::Arc, time::Duration};

use openclaw_core::{
    Context, Effect, Env, Error, ErrorKind, Happened, IdempotencyKey, Principal, Reason, Refusal,
    Result, SkillId, Subject, TenantId,
    middleware::{
        SkillRun, SkillStack, SkillStackBuilder,
        stack::{Resilience, ResilienceConfig},
    },
    records::{Approval, ApprovalState, AuditAction, AuditEntry, AuditLog, EffectRecord, Vote},
    rules::Rules,
    skill::{SkillAnswer, SkillPort as _, SkillRequest},
    store::{Key, MemoryStore, SharedStore, StateStoreExt as _},
};
use openclaw_testkit::{
    env::test_env,
    fault::{FaultStore, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Trace,
};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3600) };

/// What outlives every process: rows, and a remote that counts.
struct Bank {
    env: Env,
    rows: MemoryStore,
    plan: Plan,
    trace: Trace,
    remote: CountingRemote,
}

impl Bank {
    /// Make it inside a runtime that is paused.
    fn new(kind: RemoteKind) -> Self {
        Self::at(test_env(1), kind)
    }

    fn at(env: Env, kind: RemoteKind) -> Self {
        let rows = MemoryStore::new(env.clock());
        let remote = CountingRemote::new(kind);
        Self { env, rows, plan: Plan::default(), trace: Trace::default(), remote }
    }

    /// A process that starts now, with the skill `pay`.
    fn stack(
        &self,
        effect: Effect,
        compose: impl FnOnce(SkillStackBuilder) -> SkillStackBuilder,
    ) -> SkillStack {
        let pay = RemoteSkill::named("pay", effect, self.remote.clone()).unwrap();
        self.bare(|b| compose(b.skill(pay)))
    }

    /// A process that starts now, without a skill.
    fn bare(&self, compose: impl FnOnce(SkillStackBuilder) -> SkillStackBuilder) -> SkillStack {
        compose(SkillStack::builder(self.store(), self.env.clone())).build().unwrap()
    }

    fn store(&self) -> SharedStore {
        let store = FaultStore::new(self.rows.clone(), self.plan.clone());
        Arc::new(store.traced(self.trace.clone()))
    }

    async fn trail(&self) -> Vec<AuditEntry> {
        let log = AuditLog::new(Arc::new(self.rows.clone()), tenant());
        log.entries().await.unwrap()
    }

    async fn audited(&self, action: AuditAction) -> usize {
        self.trail().await.iter().filter(|entry| entry.action == action).count()
    }

    /// How many rows of a table there are.
    async fn rows_of(&self, table: &'static str) -> usize {
        self.rows.scan_all(Key::of(&tenant(), table).prefix()).await.unwrap().len()
    }

    /// Effects and calls at the remote.
    fn counts(&self) -> (u64, u64) {
        (self.remote.effects_total(), self.remote.calls_total())
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn person(name: &str) -> Principal {
    Principal::authenticated(tenant(), Subject::new(name).unwrap(), "test")
}

/// Ann asks.
fn ann() -> Context {
    Context::new(tenant()).with_principal(person("ann"))
}

fn id(name: &str) -> SkillId {
    SkillId::new(name).unwrap()
}

fn seven() -> SkillRequest {
    SkillRequest::new(id("pay"), "pay", json!({ "amount": 7 }))
}

async fn pay(stack: &SkillStack, run: &str) -> Result<SkillAnswer> {
    stack.run(run).call(&ann(), seven()).await
}

fn key(stack: &SkillStack, run: &str) -> IdempotencyKey {
    stack.run(run).key("pay").unwrap()
}

async fn record(stack: &SkillStack, run: &str) -> EffectRecord {
    stack.record(&tenant(), &key(stack, run)).await.unwrap().unwrap()
}

/// Rules that ask for an approval of everything, on these terms.
fn asks(terms: &Value) -> Rules {
    let rules = json!({ "rules": [{ "name": "all", "then": { "require_approval": terms } }] });
    Rules::from_json(&rules.to_string()).unwrap()
}

fn one() -> Rules {
    asks(&json!({ "ttl": "1h", "reason": "it is money" }))
}

fn resilience(config: &str) -> Resilience {
    Resilience::seeded(ResilienceConfig::from_json(config).unwrap(), 1).unwrap()
}

/// One try a call.
fn single() -> Resilience {
    resilience(r#"{ "skill": { "default": { "retry": "off" } } }"#)
}

fn reason<T>(outcome: &Result<T>) -> Option<Reason> {
    outcome.as_ref().err()?.refusal().map(Refusal::reason)
}

/// Kind, and whether it happened.
fn told<T: std::fmt::Debug>(outcome: Result<T>) -> (ErrorKind, Happened) {
    let e = outcome.unwrap_err();
    (e.kind(), e.happened())
}

/// A word in the context of an error.
fn word(e: &Error, name: &str) -> String {
    e.context().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap()
}

/// The approval that a call is told to wait for.
fn asked(outcome: Result<SkillAnswer>) -> String {
    let e = outcome.unwrap_err();
    assert_eq!((e.kind(), e.is_exhausted()), (ErrorKind::ApprovalRequired, false), "{e}");
    word(&e, "approval")
}

async fn says(stack: &SkillStack, who: &str, id: &str, vote: Vote) -> Result<ApprovalState> {
    stack.decide_approval(&person(who), id, vote).await
}

async fn approval(stack: &SkillStack, id: &str) -> Approval {
    stack.approvals(&tenant()).get(id).await.unwrap().unwrap()
}
