//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a source of skills, each as a test of its own.
///
/// Takes an expression that makes a
/// [`SkillSourceHarness`](crate::conformance::skill_source::SkillSourceHarness). Two sources in
/// one file need a module each.
#[macro_export]
macro_rules! skill_source_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::skill_source_laws!($harness);
        $crate::__law_summary! { skill_source $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__skill_source_laws! { __law_tests { skill_source { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __skill_source_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            listed: Nothing a_list_is_in_the_order_of_ids,
            listed: Nothing what_is_listed_is_what_is_found,
            listed: Nothing what_is_found_is_listed,
            find: Nothing a_route_meets_the_same_version_again,
            find: Nothing threads_meet_the_same_version,
            find: Nothing a_look_up_waits_for_nobody,
            find: Nothing the_version_that_was_asked_for_is_found,
            find: Nothing what_is_not_there_is_not_found,
            find: Unreadable what_is_no_version_is_a_validation_error,
            find: Nothing odd_versions_are_answered,
            find: Hook a_declared_hook_comes_along,
            exact: Nothing what_is_met_is_found_exactly,
            exact: Nothing exactly_one_version_is_found_or_none,
            exact: Begun a_call_ends_with_the_version_that_began_it,
            exact: Begun new_calls_do_not_meet_what_is_over,
        }
    };
}
