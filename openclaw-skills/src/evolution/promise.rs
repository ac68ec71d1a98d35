//! What a manifest promises beside its schemas.

use openclaw_core::{Effect, Touches, skill::SkillManifest};

use super::{Level, Reason};

const TOUCHES: [(Touches, &str); 5] = [
    (Touches::READS_PRIVATE, "reads private data"),
    (Touches::EGRESS, "sends data out"),
    (Touches::WRITES, "changes data"),
    (Touches::MONEY, "moves money"),
    (Touches::DESTRUCTIVE, "destroys data"),
];

pub(super) fn compare(old: &SkillManifest, new: &SkillManifest) -> Vec<Reason> {
    let reason =
        |level, pointer: &str, text: String| Reason { level, pointer: pointer.to_owned(), text };
    let mut found = Vec::new();
    if old.id != new.id {
        found.push(reason(Level::Major, "/id", "it is another skill".to_owned()));
    }
    if old.effect != new.effect {
        let (level, text) = if keeps(old.effect, new.effect) {
            (Level::Minor, "the promise is stronger")
        } else {
            (Level::Major, "the promise is weaker, or another one")
        };
        found.push(reason(level, "/effect", text.to_owned()));
    }
    for (bit, what) in TOUCHES {
        match (old.touches.contains(bit), new.touches.contains(bit)) {
            (false, true) => found.push(reason(Level::Major, "/touches", format!("now it {what}"))),
            (true, false) => {
                found.push(reason(Level::Minor, "/touches", format!("no more: it {what}")));
            }
            _ => {}
        }
    }
    for permission in new.permissions.difference(&old.permissions) {
        let text = format!("now whoever calls it needs {permission:?}");
        found.push(reason(Level::Major, "/permissions", text));
    }
    for permission in old.permissions.difference(&new.permissions) {
        let text = format!("nobody needs {permission:?} any more");
        found.push(reason(Level::Minor, "/permissions", text));
    }
    for part in new.calls.difference(&old.calls) {
        found.push(reason(Level::Minor, "/calls", format!("now it calls {part}")));
    }
    found.extend(limits(old, new));
    if old.api != new.api {
        let text = "it is written for another version of its remote".to_owned();
        found.push(reason(Level::Minor, "/api", text));
    }
    if old.timeout != new.timeout {
        let text = "one attempt may take another time".to_owned();
        found.push(reason(Level::Minor, "/timeout", text));
    }
    if old.description != new.description {
        found.push(reason(Level::Patch, "/description", "its words changed".to_owned()));
    }
    found
}

/// Less may go in than before, or more may come out: both break somebody.
fn limits(old: &SkillManifest, new: &SkillManifest) -> Vec<Reason> {
    let (old, new) = (&old.limits, &new.limits);
    let less = |old: usize, new: usize| if new < old { Level::Major } else { Level::Minor };
    let pairs = [
        (
            "/limits/input_bytes",
            old.input_bytes,
            new.input_bytes,
            less(old.input_bytes, new.input_bytes),
        ),
        (
            "/limits/output_bytes",
            old.output_bytes,
            new.output_bytes,
            less(new.output_bytes, old.output_bytes),
        ),
        ("/limits/depth", old.depth, new.depth, Level::Major),
    ];
    let changed = pairs.into_iter().filter(|(_, old, new, _)| old != new);
    let told = |(pointer, old, new, level): (&str, usize, usize, Level)| Reason {
        level,
        pointer: pointer.to_owned(),
        text: format!("{new} instead of {old}"),
    };
    changed.map(told).collect()
}

/// Does whoever relied on the old effect get what was promised?
const fn keeps(old: Effect, new: Effect) -> bool {
    match (old, new) {
        (_, Effect::Pure)
        | (Effect::Reconcilable, Effect::Reconcilable)
        | (
            Effect::AtLeastOnce,
            Effect::AtLeastOnce | Effect::Keyed { .. } | Effect::Reconcilable,
        )
        | (Effect::AtMostOnce, Effect::AtMostOnce | Effect::Keyed { .. } | Effect::Reconcilable) => {
            true
        }
        (Effect::Keyed { retention: old }, Effect::Keyed { retention: new }) => {
            old.as_nanos() <= new.as_nanos()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_core::{SkillId, skill::SkillLimits};

    use super::*;

    fn worst(old: &SkillManifest, new: &SkillManifest) -> Option<(Level, String)> {
        let found = compare(old, new);
        found.into_iter().map(|reason| (reason.level, reason.pointer)).max()
    }

    #[test]
    fn permissions_limits_and_parts_are_promises_too() {
        let plain = SkillManifest::new(SkillId::new("pay").unwrap(), "1.0.0");
        let needs = plain.clone().permission("ledger:write");
        let pure = plain.clone().effect(Effect::Pure);
        let calls = pure.clone().calls(SkillId::new("bank").unwrap());
        let small = plain.clone().limits(SkillLimits::default().input_bytes(9));
        let large = plain.clone().limits(SkillLimits::default().output_bytes(9 << 20));
        let api = plain.clone().api("crm", "v4");
        for (old, new, level, pointer) in [
            (&plain, &needs, Level::Major, "/permissions"),
            (&needs, &plain, Level::Minor, "/permissions"),
            (&pure, &calls, Level::Minor, "/calls"),
            (&plain, &small, Level::Major, "/limits/input_bytes"),
            (&small, &plain, Level::Minor, "/limits/input_bytes"),
            (&plain, &large, Level::Major, "/limits/output_bytes"),
            (&plain, &api, Level::Minor, "/api"),
        ] {
            assert_eq!(worst(old, new), Some((level, pointer.to_owned())));
        }
    }

    #[test]
    fn a_promise_is_kept_by_a_stronger_one_only() {
        let keyed = |seconds| Effect::Keyed { retention: Duration::from_secs(seconds) };
        for (old, new, kept) in [
            (Effect::AtMostOnce, Effect::Pure, true),
            (Effect::Pure, Effect::AtMostOnce, false),
            (Effect::Pure, keyed(9), false),
            (keyed(5), keyed(9), true),
            (keyed(9), keyed(5), false),
            (keyed(9), Effect::AtMostOnce, false),
            (Effect::AtMostOnce, keyed(9), true),
            (Effect::AtMostOnce, Effect::Reconcilable, true),
            (Effect::Reconcilable, Effect::AtMostOnce, false),
            (Effect::Reconcilable, keyed(9), false),
            (Effect::AtMostOnce, Effect::AtLeastOnce, false),
            (Effect::AtLeastOnce, Effect::AtMostOnce, false),
            (Effect::AtLeastOnce, keyed(9), true),
        ] {
            assert_eq!(keeps(old, new), kept, "{old:?} to {new:?}");
        }
    }
}
