//! Rules as data.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Denial, Terms, When};
use crate::{Error, ErrorKind, Limits, Result, words::json};

/// Rules as data: what a host writes down, or reads from a file.
///
/// Of all rules that are about a call the strictest counts: a `deny` before a
/// `require_approval`, and that before an `allow`. Where several ask for an approval, all
/// their terms hold. Where no rule is about a call, `default` counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RulesConfig {
    /// What becomes of a call that no rule is about. `deny`.
    #[serde(default)]
    pub default: Otherwise,
    /// The rules, in any order.
    pub rules: Vec<Rule>,
}

/// What becomes of a call that no rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Otherwise {
    /// It is refused. The default.
    #[default]
    Deny,
    /// It is made.
    Allow,
}

/// One rule: which calls, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, for people; no two rules share one.
    pub name: Arc<str>,
    /// Which calls it is about; all of them when nothing is set.
    #[serde(default)]
    pub when: When,
    /// What becomes of them.
    pub then: Then,
}

/// What a rule makes of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Then {
    /// It may be made.
    Allow,
    /// It is refused.
    Deny(Denial),
    /// It needs a person's yes.
    RequireApproval(Terms),
}

impl Rule {
    /// A rule of this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, when: When, then: Then) -> Self {
        Self { name: name.into(), when, then }
    }
}

/// The largest quorum: every vote is kept.
pub(crate) const MOST: u32 = 64;

impl RulesConfig {
    /// Reads JSON.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be read; an unknown field is one.
    pub fn from_json(text: &str) -> Result<Self> {
        let value = json::parse(text.as_bytes(), &Limits::default())
            .map_err(|e| refused(&e.pointer, &e.reason))?;
        if !value.is_object() {
            return Err(refused("", "it is not an object"));
        }
        serde_path_to_error::deserialize(&value)
            .map_err(|e| refused(&e.path().to_string(), &e.inner().to_string()))
    }

    /// The JSON Schema (2020-12) of the rules.
    ///
    /// ```
    /// use openclaw_core::rules::RulesConfig;
    ///
    /// let schema = RulesConfig::schema();
    /// assert_eq!(schema["properties"]["rules"]["type"], "array");
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Looks at every rule.
    pub(super) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for (n, rule) in self.rules.iter().enumerate() {
            let wrong = |at: &str, why| Err(refused(&format!("rules[{n}].{at}"), why));
            if rule.name.is_empty() || !names.insert(&rule.name) {
                return wrong("name", "every rule has a name of its own");
            }
            if let Some((at, why)) = rule.when.wrong() {
                return wrong(&format!("when.{at}"), why);
            }
            match &rule.then {
                Then::RequireApproval(terms) if !(1..=MOST).contains(&terms.quorum) => {
                    return wrong("then.require_approval.quorum", "it is between 1 and 64");
                }
                Then::RequireApproval(terms) if std::time::Duration::from(terms.ttl).is_zero() => {
                    return wrong("then.require_approval.ttl", "it is longer than zero");
                }
                Then::RequireApproval(terms) if terms.too_few() => {
                    let why = "fewer people are named than have to say yes";
                    return wrong("then.require_approval.quorum", why);
                }
                Then::Deny(denial) if denial.code.is_empty() => {
                    return wrong("then.deny.code", "it is not empty");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl When {
    /// Where it can match nothing, and why.
    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let empty = [
            ("tenants", self.tenants.as_ref().is_some_and(Vec::is_empty)),
            ("agents", self.agents.as_ref().is_some_and(Vec::is_empty)),
            ("skills", self.skills.as_ref().is_some_and(Vec::is_empty)),
            ("touches", self.touches.as_ref().is_some_and(Vec::is_empty)),
            ("effects", self.effects.as_ref().is_some_and(Vec::is_empty)),
            ("permissions", self.permissions.as_ref().is_some_and(Vec::is_empty)),
        ];
        if let Some((at, _)) = empty.into_iter().find(|(_, empty)| *empty) {
            return Some((at, "an empty list matches nothing: leave it out to match all"));
        }
        let pattern = |skill: &Arc<str>| {
            let name = skill.strip_suffix(".*").unwrap_or(skill);
            name.is_empty() || name.contains('*')
        };
        let skills = self.skills.iter().flatten().any(pattern);
        skills.then_some(("skills", "a skill is a whole name, or a name and .* behind it"))
    }
}

impl Terms {
    /// Can the named people never be enough?
    fn too_few(&self) -> bool {
        let named = !self.approvers.is_empty() && self.roles.is_empty();
        named && self.approvers.len() < self.quorum as usize
    }
}

pub(super) fn refused(path: &str, why: &str) -> Error {
    let message = format!("the rules can't be used at {path:?}: {why}");
    Error::new(ErrorKind::ValidationError, message).with("at", path)
}
