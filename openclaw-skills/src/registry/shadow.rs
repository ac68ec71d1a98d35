//! Shadows: a version that runs beside another one, without effects and without a say.

use std::sync::Arc;

use openclaw_core::{
    Call, Effect, Effects, Error, ErrorKind,
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;

use super::{RegistryEvent, Shared, Verdict};
use crate::planted::planted;
use crate::pointer::below;

/// Lets a shadow run beside a call that was answered, if there is room.
///
/// It is no way around what the call was let through by. Nobody decides about it, and nothing is
/// reserved for it: so only a `Pure` one runs, with effects withheld, and only where it touches and
/// demands no more than the version that has answered. Any other is only asked whether it would take
/// the input.
pub(super) fn beside(
    registry: &Arc<Shared>,
    (answered, answer): (&SkillManifest, Arc<Value>),
    shadow: Arc<dyn Skill>,
    call: &Call<Arc<Value>>,
) {
    let SkillManifest { id, version: number, .. } = shadow.manifest();
    let told = Told {
        registry: Arc::clone(registry),
        event: Some(RegistryEvent::Shadowed {
            skill: id.clone(),
            shadow: Arc::clone(number),
            beside: Arc::clone(&answered.version),
            verdict: Verdict::Fails { kind: ErrorKind::Unclassified },
        }),
    };
    let Ok(room) = Arc::clone(&registry.shadows).try_acquire_owned() else {
        return told.tell(Verdict::Skipped);
    };
    let effects = if planted!(ShadowLive) { Effects::Live } else { Effects::Withheld };
    let context = call.context().clone().with_effects(effects);
    let call = Call::skill(context, shadow.manifest(), Arc::clone(call.payload()));
    let wider = !covers(answered, shadow.manifest());
    registry.tasks.spawn(async move {
        let verdict = judge(&*shadow, wider, call, &answer).await;
        drop(room);
        told.tell(verdict);
    });
}

/// May a shadow do whatever it does, where this version might?
fn covers(answered: &SkillManifest, shadow: &SkillManifest) -> bool {
    answered.touches.contains(shadow.touches) && shadow.permissions.is_subset(&answered.permissions)
}

async fn judge(shadow: &dyn Skill, wider: bool, call: Call<Arc<Value>>, answer: &Value) -> Verdict {
    let manifest = shadow.manifest();
    if shadow.validate(call.payload()).is_err() {
        return Verdict::Refuses;
    }
    if manifest.effect != Effect::Pure && !planted!(ShadowLive) {
        return Verdict::Accepts;
    }
    if wider {
        return Verdict::Wider;
    }
    let late = |_| Err(Error::new(ErrorKind::Timeout, "the shadow did not answer in time"));
    let outcome = tokio::time::timeout(manifest.timeout, shadow.run(call)).await;
    match outcome.unwrap_or_else(late).and_then(|answer| answer.judged_by(shadow)) {
        Ok(SkillAnswer::Done(other)) if *other == *answer => Verdict::Same,
        Ok(SkillAnswer::Done(other)) => Verdict::Differs { pointer: apart(answer, &other) },
        Ok(SkillAnswer::Pending(_)) => Verdict::Differs { pointer: String::new() },
        // What it was refused has no answer to be held against the other one.
        Err(e) if e.kind() == ErrorKind::Unsupported => Verdict::Withheld,
        Err(e) => Verdict::Fails { kind: e.kind() },
    }
}

/// The first place at which two values differ, as far down as both go.
fn apart(one: &Value, other: &Value) -> String {
    let deeper = |step: &str, one: &Value, other: &Value| {
        format!("{}{}", below("", step), apart(one, other))
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            let mut pairs = one.iter().zip(other.values());
            let pair = pairs.find(|((_, one), other)| one != other);
            pair.map_or_else(String::new, |((name, one), other)| deeper(name, one, other))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            let pair = pairs.find(|(_, (one, other))| one != other);
            pair.map_or_else(String::new, |(at, (one, other))| deeper(&at.to_string(), one, other))
        }
        _ => String::new(),
    }
}

/// Tells of a shadow, also of one that panics or is cut off.
struct Told {
    registry: Arc<Shared>,
    event: Option<RegistryEvent>,
}

impl Told {
    fn tell(mut self, said: Verdict) {
        if let Some(RegistryEvent::Shadowed { verdict, .. }) = &mut self.event {
            *verdict = said;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.registry.tell(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_has_a_pointer() {
        for (one, other, pointer) in [
            (json!({"a": 1}), json!({"a": 2}), "/a"),
            (json!({"a": {"b/c": [1, 2]}}), json!({"a": {"b/c": [1, 3]}}), "/a/b~1c/1"),
            (json!({"a": [1]}), json!({"a": [1, 2]}), "/a"),
            (json!({"a": 1}), json!({"b": 1}), ""),
        ] {
            assert_eq!(apart(&one, &other), pointer, "{one} {other}");
        }
    }
}
