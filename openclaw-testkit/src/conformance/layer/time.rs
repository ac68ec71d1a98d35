//! Time: a slow inner service is waited for, without noise, until nobody waits any more.

use std::time::Duration;

use tokio::time::timeout;

use super::Trial;

/// An inner call that takes its time, within the declared patience, is waited for.
pub async fn a_slow_answer_is_waited_for(trial: &Trial<'_>) {
    trial.inner().state().answer_after = trial.patience();
    trial.stack().ask(1).await.expect("an answer");
}

/// Waiting costs a few polls, not a loop.
pub async fn waiting_is_not_polling(trial: &Trial<'_>) {
    trial.inner().state().answer_after = trial.patience();
    let mut stack = trial.stack();
    stack.ready().await.expect("readiness");
    let (answer, polls) = stack.call(1).await;
    answer.expect("an answer");
    assert!(polls <= 30, "{polls} polls to wait for one answer");
}

/// A slow call holds up no other.
pub async fn a_slow_call_holds_up_no_other(trial: &Trial<'_>) {
    trial.inner().state().answer_after = trial.patience();
    let mut slow = trial.stack();
    slow.ready().await.expect("readiness");
    let running = slow.call(1);
    let other = async {
        tokio::time::sleep(trial.patience() / 8).await;
        trial.inner().state().answer_after = Duration::ZERO;
        let answer = timeout(trial.patience() / 2, trial.stack().ask(2)).await;
        answer.expect("it waits for a call that is slow").expect("an answer");
    };
    let ((answer, _), ()) = tokio::join!(running, other);
    answer.expect("the slow answer");
}

/// A call that nobody waits for is dropped all the way down, and makes no more calls.
pub async fn a_dropped_call_drops_the_inner_call(trial: &Trial<'_>) {
    trial.inner().state().answer_after = trial.patience() * 100;
    let mut stack = trial.stack();
    stack.ready().await.expect("readiness");
    drop(timeout(trial.patience() / 2, stack.call(1)).await);
    let open = trial.inner().state().open;
    assert_eq!(open, 0, "inner calls that go on for nobody");
    let made = trial.inner().state().heads.len();
    tokio::time::sleep(trial.patience() * 10).await;
    let more = trial.inner().state().heads.len() - made;
    assert_eq!(more, 0, "inner calls behind the drop");
}
