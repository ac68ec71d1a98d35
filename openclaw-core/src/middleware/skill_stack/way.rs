//! How a call of a skill is made: freely, guarded, or not at all.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    Call, Effect, Effects, Error, ErrorKind, Result,
    records::claims::refused,
    rules::{Ask, Authorizer, Decision, Terms},
};

/// How a call of a skill is made.
#[derive(Debug)]
pub(crate) enum Way {
    /// Without a record.
    Free,
    /// Claimed first, as far as this decision allows it.
    Guarded(Decision),
}

/// What the host's rules make of a call; a wish for approval makes it stricter only.
pub(crate) fn decide(rules: Option<&dyn Authorizer>, ask: &Ask<'_>, wish: bool) -> Decision {
    let decided = rules.map_or(Decision::Allow, |rules| rules.decide(ask));
    if !wish {
        return decided;
    }
    let why = match ask.agent {
        Some(_) => "the agent asks for an approval",
        None => "the caller asks for an approval",
    };
    decided.raised(|| Terms::new(why))
}

/// How this call is made under this decision; `begun` when an effect is recorded for it.
///
/// What a pure skill reads may need a person's yes, too: it is claimed for that. Where effects
/// are withheld only what needs no record is made.
pub(crate) fn way(call: &Call<Arc<Value>>, begun: bool, decision: Decision) -> Result<Way> {
    let pure = call.effect() == Effect::Pure;
    match (call.context().effects(), decision) {
        (_, Decision::Allow) if pure && !begun => Ok(Way::Free),
        (Effects::Live, decision) => Ok(Way::Guarded(decision)),
        (Effects::Withheld, Decision::Deny(denial)) if pure => Err(refused(&denial, call.target())),
        (Effects::Withheld, _) => {
            let why = "effects are withheld in this run";
            Err(Error::new(ErrorKind::Unsupported, why).with("skill", call.target()))
        }
    }
}
