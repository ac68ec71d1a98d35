//! Calls that wait in the store: order, bounds, pace, ends.

mod budgets;
mod clocks;
mod crash;
mod ends;
mod faults;
mod keys;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{
    Call, Context, Effect, Env, Error, ErrorKind, Happened, Reason, TenantId,
    middleware::{JobId, RateLimitLayer, RequestQueue, RequestQueueBuilder},
    skill::{SkillAnswer, SkillManifest},
    store::{Key, MemoryStore, Op, SharedStore, StateStore as _, StateStoreExt as _, Txn},
};
use openclaw_testkit::env::test_env;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{Layer, util::BoxCloneSyncService};

const S: Duration = Duration::from_secs(1);

type Leaf = BoxCloneSyncService<Call<Arc<Value>>, SkillAnswer, Error>;
/// What the service saw: the payload, the call's key, the time since the start.
type Seen = Arc<Mutex<Vec<(u64, String, Duration)>>>;

struct Bench {
    env: Env,
    store: SharedStore,
    seen: Seen,
    began: Instant,
}

impl Bench {
    fn new() -> Self {
        let env = test_env(7);
        let store = Arc::new(MemoryStore::new(env.clock()));
        Self { env, store, seen: Seen::default(), began: Instant::now() }
    }

    /// A service that answers by `f` of the payload and the number of the call.
    fn leaf<F, A>(&self, f: F) -> Leaf
    where
        F: Fn(u64, usize) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<SkillAnswer, Error>> + Send + 'static,
    {
        let (seen, began) = (Arc::clone(&self.seen), self.began);
        Leaf::new(tower::service_fn(move |call: Call<Arc<Value>>| {
            let n = call.payload().as_u64().unwrap();
            let mut seen = seen.lock().unwrap();
            seen.push((n, call.key().unwrap().to_string(), began.elapsed()));
            f(n, seen.len())
        }))
    }

    fn builder(&self, leaf: Leaf) -> RequestQueueBuilder<Leaf> {
        RequestQueue::builder("crm", Arc::clone(&self.store), self.env.clone(), leaf)
    }

    fn seen(&self) -> Vec<u64> {
        self.seen.lock().unwrap().iter().map(|(n, ..)| *n).collect()
    }
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn call(effect: Effect, n: u64) -> Call<Arc<Value>> {
    let manifest = SkillManifest::new("crm.put".parse().unwrap(), "1.0.0").effect(effect);
    Call::skill(Context::new(acme()), &manifest, Arc::new(json!(n)))
}

fn start(queue: &RequestQueue<Leaf>) -> JoinHandle<()> {
    let queue = queue.clone();
    tokio::spawn(async move { queue.run().await })
}

async fn submit(
    queue: &RequestQueue<Leaf>,
    effect: Effect,
    numbers: std::ops::Range<u64>,
) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for n in numbers {
        jobs.push(queue.submit(call(effect, n)).await.unwrap());
    }
    jobs
}

fn fine(n: u64) -> Result<SkillAnswer, Error> {
    Ok(SkillAnswer::done(json!(n)))
}

#[tokio::test(start_paused = true)]
async fn jobs_run_in_their_order_and_are_answered() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).in_flight(1).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..100).await;
    let running = start(&queue);
    for (n, job) in jobs.iter().enumerate() {
        assert_eq!(queue.wait(&acme(), *job).await.unwrap(), SkillAnswer::done(json!(n)));
    }
    assert_eq!(bench.seen(), (0..100).collect::<Vec<_>>());
    queue.drain();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_a_newer_program_wrote_is_left_to_it() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).in_flight(1).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..3).await;
    let prefix = Key::of(&acme(), "jb").prefix();
    let (key, entry) = bench.store.scan_all(prefix).await.unwrap().remove(0);
    let newer = [&[entry.value[0] + 1], &entry.value[1..]].concat();
    let put = Txn::new("newer").op(Op::put(key.clone(), newer.clone()));
    bench.store.commit(put).await.unwrap();
    let running = start(&queue);
    for (n, job) in jobs.iter().enumerate().skip(1) {
        assert_eq!(queue.wait(&acme(), *job).await.unwrap(), SkillAnswer::done(json!(n)));
    }
    assert_eq!(bench.seen(), [1, 2], "others go on");
    assert_eq!(bench.store.get(&key).await.unwrap().unwrap().value, newer);
    let e = queue.wait(&acme(), jobs[0]).await.unwrap_err();
    assert!(e.message().contains("jobs"), "{e}");
    queue.drain();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_until_a_job_ends() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).depth(2).build();
    let jobs = submit(&queue, Effect::Pure, 0..2).await;
    let e = queue.submit(call(Effect::Pure, 2)).await.unwrap_err();
    assert_eq!(e.refusal().map(|r| r.reason()), Some(Reason::Overloaded));
    assert_eq!(e.happened(), Happened::No);
    let running = start(&queue);
    queue.wait(&acme(), jobs[0]).await.unwrap();
    queue.wait(&acme(), jobs[1]).await.unwrap();
    submit(&queue, Effect::Pure, 3..5).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_queued_job_can_be_cancelled_and_gives_its_place_back() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).depth(1).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    queue.cancel(&acme(), job).await.unwrap();
    let e = queue.result(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Cancelled, Happened::No));
    assert_eq!(queue.cancel(&acme(), job).await.unwrap_err().kind(), ErrorKind::Conflict);
    let next = submit(&queue, Effect::AtMostOnce, 1..2).await[0];
    let running = start(&queue);
    queue.wait(&acme(), next).await.unwrap();
    assert_eq!(bench.seen(), [1]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_running_job_can_not_be_cancelled() {
    let bench = Bench::new();
    let leaf = bench.leaf(async |n, _| {
        sleep(10 * S).await;
        fine(n)
    });
    let queue = bench.builder(leaf).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    sleep(S).await;
    assert!(queue.show(&acme(), job).await.unwrap().is_running);
    assert_eq!(queue.cancel(&acme(), job).await.unwrap_err().kind(), ErrorKind::Conflict);
    queue.wait(&acme(), job).await.unwrap();
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_that_of_the_limit_and_the_order_stays() {
    let bench = Bench::new();
    let quota = openclaw_core::middleware::Quota::per_second(1.try_into().unwrap());
    let quota = quota.burst(1.try_into().unwrap());
    let leaf = RateLimitLayer::new("crm", quota).layer(bench.leaf(async |n, _| fine(n)));
    let queue = bench.builder(Leaf::new(leaf)).attempts(1).in_flight(4).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..10).await;
    let running = start(&queue);
    for job in &jobs {
        queue.wait(&acme(), *job).await.unwrap();
    }
    assert_eq!(bench.seen(), (0..10).collect::<Vec<_>>(), "a refusal costs no turn, no attempt");
    let took = bench.began.elapsed();
    assert!((9 * S..12 * S).contains(&took), "{took:?}");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_kept_while_others_go_on() {
    let bench = Bench::new();
    let leaf = bench.leaf(async |n, calls| match calls {
        1 => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(60 * S)),
        _ => fine(n),
    });
    let queue = bench.builder(leaf).in_flight(1).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..2).await;
    let running = start(&queue);
    for job in &jobs {
        queue.wait(&acme(), *job).await.unwrap();
    }
    assert_eq!(bench.seen(), [0, 1, 0]);
    assert!(bench.seen.lock().unwrap()[2].2 >= 60 * S);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn tenants_do_not_see_each_others_jobs() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let other = TenantId::new("beta").unwrap();
    assert_eq!(queue.result(&other, job).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(queue.cancel(&other, job).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(queue.list(&other, None, 9.try_into().unwrap()).await.unwrap().is_empty());
    assert_eq!(queue.list(&acme(), None, 9.try_into().unwrap()).await.unwrap()[0].id, job);
}
