//! What every table of flaws must say: each flaw is caught, each law catches one.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Flaws, each with laws that must catch it.
pub(crate) type Caught<F> = [(F, &'static [&'static str])];

/// Does this run to its end without a panic?
pub(crate) fn holds<T>(check: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_ok()
}

/// Every flaw is caught by each law that names it.
pub(crate) fn every_flaw_is_caught<F: Copy + Debug>(
    caught: &Caught<F>,
    holds: impl Fn(&str, F) -> bool,
) {
    let missed: Vec<_> = caught
        .iter()
        .flat_map(|(flaw, laws)| laws.iter().map(move |law| (*flaw, *law)))
        .filter(|(flaw, law)| holds(law, *flaw))
        .collect();
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// Every law is named by a flaw, and every name is a law's.
pub(crate) fn every_law_catches_a_flaw<F>(
    caught: &Caught<F>,
    laws: impl Iterator<Item = &'static str>,
) {
    let named: BTreeSet<&str> = caught.iter().flat_map(|(_, laws)| laws.iter().copied()).collect();
    let laws: BTreeSet<&str> = laws.collect();
    let idle: Vec<_> = laws.difference(&named).collect();
    assert!(idle.is_empty(), "no flaw is caught by {idle:?}");
    let unknown: Vec<_> = named.difference(&laws).collect();
    assert!(unknown.is_empty(), "no such laws: {unknown:?}");
}
