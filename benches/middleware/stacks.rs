//! The ledger and the whole skill stack, over a store in memory.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_core::{
    Call, Context, Effect, Env, Error, ErrorKind, IdempotencyKey, MessageId, SkillId, TenantId,
    middleware::{LedgerLayer, MarkLayer, TraceLayer, stack::Resilience},
    skill::{Skill, SkillAnswer, SkillManifest},
    store::{
        Commit, Entry, Guard, Key, MemoryStore, Op, Page, Prefix, ScanQuery, SharedStore, Snapshot,
        StateStore, StoreCapabilities, StoreError, Txn,
    },
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
        Box::pin(async move { (*skill).run(call).await })
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

    /// So many, each with a key of its own, and made beforehand.
    pub(crate) fn some(&mut self, calls: u32) -> Option<std::vec::IntoIter<Call<Arc<Value>>>> {
        let first = self.next + 1;
        self.next += u128::from(calls);
        let calls: Option<Vec<_>> = (first..=self.next).map(|n| self.of(n)).collect();
        calls.map(Vec::into_iter)
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
    ledger_on(store(&env), env)
}

fn ledger_on(store: SharedStore, env: Env) -> impl Skilled {
    let layer = LedgerLayer::new(store, env);
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

/// A store that keeps every transaction it is given.
#[derive(Debug)]
struct Recording {
    store: SharedStore,
    txns: Mutex<Vec<Txn>>,
}

#[async_trait]
impl StateStore for Recording {
    fn capabilities(&self) -> StoreCapabilities {
        self.store.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.store.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.store.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.txns.lock().unwrap_or_else(PoisonError::into_inner).push(txn.clone());
        self.store.commit(txn).await
    }
}

/// The transactions of first runs alone: the very ones that a ledger wrote, on a new store.
#[derive(Debug)]
pub(crate) struct Commits {
    store: SharedStore,
    /// Kept to the end: a copy is to cost what it takes to make one, and nothing else.
    txns: Vec<Txn>,
    next: usize,
    /// What was copied in this run: a key that is named twice is made once.
    copies: Vec<(usize, Bytes)>,
}

/// Transactions of a first run: claim, dispatch, settle.
const STEPS: usize = 3;

impl Commits {
    /// What so many first runs write.
    pub(crate) fn of(calls: &mut Calls, runs: u32) -> Option<Self> {
        let env = Env::system();
        let recording = Arc::new(Recording { store: store(&env), txns: Mutex::default() });
        let shared: SharedStore = Arc::<Recording>::clone(&recording);
        let mut service = ledger_on(shared, env.clone());
        for call in calls.some(runs)? {
            crate::drive::call(&mut service, call)?;
        }
        let txns =
            std::mem::take(&mut *recording.txns.lock().unwrap_or_else(PoisonError::into_inner));
        let whole = txns.len() == STEPS * usize::try_from(runs).ok()?;
        whole.then(|| Self { store: store(&env), txns, next: 0, copies: Vec::new() })
    }

    /// Those of the next run as they were recorded; each must be applied.
    pub(crate) async fn ready(&mut self) -> Option<()> {
        for _ in 0..STEPS {
            let txn = std::mem::replace(self.txns.get_mut(self.next)?, Txn::new("taken"));
            self.next += 1;
            applied(&(*self.store).commit(txn).await)?;
        }
        Some(())
    }

    /// Those of the next run, their keys and rows in memory of their own; each must be applied.
    ///
    /// What any program pays that writes these rows by itself.
    pub(crate) async fn made(&mut self) -> Option<()> {
        self.copies.clear();
        for _ in 0..STEPS {
            let txn = copy(self.txns.get(self.next)?, &mut self.copies);
            self.next += 1;
            applied(&(*self.store).commit(txn).await)?;
        }
        Some(())
    }
}

/// The same in memory of its own, but for keys that were copied before.
fn copy(recorded: &Txn, copies: &mut Vec<(usize, Bytes)>) -> Txn {
    let mut key = |key: &Key| {
        let place = key.as_bytes().as_ptr().addr();
        let known = copies.iter().find(|(copied, _)| *copied == place);
        let copy = known.map(|(_, copy)| copy.clone()).unwrap_or_else(|| {
            let copy = Bytes::copy_from_slice(key.as_bytes());
            copies.push((place, copy.clone()));
            copy
        });
        Key::from_bytes(copy)
    };
    let mut txn = Txn::new(recorded.label);
    for guard in &recorded.guards {
        txn = txn.guard(match guard {
            Guard::Absent(absent) => Guard::Absent(key(absent)),
            Guard::Exists(present) => Guard::Exists(key(present)),
            Guard::VersionIs(versioned, version) => Guard::VersionIs(key(versioned), *version),
        });
    }
    for op in &recorded.ops {
        txn = txn.op(match op {
            Op::Put { key: put, value, .. } => Op::put(key(put), Bytes::copy_from_slice(value)),
            Op::Append { prefix, value, .. } => {
                let prefix = Bytes::copy_from_slice(prefix.as_bytes());
                Op::append(Prefix::from_bytes(prefix), Bytes::copy_from_slice(value))
            }
            other => other.clone(),
        });
    }
    txn
}

fn applied(outcome: &Result<Commit, StoreError>) -> Option<()> {
    matches!(outcome, Ok(Commit::Applied(_))).then_some(())
}
