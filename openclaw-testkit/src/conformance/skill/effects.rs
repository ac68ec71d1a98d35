//! Effects: what the manifest declares is what the remote counts.

use openclaw_core::{ErrorKind, Happened};
use tokio::time::timeout;

use super::{Trial, trial::LATE};
use crate::{
    conformance::run::{beside, together},
    remote::Behaviour,
};

/// A pure skill may run any number of times: nothing happens.
pub async fn a_pure_skill_has_no_effect(trial: &Trial<'_>) {
    for _ in 0..3 {
        trial.ask(1, 1).await.expect("an answer");
    }
    for answer in together((0..5).map(|n| trial.ask(n, n))).await {
        answer.expect("an answer");
    }
    trial.ask_withheld(9, 9).await.expect("a pure skill runs when effects are withheld");
    assert_eq!(trial.effects().await, 0, "effects of a skill that is declared Pure");
}

/// One run has one effect, and no second one follows.
pub async fn a_run_has_one_effect(trial: &Trial<'_>) {
    trial.ask(1, 1).await.expect("an answer");
    trial.quiet().await;
    assert_eq!(trial.effects().await, 1);
}

/// Another operation is another effect, even with the same input.
pub async fn another_operation_is_another_effect(trial: &Trial<'_>) {
    for operation in 1..=3 {
        trial.ask(operation, 7).await.expect("an answer");
        assert_eq!(trial.effects().await, operation, "operations so far: {operation}");
    }
}

/// A call whose effects are withheld is refused, and nothing happens.
pub async fn withheld_effects_do_not_happen(trial: &Trial<'_>) {
    let e = trial.ask_withheld(1, 1).await.expect_err("effects are withheld");
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unsupported, Happened::No), "{e}");
    trial.quiet().await;
    assert_eq!(trial.effects().await, 0, "effects that were withheld");
}

/// Runs side by side get their own answers, whoever is first.
pub async fn runs_side_by_side_keep_their_answers(trial: &Trial<'_>) {
    let slow_first = [4, 3, 2, 1];
    for slow in slow_first {
        trial.meets(Behaviour::AnswerLate(LATE * slow)).await;
    }
    let answers = together((0..8).map(|n| trial.ask(n, n))).await;
    for (n, answer) in (0..).zip(answers) {
        let answer = answer.expect("an answer");
        assert!(trial.is_answer(n, &answer), "not the answer to input {n}: {answer:?}");
    }
}

/// A call that gets no answer holds up no other.
pub async fn a_silent_call_holds_up_no_other(trial: &Trial<'_>) {
    trial.meets(Behaviour::Hang).await;
    let other = async {
        // Behind the silent one, which has met the remote by now.
        tokio::time::sleep(trial.soon() / 20).await;
        let answer = timeout(trial.soon() / 4, trial.ask(2, 2)).await;
        answer.expect("it waits for a call that is silent").expect("an answer");
    };
    beside(trial.skill().run(trial.call(1, trial.input(1))), other).await;
}
