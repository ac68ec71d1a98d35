//! Keys: one effect for each, however often it is asked for.

use openclaw_core::Happened;

use super::Trial;
use crate::{conformance::run::together, remote::Behaviour};

/// A key has one effect and one answer, at every attempt.
pub async fn a_key_has_one_effect_however_often(trial: &Trial<'_>) {
    let first = trial.ask(1, 1).await.expect("an answer");
    for attempt in 2..=5 {
        let call = trial.call(1, trial.input(1));
        let context = call.context().at_attempt(attempt);
        let again = trial.run(call.with_context(context)).await.expect("the answer again");
        assert_eq!(again, first, "the answer at attempt {attempt}");
    }
    assert_eq!(trial.effects().await, 1);
}

/// A key that is asked for side by side has one effect.
pub async fn a_key_has_one_effect_side_by_side(trial: &Trial<'_>) {
    for answer in together((0..8).map(|_| trial.ask(1, 1))).await {
        // The slower ones may be refused while the first one is under way.
        drop(answer);
    }
    assert_eq!(trial.effects().await, 1);
    trial.ask(1, 1).await.expect("the answer, once all is quiet");
    assert_eq!(trial.effects().await, 1);
}

/// Another input under a used key is refused, and nothing happens.
pub async fn another_input_under_a_key_is_refused(trial: &Trial<'_>) {
    trial.ask(1, 1).await.expect("an answer");
    let e = trial.ask(1, 2).await.expect_err("the key was used for another input");
    assert_eq!(e.happened(), Happened::No, "{e}");
    assert_eq!(trial.effects().await, 1);
}

/// Asked again behind a lost answer, a key still has one effect.
pub async fn a_key_has_one_effect_behind_a_lost_answer(trial: &Trial<'_>) {
    trial.meets(Behaviour::LoseAnswer).await;
    drop(trial.ask(1, 1).await);
    let call = trial.call(1, trial.input(1));
    let context = call.context().next_attempt();
    trial.run(call.with_context(context)).await.expect("the answer");
    assert_eq!(trial.effects().await, 1);
}
