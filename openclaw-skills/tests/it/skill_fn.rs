//! A typed skill: what it refuses, where, and what it says of the effect.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use openclaw_core::{
    Call, Effect, Effects, Error, ErrorKind, Happened, Timestamp,
    channel::{Intent, Reconciled},
    middleware::{LedgerLayer, MarkLayer},
    records::{BudgetConfig, BudgetCost, BudgetLimit, Budgets, Period},
    skill::{Skill, SkillAnswer},
    store::{MemoryStore, SharedStore},
};
use openclaw_skills::{Schemas, SkillCx, skill_fn};
use openclaw_testkit::{
    env::test_env,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Order, Placed, context, key, manifest, pairs, place, run, skill};

fn check(input: &Value, expected: &[(&str, &str)]) {
    let error = skill(Effect::Pure).validate(input).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::ValidationError);
    assert_eq!(error.happened(), Happened::No);
    assert_eq!(pairs(&error), expected, "{input}");
}

fn order(count: impl Into<Value>) -> Value {
    let count = count.into();
    json!({ "number": "1042", "lines": [{ "count": 1 }, { "count": count }] })
}

#[tokio::test]
async fn valid_input_reaches_the_function_with_its_key() {
    let answer = run(&skill(Effect::AtMostOnce), order(2)).await.expect("it runs");
    assert_eq!(answer, SkillAnswer::done(json!({ "total": 3, "key": key().as_str() })));
}

#[tokio::test]
async fn a_call_without_key_says_so_when_one_is_required() {
    let demanding = async |cx: SkillCx| cx.require_key().map(ToString::to_string);
    let skill = skill(Effect::Pure);
    let call = Call::skill(context(), skill.manifest(), Arc::new(Value::Null));
    let error = demanding(SkillCx::of(&call)).await.expect_err("no key");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, Happened::No));
    assert_eq!(demanding(SkillCx::of(&call.with_key(key()))).await.ok(), Some(key().to_string()));
}

#[test]
fn a_broken_rule_is_named_with_its_place_in_value_and_schema() {
    check(
        &order(0),
        &[
            ("pointer", "/lines/1/count"),
            ("schema_path", "/$defs/Line/properties/count/minimum"),
            ("problem", "must be at least 1"),
        ],
    );
}

#[test]
fn a_missing_field_is_named() {
    check(
        &json!({ "number": "1042" }),
        &[
            ("pointer", ""),
            ("schema_path", "/required"),
            ("problem", "missing field \"lines\": it is required, an array"),
        ],
    );
}

#[test]
fn an_unknown_field_is_refused() {
    let mut input = order(1);
    input["discount"] = json!("s3cret");
    check(
        &input,
        &[
            ("pointer", ""),
            ("schema_path", "/additionalProperties"),
            ("problem", "unknown field \"discount\"; allowed: \"lines\", \"number\", \"pay\""),
        ],
    );
}

#[test]
fn the_alternative_that_was_meant_is_the_one_that_is_explained() {
    let mut input = order(1);
    input["pay"] = json!({ "by": "card", "number": "s3cret" });
    check(
        &input,
        &[
            ("pointer", "/pay/number"),
            ("schema_path", "/$defs/Pay/oneOf/0/properties/number/type"),
            ("problem", "must be an integer, and is a string"),
        ],
    );
}

#[test]
fn what_only_the_type_refuses_has_a_pointer_too() {
    // 2^64 fits the schema; the `u64` behind it is full.
    check(
        &order(18_446_744_073_709_551_616.0),
        &[("pointer", "/lines/1/count"), ("problem", "invalid type, expected u64")],
    );
}

#[test]
fn no_value_shows_in_an_error() {
    let mut broken = order("s3cret");
    broken["number"] = json!("s3cret");
    broken["pay"] = json!({ "by": "s3cret" });
    let error = skill(Effect::Pure).validate(&broken).expect_err("it is refused");
    let said = format!("{error} {error:?} {}", error.public());
    assert!(!said.contains("s3cret"), "{said}");
    for place in ["/number", "/lines/1/count", "/pay"] {
        assert!(error.public().contains(place), "{place} is missing in: {}", error.public());
    }
}

#[test]
fn many_problems_are_cut_to_a_few() {
    let lines: Vec<Value> = (0..1000).map(|_| json!({ "count": 0 })).collect();
    let error = skill(Effect::Pure)
        .validate(&json!({ "number": "1", "lines": lines }))
        .expect_err("it is refused");
    assert_eq!(pairs(&error).len(), 3 * 8);
}

#[tokio::test]
async fn run_checks_its_input_itself() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&runs);
    let skill = skill_fn(manifest(Effect::AtMostOnce), move |cx, order: Order| {
        seen.fetch_add(1, Ordering::Relaxed);
        place(cx, order)
    });
    let skill = skill.expect("the schemas compile");
    let error = run(&skill, order(0)).await.expect_err("it is refused");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, Happened::No));
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn output_that_breaks_its_contract_says_that_the_effect_happened() {
    for (effect, happened) in [(Effect::AtMostOnce, Happened::Yes), (Effect::Pure, Happened::No)] {
        let error = run(&skill(effect), order(100)).await.expect_err("101 is too much");
        assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, happened));
        assert!(!error.is_safe_to_retry());
        let pointers = [
            ("pointer", "/total"),
            ("schema_path", "/properties/total/maximum"),
            ("problem", "must be at most 100"),
        ];
        assert_eq!(pairs(&error), pointers);
    }
}

#[tokio::test]
async fn the_functions_own_error_passes_unchanged() {
    let fails = async |_: SkillCx, _: Order| {
        Err::<Placed, _>(Error::new(ErrorKind::Timeout, "the shop is slow"))
    };
    let skill = skill_fn(manifest(Effect::AtMostOnce), fails).expect("the schemas compile");
    let error = run(&skill, order(1)).await.expect_err("it fails");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Timeout, Happened::Maybe));
    assert_eq!(error.message(), "the shop is slow");
}

#[tokio::test]
async fn withheld_effects_let_only_pure_skills_run() {
    for (effect, runs) in [(Effect::Pure, true), (Effect::AtLeastOnce, false)] {
        let skill = skill(effect);
        let context = context().with_effects(Effects::Withheld);
        let call = Call::skill(context, skill.manifest(), Arc::new(order(1)));
        assert_eq!(skill.run(call).await.is_ok(), runs, "{effect:?}");
    }
}

#[test]
fn the_manifest_shows_both_schemas() {
    let skill = skill(Effect::Pure);
    let manifest = skill.manifest();
    let input = manifest.input.as_deref().expect("there is one");
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(input["required"], json!(["number", "lines"]));
    let output = manifest.output.as_deref().expect("there is one");
    assert_eq!(output["properties"]["total"]["maximum"], 100);
}

#[tokio::test]
async fn schemas_are_compiled_once_and_shared() {
    let schemas = Schemas::new();
    let first = schemas.skill_fn(manifest(Effect::Pure), place).expect("the schemas compile");
    let second = schemas.skill_fn(manifest(Effect::Pure), place).expect("the schemas compile");
    for _ in 0..10 {
        run(&first, order(1)).await.expect("it runs");
        run(&second, order(1)).await.expect("it runs");
    }
    assert_eq!(schemas.compiled(), 2, "one for the input, one for the output");
}

#[test]
fn a_version_that_is_none_is_refused() {
    let mut manifest = manifest(Effect::Pure);
    manifest.version = "1.0".into();
    let error = skill_fn(manifest, place).expect_err("no patch number");
    assert_eq!(error.kind(), ErrorKind::ValidationError);
}

#[tokio::test]
async fn a_reconcilable_skill_has_its_hook_or_refuses() {
    let new = || skill_fn(manifest(Effect::Reconcilable), place).expect("the schemas compile");
    let error = new().validate(&order(1)).expect_err("no hook");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Unsupported, Happened::No));

    let shop = CountingRemote::new(RemoteKind::Unkeyed);
    let shop = RemoteSkill::named("order.place", Effect::Reconcilable, shop).expect("a name");
    let skill = new().reconcile_with(shop);
    assert!(skill.validate(&order(1)).is_ok());
    let hook = skill.reconcile().expect("it is attached");
    let intent = Intent::new(key(), "order.place", Arc::default(), Timestamp::default());
    assert!(matches!(hook.reconcile(&intent).await, Ok(Reconciled::DidNotHappen)));
}

#[tokio::test(start_paused = true)]
async fn what_a_function_says_it_has_spent_is_what_is_settled() {
    for (effect, said, booked) in [
        (Effect::AtMostOnce, Some(170), 170),
        (Effect::Pure, Some(170), 170),
        (Effect::AtMostOnce, Some(0), 0),
        (Effect::AtMostOnce, None, 500),
    ] {
        let ask = move |cx: SkillCx, text: String| async move {
            if let Some(tokens) = said {
                cx.spent("tokens", tokens / 2);
                cx.clone().spent("tokens", tokens - tokens / 2);
            }
            Ok(text)
        };
        let skill = Arc::new(skill_fn(manifest(effect), ask).expect("a skill"));
        let config = BudgetConfig::new(
            [BudgetCost::new("tokens", 500)],
            [BudgetLimit::new("tokens", Period::Day, 1000)],
        );
        let budgets = Budgets::new(config).expect("budgets");
        let env = test_env(1);
        let store: SharedStore = Arc::new(MemoryStore::new(env.clock()));
        let ledger = LedgerLayer::builder(Arc::clone(&store), env.clone());
        let ledger = ledger.budgets(budgets.clone()).build();
        let call = Call::skill(context(), skill.manifest(), Arc::new(json!("a text")));
        let run = service_fn(move |call| {
            let skill = Arc::clone(&skill);
            async move { skill.run(call).await }
        });
        let run = ledger.layer(MarkLayer::new().layer(run));
        run.oneshot(call.with_key(key())).await.expect("it runs");
        let accounts = budgets.accounts(store, env, context().tenant().clone());
        let balances = accounts.balances().await.expect("balances");
        assert_eq!((balances[0].spent, balances[0].reserved), (booked, 0), "{effect:?} {said:?}");
    }
}
