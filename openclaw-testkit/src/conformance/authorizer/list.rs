//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of an authorizer, each as a test of its own.
///
/// Takes an expression that makes an
/// [`AuthorizerHarness`](crate::conformance::authorizer::AuthorizerHarness). Two authorizers in
/// one file need a module each.
#[macro_export]
macro_rules! authorizer_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::authorizer_laws!($harness);
        $crate::__law_summary! { authorizer $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__authorizer_laws! { __law_tests { authorizer { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __authorizer_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            alike: Nothing the_same_call_is_decided_alike,
            alike: Nothing another_one_like_it_decides_alike,
            alike: Nothing another_attempt_is_decided_alike,
            alike: Nothing threads_decide_alike,
            alike: Nothing a_decision_waits_for_nobody,
            answer: Asks people_can_meet_the_terms,
            answer: Denies a_denial_says_why,
            odd: Nothing odd_arguments_are_decided,
            odd: Nothing odd_names_are_decided,
            odd: Nothing an_argument_does_not_approve_its_call,
            strictest: Rules a_rule_that_denies_overrides,
            strictest: Rules a_rule_that_asks_only_raises,
            strictest: Rules a_rule_that_allows_takes_no_terms_away,
        }
    };
}
