//! How jobs end when they do not succeed, and when they are forgotten.

use openclaw_core::{
    middleware::{Delays, Jitter},
    records::EffectState,
};

use super::*;

#[tokio::test(start_paused = true)]
async fn attempts_end_and_the_last_error_is_the_result() {
    let bench = Bench::new();
    let down = bench.leaf(async |_, _| {
        Err(Error::new(ErrorKind::Unavailable, "down").with_happened(Happened::No))
    });
    let queue = bench.builder(down).attempts(3).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    let e = queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    assert_eq!(bench.seen().len(), 3);
    running.abort();
}

/// Each pause is up to three times the one before it: more than three times the base, in the end.
#[tokio::test(start_paused = true)]
async fn decorrelated_pauses_grow() {
    let bench = Bench::new();
    let down = bench.leaf(async |_, _| {
        Err(Error::new(ErrorKind::Unavailable, "down").with_happened(Happened::No))
    });
    let delays = Delays::exponential(S, 2.0, 300 * S).jitter(Jitter::Decorrelated);
    let queue = bench.builder(down).attempts(8).delays(delays).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap_err();
    let at: Vec<_> = bench.seen.lock().unwrap().iter().map(|(.., at)| *at).collect();
    assert_eq!(at.len(), 8);
    let pauses: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().any(|pause| *pause > 4 * S), "{pauses:?}");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_error_gets_no_other_attempt() {
    let bench = Bench::new();
    let spent = bench.leaf(async |_, _| {
        Err(Error::new(ErrorKind::Unavailable, "down").with_happened(Happened::No).exhausted())
    });
    let queue = bench.builder(spent).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!(bench.seen().len(), 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_parks_what_must_not_happen_twice() {
    let bench = Bench::new();
    let lost = bench.leaf(async |n, calls| match calls {
        1 => Err(Error::new(ErrorKind::Timeout, "no answer")),
        _ => fine(n),
    });
    let queue = bench.builder(lost).depth(1).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    let e = queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Conflict, Happened::Maybe));
    let full = queue.submit(call(Effect::Pure, 1)).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Overloaded, "a parked job keeps its place");

    queue.decide(&acme(), job, None).await.unwrap();
    assert_eq!(queue.wait(&acme(), job).await.unwrap(), SkillAnswer::done(json!(0)));
    assert_eq!(queue.decide(&acme(), job, None).await.unwrap_err().kind(), ErrorKind::Conflict);
    submit(&queue, Effect::Pure, 1..2).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_person_may_say_that_it_happened() {
    let bench = Bench::new();
    let lost = bench.leaf(async |_, _| Err(Error::new(ErrorKind::Timeout, "no answer")));
    let queue = bench.builder(lost).build();
    let job = submit(&queue, Effect::AtMostOnce, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap_err();
    let answer = SkillAnswer::done(json!("seen at the bank"));
    queue.decide(&acme(), job, Some(answer.clone())).await.unwrap();
    assert_eq!(queue.result(&acme(), job).await.unwrap(), Some(answer));
    assert_eq!(bench.seen().len(), 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pure_call_that_never_answers_fails_and_is_not_parked() {
    let bench = Bench::new();
    let silent = bench.leaf(async |_, _| std::future::pending().await);
    let queue = bench.builder(silent).time_limit(S).attempts(2).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    let e = queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No));
    assert_eq!(bench.seen().len(), 2);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_behind_its_deadline_is_not_sent() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).build();
    let call = call(Effect::AtMostOnce, 0);
    let soon = call.context().clone().with_deadline(Instant::now() + S);
    let job = queue.submit(call.clone().with_context(soon.clone())).await.unwrap();
    sleep(2 * S).await;
    let late = queue.submit(call.with_context(soon)).await.unwrap_err();
    assert_eq!(late.refusal().map(|r| r.reason()), Some(Reason::DeadlineTooNear));
    let running = start(&queue);
    let e = queue.wait(&acme(), job).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No));
    assert_eq!(bench.seen(), [0; 0]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_its_retention() {
    let bench = Bench::new();
    let queue = bench.builder(bench.leaf(async |n, _| fine(n))).retention(60 * S).build();
    let job = submit(&queue, Effect::Pure, 0..1).await[0];
    let running = start(&queue);
    queue.wait(&acme(), job).await.unwrap();
    sleep(59 * S).await;
    assert!(queue.result(&acme(), job).await.unwrap().is_some());
    sleep(2 * S).await;
    assert_eq!(queue.result(&acme(), job).await.unwrap_err().kind(), ErrorKind::NotFound);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_is_in_hand_and_leaves_the_rest() {
    let bench = Bench::new();
    let slow = bench.leaf(async |n, _| {
        sleep(5 * S).await;
        fine(n)
    });
    let queue = bench.builder(slow).in_flight(2).build();
    let jobs = submit(&queue, Effect::AtMostOnce, 0..4).await;
    let running = start(&queue);
    sleep(S).await;
    queue.drain();
    running.await.unwrap();
    for (job, done) in jobs.iter().zip([true, true, false, false]) {
        let job = queue.show(&acme(), *job).await.unwrap();
        assert_eq!(matches!(job.state, EffectState::Done { .. }), done);
        assert!(!job.is_running, "nothing is in flight behind a drain");
    }
}
