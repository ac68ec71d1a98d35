//! What a self-test has checked so far.

/// Counts what was checked, and says what did not hold.
#[derive(Debug, Default)]
pub struct Checks {
    done: u32,
    failed: u32,
}

impl Checks {
    /// One check; `seen` is shown when it does not hold.
    #[allow(clippy::print_stdout, reason = "a self-test is a program for people")]
    pub fn that(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        self.done += 1;
        if holds {
            println!("ok    {what}");
        } else {
            self.failed += 1;
            println!("FAIL  {what}: {seen:?}");
        }
    }

    /// How many there were.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.done
    }

    /// Did all of them hold?
    #[must_use]
    pub const fn all_hold(&self) -> bool {
        self.failed == 0
    }
}
