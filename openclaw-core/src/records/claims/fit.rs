//! Whether a recorded effect may go on with the version of its skill that is at hand.

use crate::{
    records::ledger::{EffectRecord, EffectState},
    skill::SkillManifest,
    words::planted::{Bug, planted},
};

/// Why an effect can't go on under another version.
pub(crate) const GONE: &str = "the version of the skill that it was begun with is not here";

/// Whether a recorded effect may go on with a version of its skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It may: it is the one that it was begun with, or nothing is left to do.
    Same,
    /// It was never sent, and nobody approved it: another version may take it over.
    Adopt,
    /// It may not: what was sent, or approved, was another version's.
    Gone,
}

/// Compares what is recorded with the version at hand.
pub(crate) fn fit(record: &EffectRecord, manifest: &SkillManifest) -> Fit {
    let same = record.version.as_ref().is_none_or(|version| *version == manifest.version)
        || planted(Bug::BegunMoved);
    match (&record.state, &record.approval) {
        (state, _) if same || state.is_final() => Fit::Same,
        (EffectState::Claimed { .. }, None) => Fit::Adopt,
        _ => Fit::Gone,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Effect, SkillId, Timestamp, records::Event};

    fn record(version: Option<&str>, approval: Option<&str>, state: EffectState) -> EffectRecord {
        EffectRecord {
            target: "pay".into(),
            fingerprint: [0; 16],
            request: Arc::default(),
            effect: Effect::AtMostOnce,
            approval: approval.map(Into::into),
            version: version.map(Into::into),
            state,
            breach: None,
            costs: Vec::new(),
        }
    }

    #[test]
    fn only_what_was_never_sent_and_never_approved_changes_its_version() {
        let manifest = SkillManifest::new(SkillId::new("pay").unwrap(), "1.1.0");
        let new = EffectState::NEW;
        let sent = new.after(Event::Dispatch { at: Timestamp::from_millis(1) }).unwrap();
        let parked = sent.after(Event::Park("a test".into())).unwrap();
        let unknown = sent.after(Event::Lost).unwrap();
        for (version, approval, state, expected) in [
            (Some("1.1.0"), None, &sent, Fit::Same),
            (None, None, &sent, Fit::Same),
            (Some("1.0.0"), None, &new, Fit::Adopt),
            (Some("1.0.0"), Some("a-1"), &new, Fit::Gone),
            (Some("1.0.0"), None, &sent, Fit::Gone),
            (Some("1.0.0"), None, &unknown, Fit::Gone),
            (Some("1.0.0"), None, &parked, Fit::Same),
        ] {
            let record = record(version, approval, state.clone());
            assert_eq!(fit(&record, &manifest), expected, "{record:?}");
        }
    }
}
