//! Errors: honest about the effect, silent about the payload.

use std::time::Duration;

use openclaw_core::Happened;

use super::{Trial, trial::texts};
use crate::{conformance::run::quotes, remote::Behaviour};

/// Ways in which a call goes wrong, and ends.
const WRONG: [Behaviour; 4] = [
    Behaviour::LoseAnswer,
    Behaviour::FailBefore,
    Behaviour::Busy { retry_after: Duration::from_millis(10) },
    Behaviour::AnswerLate(Duration::from_millis(100)),
];

/// One run asks for one effect at most: it repeats nothing by itself.
pub async fn one_run_asks_for_one_effect(trial: &Trial<'_>) {
    for (operation, wrong) in (1..).zip(WRONG) {
        let before = trial.effects().await;
        trial.meets(wrong).await;
        drop(trial.ask(operation, operation).await);
        trial.quiet().await;
        let effects = trial.effects().await - before;
        assert!(effects <= 1, "{effects} effects of one run that met {wrong:?}");
    }
}

/// An answer means that the effect happened.
pub async fn an_answer_means_an_effect(trial: &Trial<'_>) {
    for (operation, wrong) in (1..).zip(WRONG) {
        let before = trial.effects().await;
        trial.meets(wrong).await;
        if trial.ask(operation, operation).await.is_ok() {
            assert_eq!(trial.effects().await, before + 1, "an answer behind {wrong:?}");
        }
    }
}

/// A call that surely was not made is an error, never an answer.
pub async fn an_unmade_call_is_an_error(trial: &Trial<'_>) {
    trial.meets(Behaviour::FailBefore).await;
    let e = trial.ask(1, 1).await.expect_err("the remote can't be reached");
    assert_ne!(e.happened(), Happened::Yes, "{e}");
}

/// `No` means that nothing happened, and `Yes` that something did.
pub async fn an_error_is_honest_about_the_effect(trial: &Trial<'_>) {
    for (operation, wrong) in (1..).zip(WRONG) {
        let before = trial.effects().await;
        trial.meets(wrong).await;
        let Err(e) = trial.ask(operation, operation).await else { continue };
        trial.quiet().await;
        let effects = trial.effects().await - before;
        let honest = match e.happened() {
            Happened::No => effects == 0,
            Happened::Yes => effects == 1,
            Happened::Maybe => true,
        };
        assert!(honest, "{effects} effects behind {wrong:?}, and yet {e:?}");
    }
}

/// No error quotes the input: errors end up in logs.
pub async fn errors_quote_no_input(trial: &Trial<'_>) {
    for (operation, wrong) in (1..).zip(WRONG) {
        trial.meets(wrong).await;
        let Err(e) = trial.ask(operation, operation).await else { continue };
        for text in texts(&trial.input(operation)) {
            assert!(!quotes(&e, &text), "it quotes {text:?}: {e:?}");
        }
    }
}
