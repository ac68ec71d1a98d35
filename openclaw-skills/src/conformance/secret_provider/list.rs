//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a provider of secrets, each as a test of its own.
///
/// Takes an expression that makes a
/// [`SecretProviderHarness`](crate::conformance::secret_provider::SecretProviderHarness). Two
/// providers in one file need a module each. With a name before it there is one more test, which
/// compares how many laws were held with the file `laws.snapshot` of the crate.
#[macro_export]
macro_rules! secret_provider_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::secret_provider_laws!($harness);
        $crate::conformance::testkit::__law_summary! { $crate secret_provider $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__secret_provider_laws! { [$crate::conformance::testkit::__law_tests] {
            $crate secret_provider { $harness }
        } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __secret_provider_laws {
    ([$($then:tt)+] $head:tt) => {
        $($then)+! {
            $head
            fetch: Nothing a_secret_is_what_was_put,
            fetch: Nothing a_secret_that_is_not_there_is_not_found,
            fetch: Nothing a_new_secret_is_seen_at_the_next_fetch,
            fetch: Nothing ids_are_told_apart,
            fetch: Nothing fetches_side_by_side_keep_their_secrets,
            fetch: Nothing a_dropped_fetch_leaves_no_trace,
            fetch: Nothing odd_ids_are_answered,
            fetch: TooLong a_secret_that_is_too_long_is_refused_whole,
            shown: Nothing nothing_shows_a_secret,
            shown: Nothing errors_show_no_secret,
            shown: Breaks a_broken_place_shows_no_secret,
            kept: Nothing a_missing_secret_is_named_by_its_reference,
            kept: Nothing a_rotated_secret_is_seen_behind_its_time,
            kept: Nothing a_refused_secret_is_read_anew_at_once,
            kept: Nothing a_secret_that_is_gone_is_not_remembered,
        }
    };
}
