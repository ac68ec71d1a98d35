//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a tower layer, each as a test of its own.
///
/// Takes an expression that makes a
/// [`LayerHarness`](crate::conformance::layer::LayerHarness). Two layers in one file need a
/// module each.
#[macro_export]
macro_rules! layer_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::layer_laws!($harness);
        $crate::__law_summary! { layer $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__layer_laws! { __law_tests { layer { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __layer_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            ready: Nothing an_unready_service_is_never_called,
            ready: Nothing clones_share_no_readiness,
            ready: Nothing asking_twice_for_readiness_changes_nothing,
            ready: Nothing a_slow_readiness_is_waited_for,
            ready: Nothing a_failing_readiness_surfaces,
            ready: Nothing a_dropped_readiness_is_given_back,
            pass: Nothing requests_and_answers_pass_unchanged,
            pass: Nothing an_inner_error_comes_through,
            pass: Nothing one_call_is_one_inner_call,
            pass: Nothing a_failing_call_makes_no_more_than_its_attempts,
            pass: Nothing calls_side_by_side_keep_their_answers,
            pass: Survives a_failure_is_not_the_end,
            time: Nothing a_slow_answer_is_waited_for,
            time: Nothing waiting_is_not_polling,
            time: Nothing a_slow_call_holds_up_no_other,
            time: Nothing a_dropped_call_drops_the_inner_call,
        }
    };
}
