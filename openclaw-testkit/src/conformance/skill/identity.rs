//! What a skill says about itself.

use std::time::Duration;

use openclaw_core::Effect;

use super::Trial;

/// The manifest is a fact: it never changes, whatever runs.
pub async fn a_manifest_never_changes(trial: &Trial<'_>) {
    let facts = || format!("{:?}", trial.skill().manifest());
    let before = facts();
    assert_eq!(facts(), before, "asked twice in a row");
    drop(trial.ask(1, 1).await);
    assert_eq!(facts(), before, "behind a run");
    for input in trial.refused() {
        drop(trial.skill().validate(&input));
    }
    assert_eq!(facts(), before, "behind a refusal");
}

/// The manifest has a version of three numbers, a time above zero, and schemas that are schemas.
/// Who calls others is `Pure`.
pub async fn a_manifest_is_complete(trial: &Trial<'_>) {
    let manifest = trial.skill().manifest();
    let core = manifest.version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u64>).collect();
    let version = numbers.len() == 3 && numbers.iter().all(Result::is_ok);
    assert!(version, "the version {:?} is not major.minor.patch", manifest.version);
    assert!(manifest.timeout > Duration::ZERO, "no attempt fits into no time");
    for schema in [&manifest.input, &manifest.output].into_iter().flatten() {
        assert!(schema.is_object() || schema.is_boolean(), "{schema} is no JSON Schema");
    }
    let pure = manifest.effect == Effect::Pure || manifest.calls.is_empty();
    assert!(pure, "it calls others, and is not Pure: their effects are theirs");
}

/// A skill that is declared `Reconcilable` has a hook to ask.
pub async fn a_declared_hook_is_there(trial: &Trial<'_>) {
    assert!(trial.skill().reconcile().is_some(), "the skill is Reconcilable, by whom?");
}
