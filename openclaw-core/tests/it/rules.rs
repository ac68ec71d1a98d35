//! Rules: what is allowed, refused, or needs a person's yes, and what can't be written down.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use openclaw_core::{
    AgentId, Context, Effect, ErrorKind, SkillId, TenantId, Touches,
    rules::{Ask, Authorizer, Decision, Rules, RulesConfig},
    skill::SkillManifest,
};
use serde_json::{Value, json};

/// A call, as the rules see it.
struct Case {
    tenant: &'static str,
    agent: &'static str,
    skill: &'static str,
    touches: Touches,
    effect: Effect,
    permissions: &'static [&'static str],
}

const CASE: Case = Case {
    tenant: "acme",
    agent: "clerk",
    skill: "shop.refund",
    touches: Touches::NOTHING,
    effect: Effect::AtMostOnce,
    permissions: &[],
};

impl Case {
    /// `"allow"`, the code of the denial, or the reasons why people are asked.
    fn decide(&self, rules: &impl Authorizer, input: &Value) -> String {
        let context = Context::new(TenantId::new(self.tenant).unwrap());
        let manifest = SkillManifest::new(SkillId::new(self.skill).unwrap(), "1.0.0")
            .touches(self.touches)
            .effect(self.effect);
        let manifest = self.permissions.iter().fold(manifest, |m, name| m.permission(*name));
        let agent = AgentId::new(self.agent).unwrap();
        match rules.decide(&Ask::new(&context, &manifest, input).by(&agent)) {
            Decision::Allow => "allow".to_owned(),
            Decision::Deny(denial) => denial.code.to_string(),
            Decision::RequireApproval(terms) => {
                terms.iter().map(|terms| &*terms.reason).collect::<Vec<_>>().join("+")
            }
        }
    }
}

fn rules(rules: &Value) -> Rules {
    Rules::from_json(&json!({ "rules": rules }).to_string()).unwrap()
}

/// Rules with one that allows when this fits.
fn allow(when: &Value) -> Rules {
    rules(&json!([{ "name": "one", "when": when, "then": "allow" }]))
}

fn deny(code: &str) -> Value {
    json!({ "deny": { "code": code, "reason": "no" } })
}

fn ask(reason: &str) -> Value {
    json!({ "require_approval": { "reason": reason } })
}

#[test]
fn the_strictest_rule_counts_whatever_the_order() {
    let (yes, asks, no) = (json!("allow"), ask("ask"), deny("NO"));
    for (thens, decided) in [
        (vec![&yes], "allow"),
        (vec![&yes, &asks], "ask"),
        (vec![&asks, &yes], "ask"),
        (vec![&yes, &no, &asks], "NO"),
        (vec![&asks, &no], "NO"),
        (vec![&asks], "ask"),
        (vec![], "NO_RULE"),
    ] {
        let all: Vec<Value> = thens
            .iter()
            .enumerate()
            .map(|(n, then)| json!({ "name": n.to_string(), "then": then }))
            .collect();
        assert_eq!(CASE.decide(&rules(&json!(all)), &json!({})), decided, "{thens:?}");
    }
}

#[test]
fn an_authorizer_that_was_chosen_at_run_time_decides_as_itself() {
    let rules = || rules(&json!([{ "name": "no", "then": deny("NO") }]));
    let (shared, owned): (Arc<dyn Authorizer>, Box<dyn Authorizer>) =
        (Arc::new(rules()), Box::new(rules()));
    assert_eq!(CASE.decide(&shared, &json!({})), "NO");
    assert_eq!(CASE.decide(&owned, &json!({})), "NO");
}

#[test]
fn every_rule_that_asks_has_its_terms_kept_once() {
    let rules = rules(&json!([
        { "name": "a", "when": { "skills": ["shop.*", "shop.refund"] }, "then": ask("a") },
        { "name": "b", "then": ask("b") },
    ]));
    assert_eq!(CASE.decide(&rules, &json!({})), "a+b");
}

#[test]
fn what_no_rule_is_about_is_refused_unless_the_host_says_otherwise() {
    let text = r#"{ "default": "allow", "rules": [] }"#;
    assert_eq!(CASE.decide(&Rules::from_json(text).unwrap(), &json!({})), "allow");
    assert_eq!(CASE.decide(&Rules::new(&RulesConfig::default()).unwrap(), &json!({})), "NO_RULE");
}

#[test]
fn a_skill_is_matched_by_whole_words_of_its_name() {
    for (pattern, skill, fits) in [
        ("shop.refund", "shop.refund", true),
        ("shop.refund", "shop.refund.all", false),
        ("shop.refund", "my.shop.refund", false),
        ("shop.*", "shop.refund", true),
        ("shop.*", "shop.refund.all", true),
        ("shop.*", "shop", false),
        ("shop.*", "shopping.refund", false),
        ("shop.*", "my.shop.refund", false),
        ("shop.refund.*", "shop.refund", false),
    ] {
        let decided =
            Case { skill, ..CASE }.decide(&allow(&json!({ "skills": [pattern] })), &json!({}));
        assert_eq!(decided == "allow", fits, "{pattern} {skill}");
    }
}

/// What a skill demands of whoever calls it.
const CRM: &[&str] = &["crm:read", "mail:send"];

#[test]
fn a_rule_says_who_has_the_permissions_that_a_skill_demands() {
    let rules = rules(&json!([
        { "name": "all", "then": "allow" },
        { "name": "nobody", "when": { "permissions": ["crm:read"], "agents": ["night"] },
          "then": deny("NO_CRM") },
    ]));
    let crm = Case { permissions: CRM, ..CASE };
    assert_eq!(crm.decide(&rules, &json!({})), "allow");
    assert_eq!(Case { agent: "night", ..crm }.decide(&rules, &json!({})), "NO_CRM");
    assert_eq!(Case { agent: "night", ..CASE }.decide(&rules, &json!({})), "allow");
}

#[test]
fn tenant_agent_touches_effect_and_permissions_have_to_fit() {
    let money = Touches::MONEY | Touches::WRITES;
    let keyed = Effect::Keyed { retention: std::time::Duration::from_secs(1) };
    for (when, case, fits) in [
        (json!({ "tenants": ["acme"] }), CASE, true),
        (json!({ "tenants": ["acme"] }), Case { tenant: "beta", ..CASE }, false),
        (json!({ "agents": ["clerk", "night"] }), CASE, true),
        (json!({ "agents": ["night"] }), CASE, false),
        (json!({ "touches": ["money", "egress"] }), Case { touches: money, ..CASE }, true),
        (json!({ "touches": ["egress"] }), Case { touches: money, ..CASE }, false),
        (json!({ "touches_only": ["writes"] }), Case { touches: money, ..CASE }, false),
        (json!({ "touches_only": ["writes", "money"] }), Case { touches: money, ..CASE }, true),
        (json!({ "touches_only": [] }), CASE, true),
        (json!({ "effects": ["keyed"] }), Case { effect: keyed, ..CASE }, true),
        (json!({ "effects": ["pure"] }), CASE, false),
        (
            json!({ "permissions": ["crm:write", "crm:read"] }),
            Case { permissions: CRM, ..CASE },
            true,
        ),
        (json!({ "permissions": ["crm"] }), Case { permissions: CRM, ..CASE }, false),
        (json!({ "permissions": ["crm:write"] }), CASE, false),
    ] {
        assert_eq!(case.decide(&allow(&when), &json!({})) == "allow", fits, "{when}");
    }
}

#[test]
fn arguments_are_held_against_their_bounds() {
    for (bound, input, fits) in [
        (json!({ "at_most": 100 }), json!({ "qty": 100 }), true),
        (json!({ "at_most": 100 }), json!({ "qty": 100.5 }), false),
        (
            json!({ "at_most": 9_007_199_254_740_992_u64 }),
            json!({ "qty": 9_007_199_254_740_993_u64 }),
            false,
        ),
        (json!({ "above": 0, "below": 1 }), json!({ "qty": 0.5 }), true),
        (json!({ "above": 0 }), json!({ "qty": 0 }), false),
        (json!({ "at_least": 5 }), json!({ "qty": "7" }), false),
        (json!({ "at_least": 5 }), json!({}), false),
        (json!({ "equals": "EUR" }), json!({ "qty": "EUR" }), true),
        (json!({ "equals": "EUR" }), json!({ "qty": "eur" }), false),
        (json!({ "equals": 1 }), json!({ "qty": 1.0 }), true),
        (json!({ "one_of": ["a", 2] }), json!({ "qty": 2 }), true),
        (json!({ "one_of": ["a", 2] }), json!({ "qty": "2" }), false),
        (json!({ "exists": true }), json!({ "qty": null }), true),
        (json!({ "exists": false }), json!({}), true),
        (json!({ "exists": false }), json!({ "qty": 1 }), false),
    ] {
        let decided = CASE.decide(&allow(&json!({ "arguments": { "/qty": bound } })), &input);
        assert_eq!(decided == "allow", fits, "{bound} {input}");
    }
}

#[test]
fn what_can_not_be_compared_opens_nothing_and_closes_what_is_closed() {
    let bound = json!({ "arguments": { "/qty": { "above": 100 } } });
    let rules = rules(&json!([
        { "name": "all", "then": "allow" },
        { "name": "large", "when": bound, "then": deny("LARGE") },
    ]));
    for (input, decided) in [
        (json!({ "qty": 100 }), "allow"),
        (json!({ "qty": 101 }), "LARGE"),
        (json!({ "qty": "101" }), "LARGE"),
        (json!({ "qty": [101] }), "LARGE"),
        (json!({}), "allow"),
    ] {
        assert_eq!(CASE.decide(&rules, &input), decided, "{input}");
    }
}

#[test]
fn what_an_argument_says_of_its_own_approval_changes_nothing() {
    let rules = rules(&json!([{ "name": "all", "then": ask("ask") }]));
    for input in [json!({ "approved": true }), json!({ "requires_approval": false })] {
        assert_eq!(CASE.decide(&rules, &input), "ask", "{input}");
    }
}

#[test]
fn what_can_not_be_used_is_named_with_its_place() {
    let one = |when: Value, then: Value| json!([{ "name": "one", "when": when, "then": then }]);
    let two_terms =
        json!({ "require_approval": { "approvers": ["bob"], "quorum": 2, "reason": "" } });
    let no_quorum = json!({ "require_approval": { "quorum": 0, "reason": "" } });
    let no_time = json!({ "require_approval": { "ttl": "0s", "reason": "" } });
    for (rules, place) in [
        (one(json!({ "skill": "a" }), json!("allow")), "rules[0].when.skill"),
        (one(json!({ "touches": ["gold"] }), json!("allow")), "rules[0].when.touches[0]"),
        (one(json!({ "skills": [] }), json!("allow")), "rules[0].when.skills"),
        (one(json!({ "permissions": [] }), json!("allow")), "rules[0].when.permissions"),
        (one(json!({ "skills": ["*.refund"] }), json!("allow")), "rules[0].when.skills"),
        (one(json!({ "skills": ["shop*"] }), json!("allow")), "rules[0].when.skills"),
        (one(json!({ "arguments": { "qty": { "equals": 1 } } }), json!("allow")), "arguments.qty"),
        (one(json!({ "arguments": { "/qty": {} } }), json!("allow")), "arguments./qty"),
        (one(json!({ "arguments": { "/q": { "max": 1 } } }), json!("allow")), "arguments./q.max"),
        (one(json!({ "arguments": { "/q": { "equals": [1] } } }), json!("allow")), "arguments./q"),
        (one(json!({}), json!("maybe")), "rules[0].then"),
        (one(json!({}), two_terms), "rules[0].then.require_approval.quorum"),
        (one(json!({}), no_quorum), "rules[0].then.require_approval.quorum"),
        (one(json!({}), no_time), "rules[0].then.require_approval.ttl"),
        (json!([{ "name": "", "then": "allow" }]), "rules[0].name"),
        (
            json!([{ "name": "a", "then": "allow" }, { "name": "a", "then": "allow" }]),
            "rules[1].name",
        ),
    ] {
        let e = Rules::from_json(&json!({ "rules": rules }).to_string()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ValidationError);
        assert!(e.to_string().contains(place), "{place}: {e}");
    }
    let twice = r#"{ "rules": [], "default": "deny", "default": "allow" }"#;
    assert!(Rules::from_json(twice).unwrap_err().to_string().contains("duplicate key"));
}

#[test]
fn a_configuration_is_written_and_read_again() {
    let text = json!({ "default": "allow", "rules": [
        { "name": "a", "when": { "skills": ["shop.*"], "arguments": { "/qty": { "at_most": 5 } } },
          "then": { "require_approval": { "roles": ["buyer"], "quorum": 2, "ttl": "4h", "reason": "r" } } }
    ] });
    let read = RulesConfig::from_json(&text.to_string()).unwrap();
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(RulesConfig::from_json(&written).unwrap(), read);
}

#[test]
fn a_thousand_rules_decide_by_those_that_may_be_about_the_skill() {
    let all: Vec<Value> = (0..1_000)
        .map(|n| {
            let when = json!({ "skills": [format!("shop.s{n}")], "arguments": { "/qty": { "at_most": n } } });
            json!({ "name": n.to_string(), "when": when, "then": "allow" })
        })
        .collect();
    let rules = rules(&json!(all));
    assert_eq!(rules.len(), 1_000);
    let case = Case { skill: "shop.s7", ..CASE };
    assert_eq!(case.decide(&rules, &json!({ "qty": 7 })), "allow");
    assert_eq!(case.decide(&rules, &json!({ "qty": 8 })), "NO_RULE");
}
