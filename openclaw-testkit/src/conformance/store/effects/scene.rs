//! A scene of one effect: rows, a clock, a remote that counts, and processes that come and die.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context as Cx, Poll},
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Env, Error, IdempotencyKey, Reason, Refusal, Result, TenantId,
    channel::{Intent, Reconcile, Reconciled},
    middleware::{LedgerLayer, MarkLayer},
    skill::{Skill, SkillAnswer},
    store::{SharedStore, StateStore},
};
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    env::{ManualClock, SeededRng},
    fault::{Fault, FaultStore, Plan},
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};

/// The lease of a claim, and what is surely behind it.
pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const KEYED: Effect = Effect::Keyed { retention: HOUR };

/// Where a process dies: a commit's label, and before or behind it.
pub(super) type Point = (&'static str, Fault);

/// Dispatched, and the effect is not made.
pub(super) const BEFORE_THE_EFFECT: Point = ("dispatch", Fault::CrashAfter);
/// The effect is made, and not recorded.
pub(super) const BEHIND_THE_EFFECT: Point = ("settle", Fault::CrashBefore);

pub(super) type Payload = Arc<Value>;
pub(super) type Answer = Result<SkillAnswer>;

pub(super) struct Scene<'a> {
    pub(super) store: SharedStore,
    pub(super) clock: &'a ManualClock,
    pub(super) remote: CountingRemote,
    effect: Effect,
    order: String,
    /// What the owner of a reconcilable effect says; it looks the effect up when it is `None`.
    pub(super) says: Option<Reconciled>,
    pub(super) retention: Duration,
}

impl<'a> Scene<'a> {
    /// One effect of this class, under a key of its own.
    pub(super) fn new(
        store: &Arc<dyn StateStore>,
        clock: &'a ManualClock,
        effect: Effect,
        order: impl Into<String>,
    ) -> Self {
        let kind = if effect.is_keyed() { RemoteKind::Keyed } else { RemoteKind::Unkeyed };
        Self {
            store: Arc::clone(store),
            clock,
            remote: CountingRemote::new(kind),
            effect,
            order: order.into(),
            says: None,
            retention: DAY,
        }
    }

    /// A process on the same rows. Each has a number.
    pub(super) fn process(&self, number: u64) -> Process {
        let plan = Plan::default();
        let store = FaultStore::new(Arc::clone(&self.store), plan.clone());
        let env = Env::new(self.clock.clone(), SeededRng::new(number));
        let skill = RemoteSkill::named("shop.refund", self.effect, self.remote.clone());
        let skill = skill.expect("a name");
        let ledger = LedgerLayer::builder(Arc::new(store), env);
        let ledger = ledger.lease(LEASE).retention(self.retention);
        let hooked = ledger.reconcile(Owner { skill: skill.clone(), says: self.says.clone() });
        Process { plan, layer: hooked.build(), leaf: Leaf(skill) }
    }

    pub(super) fn call(&self) -> Call<Payload> {
        self.call_with(json!({ "order": self.order }))
    }

    /// A call under the same key with this payload.
    pub(super) fn call_with(&self, payload: Value) -> Call<Payload> {
        let skill = RemoteSkill::named("shop.refund", self.effect, self.remote.clone());
        let skill = skill.expect("a name");
        Call::skill(Context::new(tenant()), skill.manifest(), Arc::new(payload))
            .with_key(self.key())
    }

    pub(super) fn key(&self) -> IdempotencyKey {
        let key = IdempotencyKey::builder("shop.refund").part(&self.order).build();
        key.expect("a key")
    }

    pub(super) fn effects(&self) -> u64 {
        self.remote.effects_total()
    }

    /// What is recorded; `None` when nothing is, or when it counts no more.
    pub(super) async fn state(&self) -> Option<&'static str> {
        let record = self.process(0).layer.record(&tenant(), &self.key()).await;
        record.expect("a record").map(|record| record.state.name())
    }

    /// Lets the first process die at this point, and its lease run out.
    pub(super) async fn dies_at(&self, (label, fault): Point) {
        let process = self.process(1);
        process.plan.nth(label, 1, fault);
        let outcome = process.asks(self.call()).await;
        assert!(outcome.is_none(), "{label}: the process lived on: {outcome:?}");
        self.clock.advance(LEASE + Duration::from_secs(1));
    }

    /// The next process asks again.
    pub(super) async fn asks_again(&self) -> Answer {
        self.process(2).asks(self.call()).await.expect("a process that lives")
    }
}

pub(super) fn tenant() -> TenantId {
    TenantId::new("acme").expect("a tenant")
}

/// Why the ledger refused.
pub(super) fn reason(answer: &Answer) -> Option<Reason> {
    answer.as_ref().err()?.refusal().map(Refusal::reason)
}

/// One process: its faults, and its stack around the remote.
pub(super) struct Process {
    pub(super) plan: Plan,
    pub(super) layer: LedgerLayer<Payload, SkillAnswer>,
    leaf: Leaf,
}

impl Process {
    /// Asks for the effect; `None` when the process dies meanwhile.
    pub(super) async fn asks(&self, call: Call<Payload>) -> Option<Answer> {
        let mut stack = self.layer.layer(MarkLayer::new().layer(self.leaf.clone()));
        let running = async {
            poll_fn(|cx| stack.poll_ready(cx)).await?;
            stack.call(call).await
        };
        tokio::select! {
            biased;
            () = self.plan.power().lost() => None,
            answer = running => Some(answer),
        }
    }
}

/// The remote as the innermost service.
#[derive(Clone)]
struct Leaf(RemoteSkill);

impl Service<Call<Payload>> for Leaf {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Cx<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Payload>) -> Self::Future {
        let skill = self.0.clone();
        Box::pin(async move { skill.run(call).await })
    }
}

/// The owner of an effect, who may not be able to tell, or not yet.
#[derive(Debug)]
struct Owner {
    skill: RemoteSkill,
    says: Option<Reconciled>,
}

#[async_trait::async_trait]
impl Reconcile for Owner {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        match &self.says {
            Some(said) => Ok(said.clone()),
            None => Reconcile::reconcile(&self.skill, intent).await,
        }
    }
}
