//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a skill, each as a test of its own.
///
/// Takes an expression that makes a
/// [`SkillHarness`](crate::conformance::skill::SkillHarness). Two skills in one file need a
/// module each.
#[macro_export]
macro_rules! skill_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::skill_laws!($harness);
        $crate::__law_summary! { skill $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__skill_laws! { __law_tests { skill { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __skill_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            identity: Nothing a_manifest_never_changes,
            identity: Nothing a_manifest_is_complete,
            identity: Reconcilable a_declared_hook_is_there,
            input: Nothing validate_takes_good_input,
            input: Nothing validate_answers_any_value,
            input: Nothing validate_has_no_effect,
            schema: InputSchema a_declared_input_schema_is_kept,
            schema: OutputSchema a_declared_output_schema_is_kept,
            input: Refusals refused_input_is_a_validation_error,
            input: Refusals run_refuses_what_validate_refuses,
            input: Refusals refusals_quote_no_input,
            effects: Pure a_pure_skill_has_no_effect,
            effects: Acts a_run_has_one_effect,
            effects: Acts another_operation_is_another_effect,
            effects: Acts withheld_effects_do_not_happen,
            effects: Answers runs_side_by_side_keep_their_answers,
            effects: Mishaps a_silent_call_holds_up_no_other,
            keys: Keyed a_key_has_one_effect_however_often,
            keys: Keyed a_key_has_one_effect_side_by_side,
            keys: Keyed another_input_under_a_key_is_refused,
            keys: KeyedMishaps a_key_has_one_effect_behind_a_lost_answer,
            errors: Mishaps one_run_asks_for_one_effect,
            errors: ActsMishaps an_answer_means_an_effect,
            errors: Mishaps an_unmade_call_is_an_error,
            errors: ActsMishaps an_error_is_honest_about_the_effect,
            errors: TextMishaps errors_quote_no_input,
            drops: Nothing a_run_begins_when_it_is_polled,
            drops: Acts a_dropped_run_leaves_one_effect_at_most,
            drops: Deadlines a_silent_remote_ends_at_the_deadline,
            hook: Hook a_hook_finds_what_happened,
            hook: Hook a_hook_finds_nothing_where_nothing_was_sent,
            hook: Hook asking_a_hook_changes_nothing,
            hook: HookMishaps a_hook_finds_what_a_lost_answer_hid,
            hook: HookMishaps did_not_happen_is_said_only_when_it_is_sure,
        }
    };
}
