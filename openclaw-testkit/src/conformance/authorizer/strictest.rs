//! Of all rules that are about a call the strictest counts.

use openclaw_core::rules::{Decision, Denial, Terms, Then};

use super::{
    Trial,
    trial::{at_least, terms},
};

/// A rule that denies overrides all others.
pub fn a_rule_that_denies_overrides(trial: &Trial<'_>) {
    let denies = trial.with(Then::Deny(Denial::new("LAW", "a law says no")));
    for call in trial.calls() {
        let decision = call.decide(&*denies);
        assert!(matches!(decision, Decision::Deny(_)), "{decision:?} beside a deny: {call:?}");
    }
}

/// A rule that asks people is one more yes to be had: it takes back no refusal, and no terms.
pub fn a_rule_that_asks_only_raises(trial: &Trial<'_>) {
    let asked = Terms::new("a law asks").quorum(2);
    let asks = trial.with(Then::RequireApproval(asked.clone()));
    // Where no rule is about a call, the default counts: with any rule about it, the rule does.
    let allows = trial.with(Then::Allow);
    for call in trial.calls() {
        let (decision, without) = (call.decide(&*asks), call.decide(&*allows));
        assert!(at_least(&decision, &without), "{without:?} became {decision:?}: {call:?}");
        let denied = matches!(decision, Decision::Deny(_));
        assert!(denied || terms(&decision).contains(&asked), "{decision:?} asks less: {call:?}");
    }
}

/// A rule that allows a call takes no terms away that others ask for.
pub fn a_rule_that_allows_takes_no_terms_away(trial: &Trial<'_>) {
    let allows = trial.with(Then::Allow);
    for call in trial.calls() {
        let (decision, before) = (call.decide(&*allows), trial.decide(call));
        let asked = !terms(&before).is_empty();
        assert!(!asked || decision == before, "{before:?} became {decision:?}: {call:?}");
    }
}
