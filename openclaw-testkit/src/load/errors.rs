//! What went wrong, under a few names.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible};

use openclaw_core::{Error, ErrorKind};

/// Names kept apart; what comes after them is counted as [`OTHER`].
const NAMES: usize = 64;

/// The name of all errors beyond the first 64 different ones.
pub const OTHER: &str = "other";

/// An error that a report counts under a short name.
///
/// The name must come from a small set: a message with an id in it would be a name of its own
/// each time. A report keeps 64 names apart.
pub trait Named {
    /// The name: a stable code, never a payload.
    fn name(&self) -> Cow<'static, str>;
}

impl Named for Error {
    fn name(&self) -> Cow<'static, str> {
        self.kind().code().into()
    }
}

impl Named for ErrorKind {
    fn name(&self) -> Cow<'static, str> {
        self.code().into()
    }
}

impl Named for &'static str {
    fn name(&self) -> Cow<'static, str> {
        (*self).into()
    }
}

impl Named for String {
    fn name(&self) -> Cow<'static, str> {
        self.clone().into()
    }
}

impl Named for Infallible {
    fn name(&self) -> Cow<'static, str> {
        match *self {}
    }
}

/// Counts by name; the number of names is bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors(BTreeMap<Cow<'static, str>, u64>);

impl Errors {
    pub(super) fn count(&mut self, name: Cow<'static, str>) {
        self.add(name, 1);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name.clone(), *count);
        }
    }

    fn add(&mut self, name: Cow<'static, str>, count: u64) {
        let known = self.0.len() < NAMES || self.0.contains_key(&name);
        let name = if known { name } else { OTHER.into() };
        *self.0.entry(name).or_default() += count;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (&**name, *count))
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}
