//! What a decision says: terms that people can meet, refusals that say why.

use std::time::Duration;

use openclaw_core::rules::Decision;

use super::{Trial, trial::terms};

/// The most people that can have to say yes: every vote is kept.
const MOST: u32 = 64;

/// Whoever asks for a yes asks somebody: on terms, of people enough, with time to answer, for a
/// reason.
pub fn people_can_meet_the_terms(trial: &Trial<'_>) {
    for call in trial.calls() {
        let decision = trial.decide(call);
        let Decision::RequireApproval(asked) = &decision else { continue };
        assert!(!asked.is_empty(), "a yes on no terms: {call:?}");
        for terms in terms(&decision) {
            assert!((1..=MOST).contains(&terms.quorum), "{terms:?}");
            let named = !terms.approvers.is_empty() && terms.roles.is_empty();
            let enough = !named || terms.approvers.len() >= terms.quorum as usize;
            assert!(enough, "fewer are named than have to say yes: {terms:?}");
            assert!(Duration::from(terms.ttl) > Duration::ZERO, "no time to answer: {terms:?}");
            assert!(!terms.reason.trim().is_empty(), "nobody is told why: {terms:?}");
        }
    }
}

/// A refusal has a code for machines, and a reason for people.
pub fn a_denial_says_why(trial: &Trial<'_>) {
    for call in trial.calls() {
        let Decision::Deny(denial) = trial.decide(call) else { continue };
        assert!(!denial.code.trim().is_empty(), "no code: {denial:?} of {call:?}");
        assert!(!denial.reason.trim().is_empty(), "no reason: {denial:?} of {call:?}");
    }
}
