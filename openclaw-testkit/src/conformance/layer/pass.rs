//! What goes through: requests, answers and errors, unchanged and in the right number.

use super::Trial;
use crate::conformance::run::together;

/// Requests arrive as they were given, and answers come back as they were made.
pub async fn requests_and_answers_pass_unchanged(trial: &Trial<'_>) {
    let mut stack = trial.stack();
    for n in [0, 1, 7, u64::from(u32::MAX)] {
        let answer = stack.ask(n).await.expect("an answer");
        let (head, made) = stack.expected(n);
        let arrived = trial.inner().state().heads.last().cloned();
        assert_eq!(arrived, Some(head), "request {n} as it arrived");
        assert_eq!(answer, made, "the answer to request {n}");
    }
}

/// An error of the inner service comes through: itself, or as the cause of another.
pub async fn an_inner_error_comes_through(trial: &Trial<'_>) {
    trial.inner().state().fails = true;
    let e = trial.stack().ask(1).await.expect_err("the inner service failed");
    assert!(e.is_inner(), "the error is not the inner one: {e:?}");
}

/// A call that is answered was one call of the inner service; a repeated one was none, where
/// the layer replays.
pub async fn one_call_is_one_inner_call(trial: &Trial<'_>) {
    let mut stack = trial.stack();
    for n in 1..=5_u64 {
        let request = if trial.replays() { n } else { 7 };
        let answer = stack.ask(request).await.expect("an answer");
        assert_eq!(answer, stack.expected(request).1);
        let made = trial.inner().state().heads.len();
        assert_eq!(made as u64, n, "inner calls behind {n} calls");
    }
    if trial.replays() {
        let answer = stack.ask(3).await.expect("the answer again");
        assert_eq!(answer, stack.expected(3).1);
        assert_eq!(trial.inner().state().heads.len(), 5, "a repeated call was made again");
    }
}

/// A call that fails makes as many inner calls as are declared, at most.
pub async fn a_failing_call_makes_no_more_than_its_attempts(trial: &Trial<'_>) {
    trial.inner().state().fails = true;
    drop(trial.stack().ask(1).await);
    let made = trial.inner().state().heads.len();
    let declared = trial.attempts();
    assert!(made <= declared, "{made} inner calls, {declared} are declared");
    trial.was_ready();
}

/// Clones that are called side by side get their own answers, and wait for their own readiness.
pub async fn calls_side_by_side_keep_their_answers(trial: &Trial<'_>) {
    let shortly = trial.patience() / 8;
    {
        let mut state = trial.inner().state();
        (state.ready_after, state.answer_after) = (shortly, shortly);
    }
    let ask = async |n: u64| trial.stack().ask(n).await.expect("an answer");
    let answers = together((100..150).map(ask)).await;
    let made: Vec<_> = (100..150).map(|n| trial.stack().expected(n).1).collect();
    assert_eq!(answers, made);
    trial.was_ready();
}

/// Behind a failure the stack goes on.
pub async fn a_failure_is_not_the_end(trial: &Trial<'_>) {
    let mut stack = trial.stack();
    trial.inner().state().fails = true;
    stack.ask(1).await.expect_err("the inner service failed");
    trial.inner().state().fails = false;
    stack.ask(2).await.expect("an answer");
    trial.stack().ask(3).await.expect("an answer to a clone");
    trial.was_ready();
}
