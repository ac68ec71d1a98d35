//! A law must be able to fail: each flaw of a skill is caught by the laws that name it.

use std::collections::BTreeSet;

use openclaw_core::Effect;
use openclaw_testkit::{
    conformance::skill::{LAWS, check, check_all, on},
    remote::{RemoteKind, RemoteSkill},
};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_skill::{Flaw, KEYED, naive},
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::ActsBeforeItRefuses, &["run_refuses_what_validate_refuses"]),
    (Flaw::ActsTwice, &["a_run_has_one_effect", "one_run_asks_for_one_effect"]),
    (Flaw::ActsWhenWithheld, &["withheld_effects_do_not_happen"]),
    (Flaw::AnswersWithNothing, &["a_hook_finds_what_happened"]),
    (Flaw::BeginsUnpolled, &["a_run_begins_when_it_is_polled"]),
    (Flaw::ChecksThenActs, &["a_key_has_one_effect_side_by_side"]),
    (
        Flaw::DoesNothing,
        &["a_run_has_one_effect", "an_answer_means_an_effect", "an_unmade_call_is_an_error"],
    ),
    (Flaw::ErrorsQuote, &["errors_quote_no_input"]),
    (
        Flaw::ForgetsTheKey,
        &[
            "a_key_has_one_effect_however_often",
            "a_key_has_one_effect_side_by_side",
            "a_key_has_one_effect_behind_a_lost_answer",
        ],
    ),
    (Flaw::HasNoHook, &["a_declared_hook_is_there"]),
    (Flaw::HookActs, &["asking_a_hook_changes_nothing"]),
    (
        Flaw::HookForgets,
        &[
            "a_hook_finds_what_happened",
            "a_hook_finds_what_a_lost_answer_hid",
            "did_not_happen_is_said_only_when_it_is_sure",
        ],
    ),
    (Flaw::HookInvents, &["a_hook_finds_nothing_where_nothing_was_sent"]),
    (Flaw::IgnoresDeadlines, &["a_silent_remote_ends_at_the_deadline"]),
    (Flaw::KeyCoversTheInput, &["another_input_under_a_key_is_refused"]),
    (Flaw::KeyIsTheInput, &["another_operation_is_another_effect"]),
    (
        Flaw::KeyNamesTheAttempt,
        &["a_key_has_one_effect_however_often", "a_key_has_one_effect_behind_a_lost_answer"],
    ),
    (Flaw::ManifestChanges, &["a_manifest_never_changes"]),
    (Flaw::MixesAnswers, &["runs_side_by_side_keep_their_answers"]),
    (Flaw::OneAtATime, &["a_silent_call_holds_up_no_other"]),
    (Flaw::OutputIsBare, &["a_declared_output_schema_is_kept"]),
    (Flaw::PanicsAtOddValues, &["validate_answers_any_value"]),
    (Flaw::PureActs, &["a_pure_skill_has_no_effect"]),
    (Flaw::RefusalsQuote, &["refusals_quote_no_input"]),
    (Flaw::RefusesAsNotFound, &["refused_input_is_a_validation_error"]),
    (Flaw::RefusesTheSecondTime, &["validate_takes_good_input"]),
    (Flaw::RepeatsItself, &["one_run_asks_for_one_effect"]),
    (Flaw::RepeatsWhenDropped, &["a_dropped_run_leaves_one_effect_at_most"]),
    (
        Flaw::RunTakesAnything,
        &["run_refuses_what_validate_refuses", "a_declared_input_schema_is_kept"],
    ),
    (Flaw::SaysItDid, &["an_error_is_honest_about_the_effect", "an_unmade_call_is_an_error"]),
    (Flaw::SaysItDidNot, &["an_error_is_honest_about_the_effect"]),
    (Flaw::SwallowsErrors, &["an_answer_means_an_effect", "an_unmade_call_is_an_error"]),
    (Flaw::TakesAnyOutput, &["a_declared_output_schema_is_kept"]),
    (
        Flaw::TakesAnything,
        &["refused_input_is_a_validation_error", "a_declared_input_schema_is_kept"],
    ),
    (Flaw::ValidateActs, &["validate_has_no_effect"]),
    (Flaw::VersionIsAWord, &["a_manifest_is_complete"]),
];

const EFFECTS: [Effect; 5] =
    [Effect::Pure, KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce];

/// The effect that a flaw is about.
const fn effect(flaw: Flaw) -> Effect {
    match flaw {
        Flaw::PureActs => Effect::Pure,
        Flaw::AnswersWithNothing
        | Flaw::HasNoHook
        | Flaw::HookActs
        | Flaw::HookForgets
        | Flaw::HookInvents => Effect::Reconcilable,
        Flaw::ActsTwice | Flaw::RepeatsItself => Effect::AtMostOnce,
        _ => KEYED,
    }
}

#[test]
fn a_skill_without_a_flaw_holds_every_law_of_its_effect() {
    let reports = EFFECTS.map(|effect| check_all(&naive(Flaw::None, effect)));
    let held: BTreeSet<_> = reports.iter().flat_map(|report| report.held.iter()).collect();
    assert_eq!(held.len(), LAWS.len(), "together they hold every law");
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &naive(flaw, effect(flaw)))));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

fn remote(effect: Effect) -> openclaw_testkit::conformance::skill::On {
    let kind = match effect {
        Effect::Keyed { .. } => RemoteKind::Keyed,
        _ => RemoteKind::Unkeyed,
    };
    on(kind, move |remote| RemoteSkill::named("shop.order", effect, remote).unwrap())
        .answers(|n, output| output["echo"]["order"] == format!("order-{n:08}"))
}

mod a_keyed_remote_skill {
    openclaw_testkit::skill_laws!("RemoteSkill, Keyed", super::remote(super::KEYED));
}

mod a_pure_remote_skill {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("RemoteSkill, Pure", super::remote(Effect::Pure));
}

mod a_reconcilable_remote_skill {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("RemoteSkill, Reconcilable", super::remote(Effect::Reconcilable));
}

mod a_remote_skill_at_least_once {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("RemoteSkill, AtLeastOnce", super::remote(Effect::AtLeastOnce));
}

mod a_remote_skill_at_most_once {
    use openclaw_core::Effect;

    openclaw_testkit::skill_laws!("RemoteSkill, AtMostOnce", super::remote(Effect::AtMostOnce));
}
