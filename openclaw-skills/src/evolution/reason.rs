//! One thing that changed, and where.

use std::fmt;

use super::Level;

/// One thing that changed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// How much it asks.
    pub level: Level,
    /// RFC 6901 pointer into the contract: `/input/properties/qty/maximum`, `/effect`, ….
    ///
    /// A `$ref` is looked through, so the place is the one that the caller sees.
    pub pointer: String,
    /// What changed, in words.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.text)
    }
}

pub(super) fn said(kept: bool, at: &str, text: &str) -> Vec<Reason> {
    if kept { Vec::new() } else { broken(at, text) }
}

pub(super) fn broken(at: &str, text: &str) -> Vec<Reason> {
    vec![Reason { level: Level::Major, pointer: at.to_owned(), text: text.to_owned() }]
}

pub(super) fn undecided(at: &str, why: &str) -> Vec<Reason> {
    broken(at, &format!("{why}, so it counts as breaking"))
}
