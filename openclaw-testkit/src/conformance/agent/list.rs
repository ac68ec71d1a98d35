//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of an agent, each as a test of its own.
///
/// Takes an expression that makes an
/// [`AgentHarness`](crate::conformance::agent::AgentHarness). Two agents in one file need a
/// module each.
#[macro_export]
macro_rules! agent_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::agent_laws!($harness);
        $crate::__law_summary! { agent $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__agent_laws! { __law_tests { agent { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __agent_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            answer: Nothing an_id_never_changes,
            answer: Nothing an_agent_answers,
            answer: Nothing odd_words_are_no_panic,
            answer: Nothing odd_sessions_are_no_panic,
            answer: Steady the_same_turn_has_the_same_answer,
            answer: Steady turns_side_by_side_keep_their_answers,
            answer: Steady memory_lives_in_the_session,
            calls: Calls operations_have_lawful_names,
            calls: Calls an_operation_is_asked_for_with_one_input,
            calls: Skills only_skills_that_exist_are_called,
            calls: SteadyCalls a_later_attempt_asks_for_the_same,
            calls: Calls a_failed_call_is_no_panic,
            calls: Calls a_failing_skill_is_not_asked_for_ever,
            calls: Calls a_started_job_is_no_panic,
            calls: Nothing a_turn_begins_when_it_is_polled,
            calls: Calls a_dropped_turn_asks_for_nothing_more,
            calls: Calls a_silent_skill_holds_up_no_other_turn,
            calls: Suspends a_suspended_turn_comes_back,
            calls: Calls errors_quote_no_words,
        }
    };
}
