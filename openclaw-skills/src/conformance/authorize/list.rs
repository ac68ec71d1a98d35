//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a way to sign requests, each as a test of its own.
///
/// Takes an expression that makes an
/// [`AuthorizeHarness`](crate::conformance::authorize::AuthorizeHarness). Two in one file need a
/// module each. With a name before it there is one more test, which compares how many laws were
/// held with the file `laws.snapshot` of the crate.
#[macro_export]
macro_rules! authorize_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::authorize_laws!($harness);
        $crate::conformance::testkit::__law_summary! { $crate authorize $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__authorize_laws! { [$crate::conformance::testkit::__law_tests] {
            $crate authorize { $harness }
        } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __authorize_laws {
    ([$($then:tt)+] $head:tt) => {
        $($then)+! {
            $head
            sign: Nothing a_request_is_signed,
            sign: Nothing nothing_else_changes,
            sign: Nothing signing_again_adds_nothing,
            sign: Nothing a_credential_has_one_name,
            sign: Nothing callers_side_by_side_are_all_signed,
            sign: Nothing a_dropped_caller_leaves_no_trace,
            sign: Stranger a_strangers_request_is_left_alone,
            shown: Hidden what_is_added_is_not_shown,
            shown: Nothing nothing_shows_a_secret,
            shown: Empty without_credentials_there_is_an_error,
            shown: Empty errors_show_no_secret,
            refuse: Nothing a_refused_credential_is_replaced,
            refuse: Counted a_late_refusal_keeps_what_is_valid,
            refuse: Counted a_refusal_is_one_question_at_most,
            refuse: Counted many_refusals_of_one_are_one_question,
            time: Silent it_waits_no_longer_than_its_call,
            time: Silent it_ends_when_its_call_is_cancelled,
        }
    };
}
