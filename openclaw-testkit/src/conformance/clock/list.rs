//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a clock, each as a test of its own.
///
/// Takes an expression that makes a
/// [`ClockHarness`](crate::conformance::clock::ClockHarness). Two of them in one file need a
/// module each.
#[macro_export]
macro_rules! clock_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::clock_laws!($harness);
        $crate::__law_summary! { clock $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__clock_laws! { __law_tests { clock { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __clock_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            laws: Nothing a_date_is_a_date,
            laws: Nothing dates_do_not_run_backwards,
            laws: Nothing threads_read_one_clock,
            laws: Moves time_goes_on_in_milliseconds,
        }
    };
}
