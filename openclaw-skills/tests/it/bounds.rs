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
    assert_eq!(texts, [text], "{schema}");
}

/// Definitions by their numbers.
fn definitions(links: usize, link: impl Fn(Value) -> Value) -> Map<String, Value> {
    let defs = (0..links).map(|n| {
        let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        (format!("d{n}"), link(next))
    });
    let last = (format!("d{links}"), json!({ "type": "integer" }));
    defs.chain([last]).collect()
}

/// Definitions by their numbers, and a start at the first.
fn linked(links: usize, link: impl Fn(Value) -> Value) -> Value {
    json!({ "$defs": definitions(links, link), "$ref": "#/$defs/d0" })
}

fn twice_next(next: Value) -> Value {
    json!({ "allOf": Value::Array(vec![next.clone(), next]) })
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
fn a_recursive_schema_with_an_address_takes_deep_values() {
    let id = "https://example.com/tree.json";
    for reference in ["#", "tree.json", id] {
        let tree = json!({ "$id": id, "additionalProperties": { "$ref": reference } });
        assert_eq!(compile(&tree).problems(&nested(120)), [], "{reference}");
    }
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

type Over = fn(Value) -> Value;

/// Each keyword that holds rules, over a rule, and a value that the rule meets there.
fn keywords() -> Vec<(&'static str, Over, Value)> {
    vec![
        ("not", |rule| json!({ "not": rule }), json!(1)),
        ("if", |rule| json!({ "if": rule }), json!(1)),
        ("then", |rule| json!({ "if": true, "then": rule }), json!(1)),
        ("else", |rule| json!({ "if": false, "else": rule }), json!(1)),
        ("allOf", |rule| json!({ "allOf": [rule] }), json!(1)),
        ("anyOf", |rule| json!({ "anyOf": [rule] }), json!(1)),
        ("oneOf", |rule| json!({ "oneOf": [rule] }), json!(1)),
        (
            "dependentSchemas",
            |rule| json!({ "dependentSchemas": { "a": rule } }),
            json!({ "a": 1 }),
        ),
        ("dependencies", |rule| json!({ "dependencies": { "a": rule } }), json!({ "a": 1 })),
        ("properties", |rule| json!({ "properties": { "a": rule } }), json!({ "a": 1 })),
        (
            "patternProperties",
            |rule| json!({ "patternProperties": { "": rule } }),
            json!({ "a": 1 }),
        ),
        ("additionalProperties", |rule| json!({ "additionalProperties": rule }), json!({ "a": 1 })),
        (
            "unevaluatedProperties",
            |rule| json!({ "unevaluatedProperties": rule }),
            json!({ "a": 1 }),
        ),
        ("propertyNames", |rule| json!({ "propertyNames": rule }), json!({ "a": 1 })),
        ("prefixItems", |rule| json!({ "prefixItems": [rule] }), json!([1])),
        ("items", |rule| json!({ "items": rule }), json!([1])),
        ("contains", |rule| json!({ "contains": rule }), json!([1])),
        ("unevaluatedItems", |rule| json!({ "unevaluatedItems": rule }), json!([1])),
        ("an array of items", |rule| json!({ "$schema": DRAFT_7, "items": [rule] }), json!([1])),
        (
            "additionalItems",
            |rule| json!({ "$schema": DRAFT_7, "items": [true], "additionalItems": rule }),
            json!([1, 1]),
        ),
    ]
}

const DRAFT_7: &str = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019: &str = "https://json-schema.org/draft/2019-09/schema";

fn first() -> Value {
    json!({ "$ref": "#/$defs/d0" })
}

fn with(mut schema: Value, name: &str, held: Value) -> Value {
    schema[name] = held;
    schema
}

#[test]
fn work_is_bounded_below_each_keyword_that_holds_rules() {
    for (keyword, over, value) in keywords() {
        let schema = |links| with(over(first()), "$defs", definitions(links, twice_next).into());
        too_much(&schema(40), &value);
        assert!(compile(&schema(3)).problems(&value).len() <= 8, "{keyword}");
    }
}

#[test]
fn a_long_chain_of_references_is_refused_below_each_keyword_that_holds_rules() {
    for (_, over, _) in keywords() {
        let defs = definitions(1_000, |next| next);
        let message = "the schema can't be used: its references lead too deep";
        refused(&with(over(first()), "$defs", defs.into()), message);
    }
}

#[test]
fn work_is_bounded_for_each_way_to_refer() {
    let named = |mut definitions: Map<String, Value>, keyword: &str| {
        for (name, rule) in &mut definitions {
            rule[keyword] = json!(name);
        }
        definitions
    };
    let twice = |keyword: &'static str| {
        move |next: Value| {
            let name = next["$ref"].as_str().expect("a reference").replace("/$defs/", "");
            json!({ "allOf": [{ keyword: name }, { keyword: name }] })
        }
    };
    for (refer, name) in [("$ref", "$anchor"), ("$dynamicRef", "$dynamicAnchor")] {
        let defs = named(definitions(40, twice(refer)), name);
        too_much(&json!({ "$defs": defs, refer: "#d0" }), &json!(1));
    }
    let again = json!({ "additionalProperties": { "$recursiveRef": "#" } });
    let tree = json!({ "$schema": DRAFT_2019, "anyOf": [again, again], "maxProperties": 1 });
    too_much(&tree, &nested(100));
}

#[test]
fn references_in_a_circle_are_bounded() {
    let all: Vec<Value> = (0..11).map(|n| json!({ "$ref": format!("#/$defs/d{n}") })).collect();
    let defs: Map<String, Value> =
        (0..11).map(|n| (format!("d{n}"), json!({ "allOf": all }))).collect();
    too_much(&json!({ "$defs": defs, "$ref": "#/$defs/d0" }), &json!(1));
}

#[test]
fn what_asks_for_the_unevaluated_is_bounded_level_by_level() {
    for (keyword, value) in
        [("unevaluatedProperties", json!({ "a": 1 })), ("unevaluatedItems", json!([1]))]
    {
        let nested = |levels: usize| {
            let inner = json!({ keyword: { "type": "integer" } });
            (0..levels).fold(inner, |inner, _| json!({ "anyOf": [inner], keyword: false }))
        };
        too_much(&nested(40), &value);
        assert_eq!(compile(&nested(3)).problems(&value), []);
    }
}

/// What is refused because it would compile to too much, and where that begins.
fn unfolds(schema: &Value, place: &str) {
    let error = Schemas::new().compile(schema).expect_err("it is refused");
    let message = "the schema can't be used: it gets too big when its references are unfolded";
    assert_eq!((error.kind(), error.message()), (ErrorKind::ValidationError, message));
    assert!(error.context().any(|pair| pair == ("pointer", place)), "{error}");
}

#[test]
fn what_is_unevaluated_makes_a_bounded_number_of_copies() {
    for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
        let schema = |links| {
            let order = with(first(), keyword, json!(false));
            json!({ "properties": { "order": order }, "$defs": definitions(links, twice_next) })
        };
        unfolds(&schema(40), "/properties/order");
        assert_eq!(compile(&schema(4)).problems(&json!({ "order": 1 })), []);
    }
}

#[test]
fn rules_are_compiled_for_a_bounded_number_of_ways_between_documents() {
    let at = |name: &str, n: usize| format!("https://example.com/{name}{n}");
    let mut defs = Map::new();
    for n in 0..20 {
        let sides = ["a", "b"].map(|side| json!({ "$ref": at(side, n) }));
        defs.insert(format!("d{n}"), json!({ "$id": at("d", n), "allOf": sides }));
        for side in ["a", "b"] {
            let next = json!({ "$id": at(side, n), "$ref": at("d", n + 1) });
            defs.insert(format!("{side}{n}"), next);
        }
    }
    defs.insert("d20".to_owned(), json!({ "$id": at("d", 20) }));
    unfolds(&json!({ "$ref": at("d", 0), "$defs": defs }), "");
}

#[test]
fn alternatives_are_searched_in_bounded_time() {
    let defs = definitions(9, |next| json!({ "allOf": vec![next; 12] }));
    let alternatives = json!([first(), { "type": "string" }, { "type": "null" }]);
    unfolds(&json!({ "$defs": defs, "oneOf": alternatives }), "");
}

#[test]
fn the_places_of_all_rules_are_bounded_together() {
    let name = "x".repeat(100_000);
    let schema = json!({ "properties": { name: { "allOf": vec![json!({}); 10_000] } } });
    let error = Schemas::new().compile(&schema).expect_err("it is refused");
    assert!(error.message().ends_with("it gets too big when its references are unfolded"));
}

#[test]
fn the_patterns_of_a_schema_are_bounded_together() {
    let patterns = |n: usize| -> Value {
        let rules =
            (0..n).map(|n| (n.to_string(), json!({ "pattern": format!("\\p{{L}}{{20}}{n}") })));
        json!({ "properties": rules.collect::<Map<_, _>>() })
    };
    assert_eq!(compile(&patterns(10)).problems(&json!({})), []);
    refused(&patterns(6_000), "the schema can't be used: its patterns are too big together");
}
