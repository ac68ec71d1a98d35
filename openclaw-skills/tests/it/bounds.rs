//! What a schema and a value may cost together: every bound ends in an answer.

use openclaw_core::ErrorKind;
use openclaw_skills::{MAX_BYTES, MAX_NODES, Schema, Schemas};
use serde_json::{Map, Value, json};

fn compile(schema: &Value) -> Schema {
    Schemas::new().compile(schema).expect("it compiles")
}

fn refused(schema: &Value, message: &str) {
    let error = Schemas::new().compile(schema).expect_err("it is refused");
    assert_eq!((error.kind(), error.message()), (ErrorKind::ValidationError, message));
}

/// The only problem there is: nobody checks this.
fn too_much(schema: &Value, value: &Value) {
    let problems = compile(schema).problems(value);
    let texts: Vec<&str> = problems.iter().map(|problem| &*problem.text).collect();
    let text = "its schema refers to itself too often to check all of it: make it smaller, \
                or nest it less";
    assert_eq!(texts, [text]);
}

/// Definitions by their numbers, and a start at the first.
fn linked(links: usize, link: impl Fn(Value) -> Value) -> Value {
    let defs = (0..links).map(|n| {
        let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        (format!("d{n}"), link(next))
    });
    let last = (format!("d{links}"), json!({ "type": "integer" }));
    let defs: Map<String, Value> = defs.chain([last]).collect();
    json!({ "$defs": defs, "$ref": "#/$defs/d0" })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

/// Each level is looked at by two rules that both go deeper.
fn twice() -> Value {
    json!({ "anyOf": [
        { "properties": { "a": { "$ref": "#" } }, "required": ["b"] },
        { "additionalProperties": { "$ref": "#" }, "minProperties": 9 },
    ] })
}

#[test]
fn definitions_that_name_the_next_one_twice_are_not_unfolded() {
    let bomb = linked(60, |next| json!({ "allOf": [next, next] }));
    too_much(&bomb, &json!(1));
    let small = linked(5, |next| json!({ "allOf": [next, next] }));
    assert_eq!(compile(&small).problems(&json!(1)), []);
    assert_eq!(compile(&small).problems(&json!("1")).len(), 8);
}

#[test]
fn a_recursive_schema_with_alternatives_is_bounded_by_what_its_value_makes_of_it() {
    too_much(&twice(), &nested(100));
    assert!(!compile(&twice()).problems(&nested(8)).is_empty());
}

#[test]
fn a_recursive_schema_without_alternatives_takes_deep_and_wide_values() {
    let tree = compile(&json!({
        "type": ["object", "array", "integer"],
        "additionalProperties": { "$ref": "#" },
        "items": { "$ref": "#" },
    }));
    assert_eq!(tree.problems(&nested(120)), []);
    assert_eq!(tree.problems(&json!(vec![nested(3); 10_000])), []);
}

#[test]
fn a_long_chain_of_references_is_refused() {
    let message = "the schema can't be used: its references lead too deep";
    refused(&linked(5_000, |next| next), message);
    refused(&linked(5_000, |next| json!({ "items": next })), message);
    assert_eq!(compile(&linked(100, |next| next)).problems(&json!(1)), []);
}

#[test]
fn a_schema_has_a_bounded_number_of_values_and_bytes() {
    let values = |n: usize| json!({ "enum": vec![1; n] });
    assert_eq!(compile(&values(1)).problems(&json!(1)), []);
    refused(&values(MAX_NODES), "the schema can't be used: it holds too many values");
    let bytes = |n: usize| json!({ "description": "x".repeat(n) });
    assert_eq!(compile(&bytes(MAX_BYTES - 18)).problems(&json!(1)), []);
    refused(&bytes(MAX_BYTES - 17), "the schema can't be used: it is too long");
}

#[test]
fn a_pattern_is_bounded_in_size_and_linear_in_time() {
    refused(&json!({ "pattern": "((a{100}){100}){100}" }), "the schema can't be used");
    let evil = compile(&json!({ "pattern": "^(a+)+$" }));
    assert_eq!(evil.problems(&json!("a".repeat(100_000) + "!")).len(), 1);
}
