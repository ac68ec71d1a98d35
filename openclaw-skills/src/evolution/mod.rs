//! What a new version of a skill breaks: its contract beside the old one.
//!
//! [`diff`] is careful. What it calls compatible is: no input that the old contract takes is refused
//! by the new one, and no output of the new one is a surprise to the old one. What it can't decide
//! counts as breaking.
//!
//! ```
//! use std::sync::Arc;
//! use openclaw_core::{SkillId, skill::SkillManifest};
//! use openclaw_skills::evolution::{Level, diff};
//! use serde_json::json;
//!
//! let version = |maximum: u32| {
//!     let mut manifest = SkillManifest::new(SkillId::new("order.place").expect("an id"), "1.0.0");
//!     let quantity = json!({ "type": "integer", "maximum": maximum });
//!     manifest.input = Some(Arc::new(json!({ "type": "object", "properties": { "qty": quantity } })));
//!     manifest
//! };
//! assert_eq!(diff(&version(100), &version(200)).level(), Level::Minor);
//! let narrowed = diff(&version(100), &version(50));
//! assert_eq!(narrowed.level(), Level::Major);
//! assert_eq!(narrowed.reasons()[0].pointer, "/input/properties/qty/maximum");
//! ```

mod atoms;
mod disjoint;
mod gone;
mod numbers;
mod promise;
mod proof;
mod reason;
mod rules;
mod same;
mod types;

use openclaw_core::{Error, ErrorKind, skill::SkillManifest};
use serde_json::Value;

pub use self::reason::Reason;
use self::{proof::Proof, reason::undecided};
use crate::{schema::MAX_DEPTH, weight::deeper_than};

/// Reasons of one change at most.
const MAX_REASONS: usize = 32;

/// How much a change asks of those who use a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "SemVer has these three")]
pub enum Level {
    /// Nothing: words, or nothing at all, changed.
    Patch,
    /// Nothing: what worked works, and more may.
    Minor,
    /// They have to look: something may not work any more.
    Major,
}

/// What changed between two versions of a skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    reasons: Vec<Reason>,
}

impl Change {
    /// How much it asks of those who use the skill.
    #[must_use]
    pub fn level(&self) -> Level {
        self.reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Patch)
    }

    /// What changed, the gravest first; at most 32.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The error of a version that breaks what its number promises to keep.
    pub(crate) fn refusal(&self, old: &str, new: &SkillManifest) -> Error {
        let broken: Vec<String> = self
            .reasons
            .iter()
            .filter(|reason| reason.level == Level::Major)
            .map(Reason::to_string)
            .collect();
        let why = format!(
            "{} {} breaks what {old} promised: {}; give it a new major number",
            new.id,
            new.version,
            broken.join("; ")
        );
        let error = Error::new(ErrorKind::ValidationError, why.clone()).with_public(why);
        self.reasons
            .iter()
            .filter(|reason| reason.level == Level::Major)
            .fold(error, |error, reason| error.with("pointer", &reason.pointer))
    }
}

/// Compares two versions of a skill: input, output, effect, what they touch, their words.
///
/// | changed | breaking when |
/// |---|---|
/// | input | something that was taken is refused: a new required field, a narrower type, enum or bound, a field that is gone where others are refused, a typed field in an object that was open |
/// | output | something new may come: a field that is gone or not sure any more, a wider type, enum or bound |
/// | effect | the promise is weaker |
/// | touches | it touches more |
/// | anything that can't be decided | always |
#[must_use]
pub fn diff(old: &SkillManifest, new: &SkillManifest) -> Change {
    let mut reasons = promise::compare(old, new);
    let (before, after) = (old.input.as_deref(), new.input.as_deref());
    reasons.extend(sides("/input", before, after, |old, new| Proof::new(old, new).run("/input")));
    let (before, after) = (old.output.as_deref(), new.output.as_deref());
    reasons.extend(sides("/output", before, after, |old, new| {
        let mut breaks = Proof::new(new, old).run("/output");
        breaks.extend(gone::gone(old, new, "/output"));
        breaks
    }));
    reasons.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.pointer.cmp(&b.pointer)));
    reasons.dedup();
    reasons.truncate(MAX_REASONS);
    Change { reasons }
}

/// What became of one schema.
fn sides(
    at: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    breaks: impl FnOnce(&Value, &Value) -> Vec<Reason>,
) -> Vec<Reason> {
    let (old, new) = (old.unwrap_or(&Value::Bool(true)), new.unwrap_or(&Value::Bool(true)));
    let told =
        |level, text: &str| vec![Reason { level, pointer: at.to_owned(), text: text.to_owned() }];
    if old == new {
        return Vec::new();
    }
    if deeper_than(old, MAX_DEPTH) || deeper_than(new, MAX_DEPTH) {
        return undecided(at, "it is nested too deep");
    }
    if same::documents(old, new) {
        return told(Level::Patch, "only its words changed");
    }
    match breaks(old, new) {
        broken if broken.is_empty() => told(Level::Minor, "it changed, and breaks nothing"),
        broken => broken,
    }
}
