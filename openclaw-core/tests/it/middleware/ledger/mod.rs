//! One effect a key: across callers, processes, failing stores and dropped calls.

mod doubts;
mod leases;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, IdempotencyKey, Reason, Refusal, Result,
    TenantId,
    channel::{Intent, Reconcile, Reconciled},
    middleware::{Approved, LedgerBuilder, LedgerFuture, LedgerLayer, MarkLayer, RetryLayer},
    records::{Approval, Approvals, AuditAction, AuditLog},
    skill::{SkillAnswer, SkillManifest},
    store::{Key, MemoryStore, Op, SharedStore, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::{
    env::test_env,
    fault::{Fault, FaultStore, Plan},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(3600) };
const EFFECTS: [Effect; 4] = [Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable, KEYED];

type Payload = Arc<Value>;
type Builder = LedgerBuilder<Payload, SkillAnswer>;
type Made = LedgerLayer<Payload, SkillAnswer>;

fn call(effect: Effect, order: &str) -> Call<Payload> {
    let manifest = SkillManifest::new("shop.refund".parse().unwrap(), "1.0.0").effect(effect);
    let context = Context::new(TenantId::new("acme").unwrap());
    let key = IdempotencyKey::builder("shop.refund").part(order).build().unwrap();
    Call::skill(context, &manifest, Arc::new(json!({ "order": order }))).with_key(key)
}

/// A `Reconcilable` call of a caller with a deadline.
fn hurried(order: &str, within: Duration) -> Call<Payload> {
    let call = call(Effect::Reconcilable, order);
    let context = call.context().clone().with_deadline(Instant::now() + within);
    call.with_context(context)
}

/// A remote that counts its effects and answers by the number of the try.
#[derive(Clone)]
struct Shop {
    effects: Arc<AtomicU32>,
    tries: Arc<AtomicU32>,
    before: Duration,
    after: Duration,
    answer: Arc<dyn Fn(u32) -> Result<()> + Send + Sync>,
}

impl Shop {
    fn new(answer: impl Fn(u32) -> Result<()> + Send + Sync + 'static) -> Self {
        let (before, after) = (Duration::ZERO, Duration::ZERO);
        let answer = Arc::new(answer);
        Self { effects: Arc::default(), tries: Arc::default(), before, after, answer }
    }

    fn good() -> Self {
        Self::new(|_| Ok(()))
    }

    fn slow(mut self, before: Duration, after: Duration) -> Self {
        (self.before, self.after) = (before, after);
        self
    }

    fn effects(&self) -> u32 {
        self.effects.load(Ordering::SeqCst)
    }

    async fn take(self, _call: Call<Payload>) -> Result<SkillAnswer> {
        let n = self.tries.fetch_add(1, Ordering::SeqCst) + 1;
        sleep(self.before).await;
        let outcome = (self.answer)(n);
        if outcome.as_ref().map_or_else(Error::happened, |()| Happened::Yes) != Happened::No {
            self.effects.fetch_add(1, Ordering::SeqCst);
        }
        sleep(self.after).await;
        outcome.map(|()| SkillAnswer::done(json!(n)))
    }

    fn leaf(
        &self,
    ) -> impl Service<Call<Payload>, Response = SkillAnswer, Error = Error, Future: Send>
    + Clone
    + Send
    + use<> {
        let shop = self.clone();
        service_fn(move |call| shop.clone().take(call))
    }

    async fn ask(&self, layer: &Made, call: Call<Payload>) -> Result<SkillAnswer> {
        layer.layer(MarkLayer::new().layer(self.leaf())).oneshot(call).await
    }
}

fn store() -> SharedStore {
    Arc::new(MemoryStore::new(test_env(1).clock()))
}

fn on(store: &SharedStore, seed: u64) -> Builder {
    LedgerLayer::builder(Arc::clone(store), test_env(seed))
}

fn reason(outcome: &Result<SkillAnswer>) -> Option<Reason> {
    outcome.as_ref().err()?.refusal().map(Refusal::reason)
}

fn failure(kind: ErrorKind, happened: Happened) -> Result<()> {
    Err(Error::new(kind, "the shop says no").with_happened(happened))
}

#[tokio::test(start_paused = true)]
async fn a_done_key_is_answered_from_memory_and_from_the_store() {
    let (rows, shop) = (store(), Shop::good());
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    let first = shop.ask(&here, call(Effect::AtMostOnce, "1")).await.unwrap();
    for layer in [&here, &there, &there] {
        assert_eq!(shop.ask(layer, call(Effect::AtMostOnce, "1")).await.unwrap(), first);
    }
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_rows_a_newer_program_wrote_never_runs() {
    for (table, called) in [("ik", "effects"), ("il", "leases")] {
        let (rows, shop) = (store(), Shop::good());
        shop.ask(&on(&rows, 1).build(), call(Effect::AtMostOnce, "1")).await.unwrap();
        let prefix = Key::of(&TenantId::new("acme").unwrap(), table).prefix();
        let (key, entry) = rows.scan_all(prefix).await.unwrap().remove(0);
        let newer = [&[entry.value[0] + 1], &entry.value[1..]].concat();
        rows.commit(Txn::new("newer").op(Op::put(key.clone(), newer.clone()))).await.unwrap();
        let there = on(&rows, 2).build();
        let outcome = shop.ask(&there, call(Effect::AtMostOnce, "1")).await;
        assert_eq!(reason(&outcome), Some(Reason::NotRecorded));
        let e = outcome.unwrap_err();
        let why = std::error::Error::source(&e).unwrap().to_string();
        assert!(why.contains(called), "{why}");
        assert_eq!(rows.get(&key).await.unwrap().unwrap().value, newer);
        assert_eq!(shop.effects(), 1);
        // Other keys go on.
        shop.ask(&there, call(Effect::AtMostOnce, "2")).await.unwrap();
        assert_eq!(shop.effects(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn another_request_under_a_key_never_runs() {
    let (rows, shop) = (store(), Shop::good());
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    shop.ask(&here, call(Effect::AtMostOnce, "1")).await.unwrap();
    let other = call(Effect::AtMostOnce, "1").map(|_| Arc::new(json!("all of it")));
    for layer in [&here, &there] {
        let outcome = shop.ask(layer, other.clone()).await;
        assert_eq!(reason(&outcome), Some(Reason::KeyReused));
    }
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_flight_refuses_another_request_at_once() {
    let (rows, shop) = (store(), Shop::good().slow(S, S));
    let layer = on(&rows, 1).build();
    let other = call(Effect::AtMostOnce, "1").map(|_| Arc::new(json!("all of it")));
    let second = async {
        sleep(MS).await;
        timeout(MS, shop.ask(&layer, other)).await.unwrap()
    };
    let first = shop.ask(&layer, call(Effect::AtMostOnce, "1"));
    let (first, second) = tokio::join!(first, second);
    first.unwrap();
    assert_eq!(reason(&second), Some(Reason::KeyReused));
}

#[tokio::test(start_paused = true)]
async fn a_definite_failure_is_stored_and_told_again() {
    let (rows, shop) = (store(), Shop::new(|_| failure(ErrorKind::NotFound, Happened::No)));
    let (here, there) = (on(&rows, 1).build(), on(&rows, 2).build());
    let first = shop.ask(&here, call(Effect::AtMostOnce, "1")).await.unwrap_err();
    assert!(first.context().all(|(name, _)| name != "replayed"));
    for layer in [&here, &there] {
        let e = shop.ask(layer, call(Effect::AtMostOnce, "1")).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::NotFound, Happened::No));
        assert!(e.context().any(|pair| pair == ("replayed", "true")));
    }
    assert_eq!(shop.tries.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_surely_not_sent_may_be_tried_again_by_anybody() {
    let busy = |n| if n == 1 { failure(ErrorKind::Unavailable, Happened::No) } else { Ok(()) };
    let (rows, shop) = (store(), Shop::new(busy));
    shop.ask(&on(&rows, 1).build(), call(Effect::AtMostOnce, "1")).await.unwrap_err();
    shop.ask(&on(&rows, 2).build(), call(Effect::AtMostOnce, "1")).await.unwrap();
    assert_eq!(shop.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_between_the_layers_runs_under_one_claim() {
    let busy = |n| if n < 3 { failure(ErrorKind::Unavailable, Happened::No) } else { Ok(()) };
    let (rows, shop) = (store(), Shop::new(busy));
    let service = ServiceBuilder::new()
        .layer(on(&rows, 1).build())
        .layer(RetryLayer::default())
        .layer(MarkLayer::new())
        .service(shop.leaf());
    let answer = service.oneshot(call(Effect::AtMostOnce, "1")).await.unwrap();
    assert_eq!((answer, shop.effects()), (SkillAnswer::done(json!(3)), 1));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_under_one_key_are_one_effect() {
    let (rows, shop) = (store(), Shop::good().slow(S, S));
    let layer = on(&rows, 1).build();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (shop, layer) = (shop.clone(), layer.clone());
        asking.spawn(async move { shop.ask(&layer, call(Effect::AtMostOnce, "1")).await });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == SkillAnswer::done(json!(1))));
    assert_eq!((shop.effects(), layer.snapshot().in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_shares_the_failure_and_goes_first_when_the_first_one_is_dropped() {
    let down = |_| failure(ErrorKind::Unavailable, Happened::No);
    let (rows, shop) = (store(), Shop::new(down).slow(S, Duration::ZERO));
    let layer = on(&rows, 1).build();
    let ask = || shop.ask(&layer, call(Effect::AtMostOnce, "1"));
    let (a, b) = tokio::join!(ask(), ask());
    assert!(a.is_err() && b.is_err());
    assert_eq!(shop.tries.load(Ordering::SeqCst), 1, "the failure is shared");

    let (rows, shop) = (store(), Shop::good().slow(S, Duration::ZERO));
    let layer = on(&rows, 1).build();
    let ask = || shop.ask(&layer, call(Effect::AtLeastOnce, "1"));
    let (dropped, next) = tokio::join!(timeout(S / 2, ask()), ask());
    assert!(dropped.is_err());
    next.unwrap();
    assert_eq!(shop.effects(), 1, "the first one was dropped before its effect");
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_at_its_own_deadline() {
    let (rows, shop) = (store(), Shop::good().slow(100 * S, Duration::ZERO));
    let layer = on(&rows, 1).build();
    let first = shop.ask(&layer, call(Effect::Reconcilable, "1"));
    let second = async {
        sleep(S).await;
        let began = Instant::now();
        let outcome = shop.ask(&layer, hurried("1", 3 * S)).await;
        assert_eq!((reason(&outcome), began.elapsed()), (Some(Reason::InProgress), 3 * S));
        let e = outcome.unwrap_err();
        assert!(e.retry_after().is_some_and(|after| !after.is_zero()), "{e:?}");
    };
    let (first, ()) = tokio::join!(first, second);
    first.expect("it is not its deadline");
    let patient = shop.ask(&layer, hurried("1", S)).await;
    assert_eq!((patient.unwrap(), shop.effects()), (SkillAnswer::done(json!(1)), 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_lets_nothing_run_unrecorded() {
    for (label, effects) in [("claim", 0), ("dispatch", 0), ("settle", 1)] {
        for fault in [Fault::Fail, Fault::LoseAnswer] {
            let plan = Plan::default();
            let rows = MemoryStore::new(test_env(1).clock());
            let faulty: SharedStore = Arc::new(FaultStore::new(rows.clone(), plan.clone()));
            let shop = Shop::good();
            plan.next(label, 1, fault);
            let layer = on(&faulty, 1).build();
            let outcome = shop.ask(&layer, call(Effect::AtMostOnce, "1")).await;
            if matches!(fault, Fault::LoseAnswer) {
                outcome.expect("a lost answer is looked up");
                assert_eq!(shop.effects(), 1);
                continue;
            }
            let e = outcome.unwrap_err();
            assert_eq!(shop.effects(), effects, "{label}");
            let again = shop.ask(&layer, call(Effect::AtMostOnce, "1")).await;
            if effects == 0 {
                assert_eq!(e.refusal().map(Refusal::reason), Some(Reason::NotRecorded), "{label}");
                assert_eq!(e.happened(), Happened::No, "{label}");
                again.unwrap();
            } else {
                assert_eq!(e.happened(), Happened::Maybe);
                assert_eq!(reason(&again), Some(Reason::InDoubt));
            }
            assert_eq!(shop.effects(), 1, "{label}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_anywhere_never_has_a_second_effect_unseen() {
    for effect in EFFECTS {
        for cut in 0..14 {
            let plan = Plan::default();
            plan.every("commit", Fault::Delay(MS));
            plan.every("read", Fault::Delay(MS));
            let rows = MemoryStore::new(test_env(1).clock());
            let slow: SharedStore = Arc::new(FaultStore::new(rows, plan));
            let shop = Shop::good().slow(MS, MS);
            let layer = on(&slow, 1).build();
            drop(timeout(cut * MS + MS / 2, shop.ask(&layer, call(effect, "1"))).await);
            let before = shop.effects();
            let again = shop.ask(&layer, call(effect, "1")).await;
            let made = shop.effects();
            match effect {
                Effect::AtLeastOnce | Effect::Keyed { .. } => {
                    again.unwrap();
                    assert!((1..=2).contains(&made), "{effect:?} cut at {cut} ms");
                }
                _ if again.is_ok() => assert_eq!(made, 1, "{effect:?} cut at {cut} ms"),
                _ => {
                    assert_eq!(reason(&again), Some(Reason::InDoubt), "{effect:?} at {cut} ms");
                    assert_eq!(made, before, "{effect:?} cut at {cut} ms");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_consumed_by_its_claim_and_a_replay_needs_none() {
    let (rows, shop) = (store(), Shop::good());
    let tenant = TenantId::new("acme").unwrap();
    let approvals = Approvals::new(Arc::clone(&rows), tenant);
    let digest_of = |call: &Call<Payload>| {
        Approval::digest_of(call.context().tenant(), "shop.refund", "1.0.0", call.payload())
    };
    let digest = digest_of(&call(Effect::AtMostOnce, "1"));
    let approved = move |call: &Call<Payload>| Some(Approved::new("a-1", digest_of(call)));
    let layer = || on(&rows, 1).approvals(approved).build();
    let refused = shop.ask(&layer(), call(Effect::AtMostOnce, "1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ApprovalRequired);
    let until = test_env(1).now().after(3600 * S);
    approvals.grant("a-1", &Approval::granted(digest, "ann", until)).await.unwrap();
    let first = shop.ask(&layer(), call(Effect::AtMostOnce, "1")).await.unwrap();
    let again = shop.ask(&layer(), call(Effect::AtMostOnce, "1")).await.unwrap();
    assert_eq!((shop.effects(), again), (1, first));
    let other = shop.ask(&layer(), call(Effect::AtMostOnce, "2")).await.unwrap_err();
    assert_eq!((other.kind(), shop.effects()), (ErrorKind::ApprovalRequired, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_without_a_claim() {
    let (rows, shop) = (store(), Shop::good());
    let bare = MarkLayer::new().layer(shop.leaf());
    let outcome = bare.clone().oneshot(call(Effect::AtMostOnce, "1")).await;
    assert_eq!(reason(&outcome), Some(Reason::NotRecorded));
    let manifest = SkillManifest::new("shop.refund".parse().unwrap(), "1.0.0");
    let context = Context::new(TenantId::new("acme").unwrap());
    let nameless = Call::skill(context, &manifest, Arc::default());
    let outcome = shop.ask(&on(&rows, 1).build(), nameless).await;
    assert_eq!((reason(&outcome), shop.effects()), (Some(Reason::NotRecorded), 0));
    bare.oneshot(call(Effect::Pure, "1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_keys_leave_only_what_is_recalled() {
    let (rows, shop) = (store(), Shop::good());
    let layer = on(&rows, 1).recall(100).in_flight(1).build();
    for n in 0..2_000 {
        shop.ask(&layer, call(Effect::AtMostOnce, &n.to_string())).await.unwrap();
    }
    let full = layer.snapshot();
    assert_eq!((full.in_flight, full.recalled, shop.effects()), (0, 100, 2_000));
    let slow = shop.slow(S, S);
    let ask = |order| slow.ask(&layer, call(Effect::AtMostOnce, order));
    let began = Instant::now();
    let (first, second) = tokio::join!(ask("a"), ask("b"));
    first.unwrap();
    assert_eq!(reason(&second), Some(Reason::Overloaded));
    assert!(began.elapsed() < 3 * S);
}

/// Opens a claim around each call, a new one each time; readiness goes straight through.
#[derive(Clone)]
struct Claiming<S>(S);

impl<S> Service<Call<Payload>> for Claiming<S>
where
    S: Service<Call<Payload>, Response = SkillAnswer, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = SkillAnswer;
    type Error = Error;
    type Future = LedgerFuture<SkillAnswer>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, call: Call<Payload>) -> Self::Future {
        let clone = self.0.clone();
        let ready = Arc::new(Mutex::new(Some(std::mem::replace(&mut self.0, clone))));
        let once = service_fn(move |call| {
            let mut ready = ready.lock().unwrap().take().expect("one try a claim");
            ready.call(call)
        });
        on(&store(), 1).build().layer(once).call(call)
    }
}

mod laws {
    use openclaw_testkit::{conformance::layer, layer_laws};

    use super::*;

    layer_laws!(
        "Ledger, Mark",
        layer::on::<Call<Payload>, _>(|| {
            let both = ServiceBuilder::new().layer(on(&store(), 1).build());
            both.layer(MarkLayer::new()).into_inner()
        })
        .replays()
    );
}

mod laws_of_mark {
    use openclaw_testkit::{conformance::layer, layer_laws};
    use tower::layer::layer_fn;

    use super::*;

    layer_laws!(
        "Mark",
        layer::on::<Call<Payload>, _>(|| {
            let claimed = ServiceBuilder::new().layer(layer_fn(Claiming));
            claimed.layer(MarkLayer::new()).into_inner()
        })
    );
}
