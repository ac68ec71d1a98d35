//! Readiness: asked for, waited for, and used by the one who asked.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Trial;
use crate::conformance::run::together;

const SOON: Duration = Duration::from_secs(3_600);

/// The inner service is called only when it said that it is ready.
///
/// A clone of a ready service is not ready: whoever clones the inner service in `call` has
/// to call the one that was asked, and to keep the clone.
pub async fn an_unready_service_is_never_called(trial: &Trial<'_>) {
    let mut stack = trial.stack();
    for n in 0..5 {
        stack.ask(n).await.expect("an answer");
    }
    trial.was_ready();
}

/// A clone of a ready stack asks for itself.
pub async fn clones_share_no_readiness(trial: &Trial<'_>) {
    let mut first = trial.stack();
    first.ready().await.expect("readiness");
    let mut clone = first.clone();
    clone.ask(1).await.expect("an answer");
    first.call(2).await.0.expect("an answer");
    // As when the first one was used before it was cloned.
    first.clone().ask(3).await.expect("an answer");
    trial.was_ready();
}

/// Asking again whether it is ready changes nothing.
pub async fn asking_twice_for_readiness_changes_nothing(trial: &Trial<'_>) {
    let mut stack = trial.stack();
    for n in 0..3 {
        for _ in 0..3 {
            let ready = timeout(SOON, stack.ready()).await;
            ready.expect("it is ready no more").expect("readiness");
        }
        stack.call(n).await.0.expect("an answer");
    }
    trial.was_ready();
}

/// An inner service that takes its time to be ready is waited for.
pub async fn a_slow_readiness_is_waited_for(trial: &Trial<'_>) {
    trial.inner().state().ready_after = trial.patience() / 2;
    let mut stack = trial.stack();
    for n in 0..3 {
        let began = Instant::now();
        let answer = timeout(SOON, stack.ask(n)).await;
        // Whoever has lost its waker is polled again, and ready, when the hour is over.
        let woken = answer.is_ok() && began.elapsed() < SOON;
        assert!(woken, "nobody told it that the inner service is ready");
        answer.expect("an answer").expect("an answer");
    }
    trial.was_ready();
}

/// An inner service that can't get ready makes the stack, or its call, fail.
pub async fn a_failing_readiness_surfaces(trial: &Trial<'_>) {
    trial.inner().state().fails_to_be_ready = true;
    let failed = timeout(SOON, trial.stack().ask(1)).await;
    let e = failed.expect("it waits for a service that has failed").expect_err("it has failed");
    assert!(e.is_inner(), "the error is not the inner one: {e:?}");
    assert_eq!(trial.inner().state().heads.len(), 0, "calls of a service that has failed");
}

/// Readiness that is not used is given back, permits and all.
pub async fn a_dropped_readiness_is_given_back(trial: &Trial<'_>) {
    for _ in 0..10 {
        let clones = (0..50).map(|_| async {
            let mut clone = trial.stack();
            clone.ready().await.expect("readiness");
            clone
        });
        let ready = timeout(SOON, together(clones)).await;
        drop(ready.expect("fifty at once can't be ready: is the limit too small?"));
    }
    let answer = timeout(SOON, trial.stack().ask(1)).await;
    answer.expect("what was dropped still holds its place").expect("an answer");
}
