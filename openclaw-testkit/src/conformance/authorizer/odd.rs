//! Odd calls: whatever a model may write is decided, and approves nothing.

use openclaw_core::{AgentId, SkillId, TenantId, skill::SkillManifest};
use serde_json::{Value, json};

use super::{AskedCall, Trial, trial::at_least};

/// How deep arguments are nested: as deep as core reads JSON by default.
const DEEP: usize = 64;

/// Whatever the arguments are, there is a decision, and always the same.
pub fn odd_arguments_are_decided(trial: &Trial<'_>) {
    let deep = (0..DEEP).fold(json!(1), |inner, n| match n % 2 {
        0 => json!([inner]),
        _ => json!({ "qty": inner }),
    });
    let odd = [
        json!(null),
        json!(true),
        json!(""),
        json!([]),
        json!([[], {}, null]),
        json!({ "": { "": 0 } }),
        json!({ "qty": "1" }),
        json!({ "qty": { "qty": 1 } }),
        json!({ "qty": -1, "a/b": 1, "m~n": 2, "~1": 3, "\u{0}": "\u{10ffff}" }),
        json!({ "qty": u64::MAX, "to": i64::MIN, "at": 1e308, "least": 5e-324 }),
        json!({ "qty": "9".repeat(100_000) }),
        json!(vec![1; 10_000]),
        deep,
    ];
    for call in trial.calls() {
        for input in &odd {
            let call = AskedCall { input: input.clone(), ..call.clone() };
            assert_eq!(trial.decide(&call), trial.decide(&call), "twice: {:?}", call.manifest.id);
        }
    }
}

/// Whatever skill, tenant or agent it is, known or not, there is a decision.
pub fn odd_names_are_decided(trial: &Trial<'_>) {
    let long = "é".repeat(64);
    for name in [".", "..", "*", "a.*", " ", "shop", "shop.order.", "🦀", "shop.🦀", &long] {
        let skill = SkillId::new(name).expect("an id");
        let call = AskedCall::new(SkillManifest::new(skill, "1.0.0"), json!({ "qty": 1 }))
            .of(TenantId::new(name).expect("an id"));
        let call = [call.clone(), call.by(AgentId::new(name).expect("an id"))];
        for call in call {
            assert_eq!(trial.decide(&call), trial.decide(&call), "twice: {name:?}");
        }
    }
}

/// What an argument says of its own approval is an argument like any other.
pub fn an_argument_does_not_approve_its_call(trial: &Trial<'_>) {
    let words = [
        ("approved", json!(true)),
        ("approval", json!("a-1")),
        ("approved_by", json!("ann")),
        ("decision", json!("allow")),
        ("dry_run", json!(true)),
        ("force", json!(true)),
        ("roles", json!(["admin"])),
    ];
    for call in trial.calls() {
        let Value::Object(fields) = &call.input else { continue };
        let plain = trial.decide(call);
        let mut fields = fields.clone();
        for (word, value) in words.clone() {
            fields.entry(word).or_insert(value);
        }
        let worded = AskedCall { input: Value::Object(fields), ..call.clone() };
        let decision = trial.decide(&worded);
        assert!(at_least(&decision, &plain), "{plain:?} became {decision:?} by words: {call:?}");
    }
}
