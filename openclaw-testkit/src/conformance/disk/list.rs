//! The one list of laws: tests, table and counts are made from it.

/// Runs every law of a block device, each as a test of its own.
///
/// Takes an expression that makes a
/// [`DiskHarness`](crate::conformance::disk::DiskHarness). Two of them in one file need a
/// module each.
#[macro_export]
macro_rules! disk_laws {
    ($name:literal, $harness:expr $(,)?) => {
        $crate::disk_laws!($harness);
        $crate::__law_summary! { disk $name { $harness } }
    };
    ($harness:expr $(,)?) => {
        $crate::__disk_laws! { __law_tests { disk { $harness } } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __disk_laws {
    ($then:ident $head:tt) => {
        $crate::$then! {
            $head
            laws: Nothing what_is_written_is_read_at_once,
            laws: Nothing the_last_write_counts,
            laws: Nothing a_disk_is_cut_and_lengthened_with_zeros,
            laws: Nothing behind_the_end_is_nothing_to_read,
            laws: Nothing bytes_of_no_length_are_no_error,
            laws: Nothing offsets_are_whole,
            laws: Nothing threads_write_side_by_side,
            laws: PowerLoss what_was_synced_survives,
            laws: PowerLoss a_length_that_was_synced_survives,
        }
    };
}
