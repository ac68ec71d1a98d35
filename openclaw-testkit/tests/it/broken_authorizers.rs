//! A law must be able to fail: each flaw of an authorizer is caught by the laws that name it.

use std::sync::Arc;

use openclaw_core::rules::{Authorizer, Otherwise, Rule, Rules, RulesConfig, Then, When};
use openclaw_testkit::conformance::authorizer::{AuthorizerHarness, LAWS, check, check_all};

use crate::{
    broken::{Caught, every_flaw_is_caught, every_law_catches_a_flaw, holds},
    naive_authorizer::Flaw,
};

const CAUGHT: &Caught<Flaw> = &[
    (Flaw::AllowsForgive, &["a_rule_that_allows_takes_no_terms_away"]),
    (Flaw::AsksOverDenials, &["a_rule_that_asks_only_raises"]),
    (Flaw::AsksNobody, &["people_can_meet_the_terms"]),
    (Flaw::AttemptsLoosen, &["another_attempt_is_decided_alike"]),
    (Flaw::BelievesArguments, &["an_argument_does_not_approve_its_call"]),
    (Flaw::Blocks, &["a_decision_waits_for_nobody"]),
    (Flaw::CodesAreEmpty, &["a_denial_says_why"]),
    (Flaw::CountsCalls, &["the_same_call_is_decided_alike"]),
    (Flaw::DeadlinesLoosen, &["another_attempt_is_decided_alike"]),
    (Flaw::DeniesBehindOthers, &["a_rule_that_denies_overrides"]),
    (Flaw::EachIsAnother, &["another_one_like_it_decides_alike"]),
    (Flaw::LastTermsCount, &["a_rule_that_asks_only_raises"]),
    (Flaw::NamesAreWords, &["odd_names_are_decided"]),
    (Flaw::NobodyHasTime, &["people_can_meet_the_terms"]),
    (Flaw::ObjectsOnly, &["odd_arguments_are_decided"]),
    (Flaw::QuorumOfNobody, &["people_can_meet_the_terms"]),
    (Flaw::ReasonsAreEmpty, &["people_can_meet_the_terms"]),
    (Flaw::ThreadsDiffer, &["threads_decide_alike"]),
    (Flaw::TooFewAreNamed, &["people_can_meet_the_terms"]),
];

#[test]
fn an_authorizer_without_a_flaw_holds_every_law() {
    assert_eq!(check_all(&Flaw::None).held.len(), LAWS.len());
}

#[test]
fn every_flaw_is_caught_by_the_laws_that_name_it() {
    every_flaw_is_caught(CAUGHT, |law, flaw| holds(|| check(law, &flaw)));
}

#[test]
fn every_law_is_named_by_a_flaw() {
    every_law_catches_a_flaw(CAUGHT, LAWS.iter().map(|law| law.name()));
}

/// Rules that allow, ask, and refuse, by effect, touch, agent and argument.
const RULES: &str = r#"{ "rules": [
    { "name": "look", "when": { "effects": ["pure"] }, "then": "allow" },
    { "name": "write", "when": { "touches": ["writes", "egress"] }, "then": "allow" },
    { "name": "little", "when": { "touches": ["money"], "arguments": { "/qty": { "at_most": 100 } } },
      "then": "allow" },
    { "name": "much", "when": { "touches": ["money"], "arguments": { "/qty": { "above": 100 } } },
      "then": { "require_approval": { "quorum": 2, "roles": ["treasurer"], "reason": "it is much" } } },
    { "name": "clerk", "when": { "agents": ["clerk"], "touches": ["money"] },
      "then": { "require_approval": { "approvers": ["ann"], "ttl": "4h", "reason": "a clerk asks" } } },
    { "name": "never", "when": { "touches": ["destructive"] },
      "then": { "deny": { "code": "NEVER", "reason": "it destroys data" } } }
] }"#;

/// Rules, and how they are held.
struct Ruled(fn(Rules) -> Box<dyn Authorizer>);

impl Ruled {
    fn make(&self, more: Option<Then>, otherwise: Otherwise) -> Box<dyn Authorizer> {
        let mut config = RulesConfig::from_json(RULES).unwrap();
        config.default = otherwise;
        config.rules.extend(more.map(|then| Rule::new("more", When::default(), then)));
        (self.0)(Rules::new(&config).unwrap())
    }
}

impl AuthorizerHarness for Ruled {
    fn fresh(&self) -> Box<dyn Authorizer> {
        self.make(None, Otherwise::Deny)
    }

    fn with(&self, then: Then) -> Option<Box<dyn Authorizer>> {
        Some(self.make(Some(then), Otherwise::Deny))
    }
}

/// The same rules; what none is about is allowed.
struct Open;

impl AuthorizerHarness for Open {
    fn fresh(&self) -> Box<dyn Authorizer> {
        Ruled(|rules| Box::new(rules)).make(None, Otherwise::Allow)
    }

    fn with(&self, then: Then) -> Option<Box<dyn Authorizer>> {
        Some(Ruled(|rules| Box::new(rules)).make(Some(then), Otherwise::Allow))
    }
}

mod rules {
    openclaw_testkit::authorizer_laws!("Rules", super::Ruled(|rules| Box::new(rules)));
}

mod open {
    openclaw_testkit::authorizer_laws!("Rules, allow by default", super::Open);
}

mod arc {
    use super::{Arc, Ruled};

    openclaw_testkit::authorizer_laws!("Arc<Rules>", Ruled(|rules| Box::new(Arc::new(rules))));
}

mod boxed {
    use super::{Authorizer, Ruled};

    openclaw_testkit::authorizer_laws!(
        "Box<dyn Authorizer>",
        Ruled(|rules| Box::new(Box::new(rules) as Box<dyn Authorizer>))
    );
}
