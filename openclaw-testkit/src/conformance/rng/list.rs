//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a source of random numbers, each as a test of its own.
///
/// Takes an expression that makes a
/// [`RngHarness`](crate::conformance::rng::RngHarness). Two of them in one file need a
/// module each.
#[macro_export]
macro_rules! rng_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::rng_laws!($harness);
        $crate::__law_summary! { rng $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__rng_laws! { __law_tests { rng { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __rng_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            laws: Nothing numbers_do_not_come_again,
            laws: Nothing every_bit_is_drawn,
            laws: Nothing numbers_do_not_follow_each_other,
            laws: Nothing threads_draw_their_own_numbers,
            laws: Entropy two_sources_differ,
        }
    };
}
