//! Which calls a rule is about.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Ask,
    bound::{Bound, Fit},
};
use crate::{Effect, Touches};

/// Which calls a rule is about: everything that is set has to fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct When {
    /// Of one of these tenants.
    pub tenants: Option<Vec<Arc<str>>>,
    /// Asked for by one of these agents.
    pub agents: Option<Vec<Arc<str>>>,
    /// Of one of these skills: a whole name, or `shop.*` for all names below `shop`.
    pub skills: Option<Vec<Arc<str>>>,
    /// Of a skill that touches any of these.
    pub touches: Option<Vec<Touch>>,
    /// Of a skill that touches nothing but these.
    pub touches_only: Option<Vec<Touch>>,
    /// Of a skill with one of these effects.
    pub effects: Option<Vec<EffectClass>>,
    /// Of a skill that demands any of these permissions, by its manifest.
    pub permissions: Option<Vec<Arc<str>>>,
    /// With arguments within these bounds, by JSON pointer: `/qty`.
    pub arguments: BTreeMap<Arc<str>, Bound>,
}

/// Which data a skill touches, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Touch {
    /// Reads private data.
    ReadsPrivate,
    /// Sends data out of the company.
    Egress,
    /// Changes data.
    Writes,
    /// Moves money.
    Money,
    /// Destroys data.
    Destructive,
}

impl From<Touch> for Touches {
    fn from(touch: Touch) -> Self {
        match touch {
            Touch::ReadsPrivate => Self::READS_PRIVATE,
            Touch::Egress => Self::EGRESS,
            Touch::Writes => Self::WRITES,
            Touch::Money => Self::MONEY,
            Touch::Destructive => Self::DESTRUCTIVE,
        }
    }
}

/// What a skill may do to the world, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EffectClass {
    /// Changes nothing.
    Pure,
    /// Its remote honours keys.
    Keyed,
    /// Its owner can tell afterwards.
    Reconcilable,
    /// It may happen twice.
    AtLeastOnce,
    /// It must never happen twice.
    AtMostOnce,
}

impl From<Effect> for EffectClass {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Pure => Self::Pure,
            Effect::Keyed { .. } => Self::Keyed,
            Effect::Reconcilable => Self::Reconcilable,
            Effect::AtLeastOnce => Self::AtLeastOnce,
            Effect::AtMostOnce => Self::AtMostOnce,
        }
    }
}

/// [`When`], made ready to be asked; skills apart, by which it is found.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    tenants: Option<Vec<Arc<str>>>,
    agents: Option<Vec<Arc<str>>>,
    touches: Option<Touches>,
    beyond: Option<Touches>,
    effects: Option<Vec<EffectClass>>,
    permissions: Option<Vec<Arc<str>>>,
    arguments: Vec<(Vec<String>, Bound)>,
}

/// Everything there is to touch.
const ALL: [Touch; 5] =
    [Touch::ReadsPrivate, Touch::Egress, Touch::Writes, Touch::Money, Touch::Destructive];

fn any_of<'a>(touches: impl IntoIterator<Item = &'a Touch>) -> Touches {
    touches.into_iter().fold(Touches::NOTHING, |all, touch| all | (*touch).into())
}

impl Matcher {
    /// The matcher, or where and why there is none.
    pub(super) fn new(when: &When) -> Result<Self, (String, &'static str)> {
        let mut arguments = Vec::with_capacity(when.arguments.len());
        for (pointer, bound) in &when.arguments {
            let at = || format!("arguments.{pointer}");
            let tokens = tokens(pointer)
                .ok_or_else(|| (at(), "a JSON pointer is empty or begins with a slash"))?;
            if let Some(why) = bound.wrong() {
                return Err((at(), why));
            }
            arguments.push((tokens, bound.clone()));
        }
        let beyond = |only: &Vec<Touch>| any_of(ALL.iter().filter(|touch| !only.contains(touch)));
        Ok(Self {
            tenants: when.tenants.clone(),
            agents: when.agents.clone(),
            touches: when.touches.as_ref().map(any_of),
            beyond: when.touches_only.as_ref().map(beyond),
            effects: when.effects.clone(),
            permissions: when.permissions.clone(),
            arguments,
        })
    }

    /// Is the rule about this call, whose skill it names?
    pub(super) fn fits(&self, ask: &Ask<'_>) -> Fit {
        let named = |names: &Option<Vec<Arc<str>>>, name: Option<&str>| {
            names.as_ref().is_none_or(|all| all.iter().any(|one| Some(&**one) == name))
        };
        let touches = ask.manifest.touches;
        let demanded = |name: &Arc<str>| ask.manifest.permissions.contains(name);
        let head = named(&self.tenants, Some(ask.context.tenant().as_str()))
            && named(&self.agents, ask.agent.map(AsRef::as_ref))
            && self.touches.is_none_or(|any| touches.meets(any))
            && self.beyond.is_none_or(|beyond| !touches.meets(beyond))
            && self.effects.as_ref().is_none_or(|all| all.contains(&ask.manifest.effect.into()))
            && self.permissions.as_ref().is_none_or(|any| any.iter().any(demanded));
        if !head {
            return Fit::No;
        }
        let fits = self.arguments.iter().map(|(at, bound)| bound.fits(find(ask.input, at)));
        fits.min().unwrap_or(Fit::Yes)
    }
}

/// The steps of a JSON pointer (RFC 6901); `None` when it is none.
fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    let steps = pointer.strip_prefix('/').filter(|_| escaped)?.split('/');
    Some(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

fn find<'a>(value: &'a Value, at: &[String]) -> Option<&'a Value> {
    at.iter().try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => {
            let is_index = step == "0" || !step.starts_with(['0', '+']);
            step.parse::<usize>().ok().filter(|_| is_index).and_then(|n| items.get(n))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_leads_where_rfc_6901_says() {
        let value = json!({ "a": [{ "b/c": 1 }, 2], "": 3, "m~n": 4 });
        for (pointer, found) in [
            ("", Some(value.clone())),
            ("/a/0/b~1c", Some(json!(1))),
            ("/a/1", Some(json!(2))),
            ("/a/01", None),
            ("/a/+1", None),
            ("/a/2", None),
            ("/", Some(json!(3))),
            ("/m~0n", Some(json!(4))),
            ("/a/0/b~1c/x", None),
        ] {
            let at = tokens(pointer).unwrap();
            assert_eq!(find(&value, &at), found.as_ref(), "{pointer}");
        }
        for none in ["a", "/a~2", "/a~"] {
            assert!(tokens(none).is_none(), "{none}");
        }
    }
}
