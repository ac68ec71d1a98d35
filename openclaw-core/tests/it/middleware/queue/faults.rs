//! A store that does not answer, or whose answer is lost.

use openclaw_testkit::fault::{Fault, FaultStore, Plan};

use super::*;

fn faulty() -> (Bench, Plan) {
    let (mut bench, plan) = (Bench::new(), Plan::default());
    let rows = MemoryStore::new(bench.env.clock());
    bench.store = Arc::new(FaultStore::new(rows, plan.clone()));
    (bench, plan)
}

#[tokio::test(start_paused = true)]
async fn a_submit_that_the_store_refuses_leaves_nothing() {
    let (bench, plan) = faulty();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    plan.fail_next("submit", 1);
    let e = queue.submit(call(Effect::Pure, 0)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    assert!(queue.list(&acme(), None, 9.try_into().unwrap()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_answer_is_lost_is_known_in_the_end() {
    let steps = ["submit", "dispatch", "settle"];
    let lost = [Fault::LoseAnswer, Fault::LoseRequest];
    for (label, fault) in steps.into_iter().flat_map(|step| lost.map(|fault| (step, fault))) {
        let (bench, plan) = faulty();
        let queue = bench.builder(bench.leaf(async |n, _| fine(n))).depth(1).build();
        plan.next(label, 1, fault);
        let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
        let running = start(&queue);
        queue.wait(&acme(), job).await.unwrap();
        assert_eq!(bench.seen(), [0], "{label} {fault:?}");
        submit(&queue, Effect::AtMostOnce, 1..2).await;
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_costs_no_job() {
    for label in ["read", "dispatch", "settle", "renew"] {
        let (bench, plan) = faulty();
        let slow = bench.leaf(async |n, _| {
            sleep(25 * S).await;
            fine(n)
        });
        let queue = bench.builder(slow).build();
        let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
        plan.fail_next(label, 2);
        let running = start(&queue);
        let done = async {
            loop {
                match queue.wait(&acme(), job).await {
                    Err(e) if e.kind() == ErrorKind::Unavailable => sleep(S).await,
                    outcome => return outcome,
                }
            }
        };
        assert_eq!(done.await.unwrap(), SkillAnswer::done(json!(0)), "{label}");
        assert_eq!(bench.seen(), [0], "{label}");
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_behind_a_takeover_changes_nothing() {
    let (bench, plan) = faulty();
    let slow = bench.leaf(async |_, _| {
        sleep(100 * S).await;
        Ok(SkillAnswer::done(json!("late")))
    });
    let zombie = bench.builder(slow).build();
    let job = submit(&zombie, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&zombie);
    sleep(S).await;
    // The first process can't renew: its lease runs out while it works.
    plan.fail("renew");
    sleep(31 * S).await;
    plan.heal();
    let next = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let again = start(&next);
    let e = next.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Conflict, Happened::Maybe), "parked");
    sleep(100 * S).await;
    let e = next.result(&acme(), job).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "the late answer lost");
    assert_eq!(bench.seen(), [0]);
    running.abort();
    again.abort();
}
