//! The rules, found by skill: a call looks at those that may be about it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Ask, Authorizer, Decision, Denial, Otherwise, RulesConfig, Terms, Then, bound::Fit,
    config::refused, when::Matcher,
};
use crate::Result;

/// Rules that decide; cheap to clone, and never changed.
///
/// A bound that an argument can't be compared with (a text where a number is bounded) opens
/// nothing: a rule that allows is not about such a call, one that refuses or asks is.
///
/// ```
/// use openclaw_core::{
///     Context, SkillId, TenantId,
///     rules::{Ask, Authorizer, Decision, Rules},
///     skill::SkillManifest,
/// };
/// use serde_json::json;
///
/// let rules = Rules::from_json(r#"{ "rules": [
///     { "name": "small orders",
///       "when": { "skills": ["shop.order"], "arguments": { "/qty": { "at_most": 100 } } },
///       "then": "allow" },
///     { "name": "large orders",
///       "when": { "skills": ["shop.*"], "arguments": { "/qty": { "above": 100 } } },
///       "then": { "require_approval": { "roles": ["buyer"], "ttl": "4h", "reason": "over 100" } } }
/// ] }"#)?;
/// let context = Context::new(TenantId::new("acme")?);
/// let order = SkillManifest::new(SkillId::new("shop.order")?, "1.0.0");
/// let decide = |input| rules.decide(&Ask::new(&context, &order, &input));
/// assert_eq!(decide(json!({ "qty": 100 })), Decision::Allow);
/// assert!(matches!(decide(json!({ "qty": 101 })), Decision::RequireApproval(_)));
/// assert!(matches!(decide(json!({ "qty": "1" })), Decision::RequireApproval(_)));
/// assert!(matches!(decide(json!({})), Decision::Deny(_)), "no rule is about it");
///
/// let e = Rules::from_json(r#"{ "rules": [{ "name": "a", "when": { "skils": [] }, "then": "allow" }] }"#);
/// assert!(e.unwrap_err().to_string().contains("rules[0].when.skils"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rules(Arc<Index>);

#[derive(Debug, Default)]
struct Index {
    otherwise: Otherwise,
    rules: Vec<(Matcher, Then)>,
    /// Rules about a skill of this name.
    whole: BTreeMap<Arc<str>, Vec<usize>>,
    /// Rules about all skills below this name.
    below: BTreeMap<Arc<str>, Vec<usize>>,
    /// Rules about any skill.
    any: Vec<usize>,
}

/// The strictest that was found so far.
#[derive(Default)]
struct Found<'a> {
    denied: Option<(usize, &'a Denial)>,
    /// Found once each: a rule may name a skill in two ways.
    asked: BTreeMap<usize, &'a Terms>,
    allowed: bool,
}

impl Rules {
    /// Makes rules ready to decide.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be used.
    pub fn new(config: &RulesConfig) -> Result<Self> {
        config.check()?;
        let mut index = Index { otherwise: config.default, ..Index::default() };
        for (n, rule) in config.rules.iter().enumerate() {
            let matcher = Matcher::new(&rule.when)
                .map_err(|(at, why)| refused(&format!("rules[{n}].when.{at}"), why))?;
            index.rules.push((matcher, rule.then.clone()));
            let Some(skills) = &rule.when.skills else {
                index.any.push(n);
                continue;
            };
            for skill in skills {
                let list = match skill.strip_suffix(".*") {
                    Some(above) => index.below.entry(above.into()),
                    None => index.whole.entry(Arc::clone(skill)),
                };
                list.or_default().push(n);
            }
        }
        Ok(Self(Arc::new(index)))
    }

    /// Reads JSON, and makes it ready to decide.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with the path of what can't be read or used.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::new(&RulesConfig::from_json(text)?)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.rules.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.rules.is_empty()
    }
}

impl Index {
    /// The rules that may be about this skill.
    fn about<'a>(&'a self, skill: &'a str) -> impl Iterator<Item = &'a usize> {
        let above = skill.match_indices('.').filter_map(|(at, _)| skill.get(..at));
        let below = above.filter_map(|above| self.below.get(above)).flatten();
        self.whole.get(skill).into_iter().flatten().chain(below).chain(&self.any)
    }
}

impl<'a> Found<'a> {
    fn add(&mut self, n: usize, fit: Fit, then: &'a Then) {
        match then {
            _ if fit == Fit::No => {}
            Then::Allow => self.allowed |= fit == Fit::Yes,
            Then::Deny(denial) => {
                if self.denied.is_none_or(|(first, _)| n < first) {
                    self.denied = Some((n, denial));
                }
            }
            Then::RequireApproval(terms) => drop(self.asked.insert(n, terms)),
        }
    }
}

impl Authorizer for Rules {
    fn decide(&self, ask: &Ask<'_>) -> Decision {
        let index = &*self.0;
        let mut found = Found::default();
        for n in index.about(ask.manifest.id.as_str()) {
            if let Some((matcher, then)) = index.rules.get(*n) {
                found.add(*n, matcher.fits(ask), then);
            }
        }
        if let Some((_, denial)) = found.denied {
            return Decision::Deny(denial.clone());
        }
        if !found.asked.is_empty() {
            return Decision::RequireApproval(found.asked.into_values().cloned().collect());
        }
        if found.allowed || index.otherwise == Otherwise::Allow {
            return Decision::Allow;
        }
        Decision::Deny(Denial::new("NO_RULE", "no rule allows this call"))
    }
}
