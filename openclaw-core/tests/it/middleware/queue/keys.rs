//! Calls that come again under their key.

use openclaw_core::IdempotencyKey;

use super::*;

fn keyed(effect: Effect, n: u64, operation: &str) -> Call<Arc<Value>> {
    let key = IdempotencyKey::builder(operation).build().unwrap();
    call(effect, n).with_key(key)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_again_under_its_key_is_the_same_job() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).depth(2).build();
    let first = queue.submit(keyed(Effect::AtMostOnce, 1, "pay")).await.unwrap();
    let other = queue.submit(keyed(Effect::AtMostOnce, 1, "pay.again")).await.unwrap();
    assert_ne!(first, other);
    let again = queue.submit(keyed(Effect::AtMostOnce, 1, "pay")).await;
    assert_eq!(again.unwrap(), first, "known, though the queue is full");
    let running = start(&queue);
    queue.wait(&acme(), first).await.unwrap();
    queue.wait(&acme(), other).await.unwrap();
    let behind = queue.submit(keyed(Effect::AtMostOnce, 1, "pay")).await.unwrap();
    assert_eq!(queue.wait(&acme(), behind).await.unwrap(), SkillAnswer::done(json!(1)));
    assert_eq!((behind, bench.seen().len()), (first, 2), "two keys, two calls");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_request_is_refused() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let job = queue.submit(keyed(Effect::AtMostOnce, 1, "pay")).await.unwrap();
    let e = queue.submit(keyed(Effect::AtMostOnce, 2, "pay")).await.unwrap_err();
    assert_eq!(e.refusal().map(|r| r.reason()), Some(Reason::KeyReused));
    assert_eq!(e.happened(), Happened::No);
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap();
    sleep(5 * S).await;
    assert_eq!(bench.seen(), [1]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_key_is_known_as_long_as_its_result() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).retention(60 * S).build();
    let job = queue.submit(keyed(Effect::Pure, 1, "read")).await.unwrap();
    sleep(3600 * S).await;
    assert_eq!(queue.submit(keyed(Effect::Pure, 1, "read")).await.unwrap(), job, "it waits still");
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap();
    sleep(61 * S).await;
    let next = queue.submit(keyed(Effect::Pure, 2, "read")).await.unwrap();
    assert_ne!(next, job);
    queue.wait(&acme(), next).await.unwrap();
    assert_eq!(bench.seen(), [1, 2]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_key_belongs_to_its_tenant_and_its_queue() {
    let bench = Bench::new();
    let leaf = || bench.leaf(async |n, _| fine(n));
    let queue = bench.builder(leaf()).build();
    let beside =
        RequestQueue::builder("erp", Arc::clone(&bench.store), bench.env.clone(), leaf()).build();
    let call = keyed(Effect::AtMostOnce, 1, "pay");
    let beta = Context::new(TenantId::new("beta").unwrap());
    let jobs = [
        queue.submit(call.clone()).await.unwrap(),
        queue.submit(call.clone().with_context(beta)).await.unwrap(),
        beside.submit(call).await.unwrap(),
    ];
    assert!(jobs[0] != jobs[1] && jobs[1] != jobs[2] && jobs[0] != jobs[2]);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_submit_at_once_under_a_key_one_makes_the_job() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let again = || queue.submit(keyed(Effect::AtMostOnce, 1, "pay"));
    let (a, b) = tokio::join!(again(), again());
    assert_eq!(a.unwrap(), b.unwrap());
    let running = start(&queue);
    sleep(5 * S).await;
    assert_eq!(bench.seen(), [1]);
    running.abort();
}
