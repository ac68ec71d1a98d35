//! The ledger and the whole skill stack, over a store in memory.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, Context, Effect, Env, Error, ErrorKind, IdempotencyKey, MessageId, SkillId, TenantId,
    middleware::{LedgerLayer, MarkLayer, TraceLayer, stack::Resilience},
    skill::{Skill, SkillAnswer, SkillManifest},
    store::{Guard, Key, MemoryStore, Op, SharedStore, StateStore, Txn},
};
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};

use crate::drive::Answer;

/// The layers of [`Dyn`], outermost first.
pub(crate) const DYN: [&str; 10] = [
    "trace",
    "ledger",
    "total timeout",
    "retry",
    "rate limit by tenant",
    "concurrency",
    "breaker by tenant",
    "attempt timeout",
    "dispatch mark",
    "dyn Skill",
];

/// A skill that answers what it is asked, at once.
#[derive(Debug)]
struct Echo(SkillManifest);

#[async_trait]
impl Skill for Echo {
    fn manifest(&self) -> &SkillManifest {
        &self.0
    }

    async fn run(&self, call: Call<Arc<Value>>) -> openclaw_core::Result<SkillAnswer> {
        Ok(SkillAnswer::Done(Arc::clone(call.payload())))
    }
}

/// The leaf of a static stack: it answers at once.
#[derive(Clone, Copy, Debug)]
struct Static;

impl Service<Call<Arc<Value>>> for Static {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = Answer<SkillAnswer, Error>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Arc<Value>>) -> Self::Future {
        let answer = SkillAnswer::Done(Arc::clone(call.payload()));
        Answer { answer: Some(Ok(answer)), pending: false }
    }
}

/// A skill behind `dyn`, as a service.
#[derive(Clone, Debug)]
struct Leaf(Arc<dyn Skill>);

impl Service<Call<Arc<Value>>> for Leaf {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<SkillAnswer, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Arc<Value>>) -> Self::Future {
        let skill = Arc::clone(&self.0);
        Box::pin(async move { skill.run(call).await })
    }
}

/// Calls with a key of their own, or all with the same one.
pub(crate) struct Calls {
    manifest: SkillManifest,
    context: Context,
    input: Arc<Value>,
    next: u128,
}

impl Calls {
    pub(crate) fn new(effect: Effect) -> openclaw_core::Result<Self> {
        let invalid = |_| Error::new(ErrorKind::Unclassified, "a name of the bench");
        let id = SkillId::new("bench").map_err(invalid)?;
        Ok(Self {
            manifest: SkillManifest::new(id, "1.0.0").effect(effect),
            context: Context::new(TenantId::new("acme").map_err(invalid)?),
            input: Arc::new(json!({ "order": "1042", "amount": 1999, "currency": "EUR" })),
            next: 0,
        })
    }

    pub(crate) fn of(&self, n: u128) -> Option<Call<Arc<Value>>> {
        let key = IdempotencyKey::of(MessageId::from_u128(n), "bench").ok()?;
        let call = Call::skill(self.context.clone(), &self.manifest, Arc::clone(&self.input));
        Some(call.with_key(key))
    }

    pub(crate) fn fresh(&mut self) -> Option<Call<Arc<Value>>> {
        self.next += 1;
        self.of(self.next)
    }
}

fn store(env: &Env) -> SharedStore {
    Arc::new(MemoryStore::new(env.clock()))
}

pub(crate) trait Skilled:
    Service<Call<Arc<Value>>, Response = SkillAnswer, Error = Error>
{
}

impl<S: Service<Call<Arc<Value>>, Response = SkillAnswer, Error = Error>> Skilled for S {}

/// Ledger and mark around a static leaf.
pub(crate) fn ledger() -> impl Skilled {
    let env = Env::system();
    let layer = LedgerLayer::new(store(&env), env);
    ServiceBuilder::new().layer(layer).layer(MarkLayer::new()).service(Static)
}

/// The whole skill stack over `dyn Skill`, erased once at its edge.
pub(crate) fn erased() -> BoxCloneSyncService<Call<Arc<Value>>, SkillAnswer, Error> {
    let env = Env::system();
    let id = SkillId::new("bench").unwrap_or_else(|_| unreachable!("a name of the bench"));
    let skill: Arc<dyn Skill> = Arc::new(Echo(SkillManifest::new(id, "1.0.0")));
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new(env.clone()))
        .layer(LedgerLayer::new(store(&env), env))
        .layer(Resilience::default().skill("bench"))
        .layer(MarkLayer::new())
        .service(Leaf(skill));
    BoxCloneSyncService::new(service)
}

/// The three transactions of a first run alone: rows of the same size, guards and all.
#[derive(Debug)]
pub(crate) struct Commits {
    store: SharedStore,
    tenant: TenantId,
    row: bytes::Bytes,
}

impl Commits {
    pub(crate) fn new(calls: &Calls) -> Self {
        let env = Env::system();
        // As long as the rows of the ledger: target, fingerprint, request, state and answer.
        let row = bytes::Bytes::from(vec![7; 160]);
        Self { store: store(&env), tenant: calls.context.tenant().clone(), row }
    }

    /// Claim with its lease, dispatch, settle.
    pub(crate) async fn run(&self, n: u128) -> Option<()> {
        let key = |table| Key::of(&self.tenant, table).id(MessageId::from_u128(n)).build();
        let (effect, lease, audit) = (key("fx"), key("le"), Key::of(&self.tenant, "au").prefix());
        // Each row is made anew, as encoding it would.
        let row = || bytes::Bytes::copy_from_slice(&self.row);
        let put = |key: &Key| Op::put(key.clone(), row());
        let claim = Txn::new("claim")
            .guard(Guard::Absent(effect.clone()))
            .guard(Guard::Absent(lease.clone()))
            .op(put(&effect))
            .op(put(&lease))
            .op(Op::append(audit.clone(), row()));
        let version = applied(&self.store, claim).await?;
        let dispatch = Txn::new("dispatch")
            .guard(Guard::VersionIs(lease.clone(), version))
            .guard(Guard::VersionIs(effect.clone(), version))
            .op(put(&effect));
        let version_2 = applied(&self.store, dispatch).await?;
        let settle = Txn::new("settle")
            .guard(Guard::VersionIs(lease.clone(), version))
            .guard(Guard::VersionIs(effect.clone(), version_2))
            .op(put(&effect))
            .op(put(&lease))
            .op(Op::append(audit, row()));
        applied(&self.store, settle).await.map(|_| ())
    }
}

async fn applied(store: &SharedStore, txn: Txn) -> Option<openclaw_core::store::Version> {
    match store.commit(txn).await.ok()? {
        openclaw_core::store::Commit::Applied(applied) => Some(applied.version),
        openclaw_core::store::Commit::Conflict(_) => None,
    }
}
