//! Input: what breaks the contract is refused before anything happens.

use openclaw_core::{ErrorKind, Happened};
use serde_json::{Value, json};

use super::{Trial, trial::texts};
use crate::conformance::run::quotes;

/// Input that keeps the contract is taken, and asked again it is taken again.
pub async fn validate_takes_good_input(trial: &Trial<'_>) {
    for n in 0..10 {
        for _ in 0..2 {
            trial.skill().validate(&trial.input(n)).expect("good input is taken");
        }
    }
}

/// Whatever the value, validate answers.
pub async fn validate_answers_any_value(trial: &Trial<'_>) {
    let deep = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{202e}😀"),
        json!("x".repeat(1 << 20)),
        json!([]),
        json!({}),
        json!({ "": null }),
        deep,
    ];
    for value in odd {
        // A panic or an endless loop breaks the law; either answer holds it.
        drop(trial.skill().validate(&value));
    }
}

/// Validating acts on nothing.
pub async fn validate_has_no_effect(trial: &Trial<'_>) {
    for input in trial.refused().into_iter().chain((0..3).map(|n| trial.input(n))) {
        drop(trial.skill().validate(&input));
    }
    trial.quiet().await;
    assert_eq!(trial.effects().await, 0);
}

/// Input that breaks the contract is a `VALIDATION_ERROR`, and nothing happened.
pub async fn refused_input_is_a_validation_error(trial: &Trial<'_>) {
    for (at, input) in trial.refused().iter().enumerate() {
        let e = trial.skill().validate(input).err();
        let e = e.unwrap_or_else(|| panic!("refused input {at} was taken"));
        let said = (e.kind(), e.happened());
        assert_eq!(said, (ErrorKind::ValidationError, Happened::No), "refused input {at}: {e}");
    }
}

/// A run without a validation before it refuses the same input, before any effect.
pub async fn run_refuses_what_validate_refuses(trial: &Trial<'_>) {
    for (at, input) in (0_u64..).zip(trial.refused()) {
        let e = trial.run(trial.call(at, input)).await.err();
        let e = e.unwrap_or_else(|| panic!("refused input {at} was run"));
        assert_eq!(e.happened(), Happened::No, "refused input {at}: {e}");
    }
    trial.quiet().await;
    assert_eq!(trial.effects().await, 0, "effects of refused input");
}

/// A refusal names the place, and never repeats the value.
pub async fn refusals_quote_no_input(trial: &Trial<'_>) {
    for input in trial.refused() {
        let Err(e) = trial.skill().validate(&input) else { continue };
        for text in texts(&input) {
            assert!(!quotes(&e, &text), "it quotes {text:?}: {e:?}");
        }
    }
}
