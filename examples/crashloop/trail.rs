//! What the audit trail must say: one outcome a message, one entry a done effect.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_core::{
    MessageId,
    records::{AuditAction, EffectState},
};

use crate::evidence::Evidence;

/// How often each thing was decided about a message, and about what in it.
type Counts = BTreeMap<(MessageId, String), usize>;

/// The numbers of the answered messages of each conversation.
pub(crate) fn turns(evidence: &Evidence) -> BTreeMap<usize, BTreeSet<u32>> {
    let mut turns: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    for entry in evidence.trail.iter().filter(|entry| entry.action == AuditAction::Replied) {
        if let Some(name) = evidence.name(entry.message) {
            turns.entry(name.chat).or_default().insert(name.number);
        }
    }
    turns
}

/// Where the trail does not say what ledger and letters say.
pub(crate) fn problems(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    if evidence.report.open > 0 {
        wrong.push(format!("{} entries of the trail are under no seal", evidence.report.open));
    }
    let strangers = evidence.trail.iter().filter(|entry| evidence.name(entry.message).is_none());
    wrong.extend(strangers.map(|entry| format!("{entry:?} is about nobody")));
    wrong.extend(outcomes(evidence));
    wrong.extend(effects(evidence));
    wrong
}

/// A message is answered once or parked once; an answered one may have its reply parked once.
fn outcomes(evidence: &Evidence) -> Vec<String> {
    let (replied, parked) =
        (count(evidence, &AuditAction::Replied), count(evidence, &AuditAction::Parked));
    let of = |counts: &Counts, id, subject: &str| {
        counts.get(&(id, subject.to_owned())).copied().unwrap_or_default()
    };
    let mut wrong = Vec::new();
    for (id, name) in &evidence.ids {
        let letter = evidence.parked.iter().find(|letter| letter.id == *id);
        let as_reply = usize::from(letter.is_some_and(|letter| letter.is_reply));
        let as_turn = usize::from(letter.is_some_and(|letter| !letter.is_reply));
        let told = (of(&replied, *id, "clerk"), of(&parked, *id, "clerk"));
        if told != (1 - as_turn, as_turn) {
            wrong.push(format!("{name}: {told:?} outcomes of its turn in the trail"));
        }
        let shelved = of(&parked, *id, name.line().id());
        if shelved != as_reply {
            wrong.push(format!("{name}: its reply was parked {shelved} times in the trail"));
        }
    }
    wrong
}

/// A claim an effect, and one word that it is done, exactly when it is.
fn effects(evidence: &Evidence) -> Vec<String> {
    let claimed = count(evidence, &AuditAction::EffectClaimed);
    let done = count(evidence, &AuditAction::EffectDone);
    let mut wrong = Vec::new();
    for (id, operation, effect) in &evidence.effects {
        let key = (*id, operation.to_string());
        let is_done = usize::from(matches!(effect.state, EffectState::Done { .. }));
        let told = [&claimed, &done].map(|counts| counts.get(&key).copied().unwrap_or_default());
        if told != [1, is_done] {
            wrong.push(format!("{operation} of {id}: claimed and done {told:?} in the trail"));
        }
    }
    let known: usize = evidence.effects.len();
    if claimed.len() != known {
        wrong.push(format!("{} effects were claimed, the ledger has {known}", claimed.len()));
    }
    wrong
}

/// Entries of this action by message and by the first part of their subject.
fn count(evidence: &Evidence, action: &AuditAction) -> Counts {
    let mut counts = Counts::new();
    for entry in evidence.trail.iter().filter(|entry| entry.action == *action) {
        let subject = entry.subject.split('/').next().unwrap_or_default().to_owned();
        *counts.entry((entry.message, subject)).or_default() += 1;
    }
    counts
}
