//! A law of any trait, and what runs it.

use std::{fmt, pin::Pin};

use super::{Report, Verdict, run};

type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A law: its name, and how it is tried on what a harness makes.
pub struct Law<H: ?Sized + 'static> {
    name: &'static str,
    run: for<'a> fn(&'a H) -> Running<'a>,
}

impl<H: ?Sized + 'static> Law<H> {
    /// For the tables of laws, here and in crates with traits of their own.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, run: for<'a> fn(&'a H) -> Running<'a>) -> Self {
        Self { name, run }
    }
}

impl<H: ?Sized + Sync + 'static> Law<H> {
    /// Its name: that of its function.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Tries it on something new of this harness; panics when it is broken.
    pub async fn run(&self, harness: &H) -> Verdict {
        (self.run)(harness).await
    }
}

impl<H: ?Sized + 'static> fmt::Debug for Law<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Law({})", self.name)
    }
}

/// Runs the law of this name to its end.
#[doc(hidden)]
#[must_use]
pub fn check<H: ?Sized + Sync + 'static>(
    laws: &[Law<H>],
    law: &str,
    harness: &H,
    real_time: bool,
) -> Verdict {
    let found = laws.iter().find(|found| found.name == law);
    let found = found.unwrap_or_else(|| panic!("there is no law of the name {law}"));
    run::block_on(law, real_time, found.run(harness))
}

/// Runs every law in turn.
#[doc(hidden)]
#[must_use]
pub fn check_all<H: ?Sized + Sync + 'static>(
    laws: &[Law<H>],
    harness: &H,
    real_time: bool,
) -> Report {
    let mut report = Report::default();
    for law in laws {
        report.add(law.name, check(laws, law.name, harness, real_time));
    }
    report
}
