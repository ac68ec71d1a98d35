//! What every list of laws is made into: tests, a table, a summary.

#[doc(hidden)]
#[macro_export]
macro_rules! __law_tests {
    ({ $family:ident { $harness:expr } } $($laws:tt)*) => {
        $crate::__law_tests! { { $crate $family { $harness } } $($laws)* }
    };
    // Of a crate that has traits of its own.
    ({ $home:tt $family:ident { $harness:expr } } $($room:ident: $need:ident $law:ident,)*) => {$(
        #[test]
        fn $law() {
            $home::conformance::$family::check(stringify!($law), &$harness);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __law_table {
    ({ $(#[$doc:meta])* $harness:ident, $how:ident } $($room:ident: $need:ident $law:ident,)*) => {
        $(#[$doc])*
        pub const LAWS: &[Law<dyn $harness>] = &[$(Law::new(
            stringify!($law),
            |harness| Box::pin(async move {
                let trial = Trial::new(harness).await;
                if let Some(what) = trial.missing(Need::$need) {
                    return Verdict::NotDeclared(what);
                }
                $crate::__law_run!($how $law trial);
                Verdict::Held
            }),
        ),)*];

        $(pub use self::$room::$law;)*

        /// Runs the law of this name to its end; panics when it is broken.
        ///
        /// Not from inside a runtime: the law gets one of its own. There, use [`Law::run`].
        pub fn check(law: &str, harness: &(dyn $harness + 'static)) -> Verdict {
            $crate::conformance::__check(LAWS, law, harness, harness.real_time())
        }

        /// Runs every law in turn, and tells which were run; panics at the first that is broken.
        pub fn check_all(harness: &(dyn $harness + 'static)) -> Report {
            $crate::conformance::__check_all(LAWS, harness, harness.real_time())
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __law_run {
    (awaited $law:ident $trial:ident) => {
        $law(&$trial).await
    };
    (at_once $law:ident $trial:ident) => {
        $law(&$trial)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __law_summary {
    ($family:ident $name:literal { $harness:expr }) => {
        $crate::__law_summary! { $crate $family $name { $harness } }
    };
    ($home:tt $family:ident $name:literal { $harness:expr }) => {
        #[test]
        fn conformance() {
            let report = $home::conformance::$family::check_all(&$harness);
            let folder = ::core::env!("CARGO_MANIFEST_DIR");
            $crate::conformance::snapshot(folder, $name, stringify!($family), &report);
        }
    };
}
