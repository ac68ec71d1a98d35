//! What a change of a contract breaks, on schemas and values at random.

use openclaw_skills::{Schemas, evolution::Level};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{TestCaseResult, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::evolution::{input, output};

/// A schema of one keyword.
fn leaf() -> impl Strategy<Value = Value> {
    let names = prop::sample::subsequence(
        vec!["null", "boolean", "integer", "number", "string", "array", "object"],
        1..3,
    );
    let small = -3_i64..4;
    prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(false)),
        names.prop_map(|names| json!({"type": names})),
        prop::collection::vec(value(), 1..4).prop_map(|values| json!({"enum": values})),
        value().prop_map(|value| json!({"const": value})),
        (
            small,
            prop::sample::select(vec![
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum"
            ])
        )
            .prop_map(|(n, key)| json!({key: n})),
        (
            0_u64..4,
            prop::sample::select(vec![
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties",
                "multipleOf"
            ])
        )
            .prop_map(|(n, key)| json!({key: if key == "multipleOf" { n + 1 } else { n }})),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..3)
            .prop_map(|names| json!({"required": names})),
        prop::sample::select(vec!["^a", "b$"]).prop_map(|pattern| json!({"pattern": pattern})),
        any::<bool>().prop_map(|unique| json!({"uniqueItems": unique})),
    ]
}

/// A schema of a few keywords, three levels deep at most.
fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        let fields = prop::collection::btree_map("[a-c]", inner.clone(), 0..3);
        prop_oneof![
            (fields.clone(), prop::option::of(inner.clone())).prop_map(|(fields, others)| {
                let schema = json!({"properties": fields});
                let others = others.map(|others| json!({"additionalProperties": others}));
                others.map_or_else(|| schema.clone(), |others| join(others, schema.clone()))
            }),
            (fields.clone(), any::<bool>()).prop_map(|(fields, open)| {
                json!({"type": "object", "properties": fields, "additionalProperties": open})
            }),
            (prop::collection::vec(inner.clone(), 0..3), inner.clone())
                .prop_map(|(first, rest)| json!({"prefixItems": first, "items": rest})),
            inner.clone().prop_map(|rest| json!({"items": rest})),
            (
                prop::collection::vec(inner.clone(), 1..3),
                prop::sample::select(vec!["anyOf", "oneOf", "allOf"])
            )
                .prop_map(|(parts, key)| json!({key: parts})),
            inner.clone().prop_map(|part| json!({"not": part})),
            inner.clone().prop_map(|part| json!({"contains": part})),
            inner.clone().prop_map(|part| json!({"propertyNames": part})),
            ("[ab]", inner.clone())
                .prop_map(|(pattern, part)| json!({"patternProperties": {pattern: part}})),
            inner.clone().prop_map(|part| json!({"$ref": "#/$defs/D", "$defs": {"D": part}})),
            (inner.clone(), inner).prop_map(|(one, other)| join(one, other)),
        ]
    })
}

/// The keywords of both, those of the first where both have one.
fn join(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(mut other)) => {
            other.extend(one);
            Value::Object(other)
        }
        (one, _) => one,
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-4_i64..5).prop_map(Value::from),
        (-4_i64..5).prop_map(|n| json!(n as f64)),
        (-4_i64..5).prop_map(|n| json!(n as f64 + 0.5)),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A schema, and one that is near it: a part is changed, taken away or added.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        (schema(), schema()),
        (schema(), schema()).prop_map(|(one, other)| (one.clone(), join(one, other))),
        (schema(), schema()).prop_map(|(one, other)| (join(one.clone(), other), one)),
        (schema(), schema())
            .prop_map(|(one, other)| { (json!({"anyOf": [one]}), json!({"anyOf": [one, other]})) }),
        (schema(), schema()).prop_map(|(one, other)| {
            let object =
                |part: &Value| json!({"properties": {"a": part}, "additionalProperties": false});
            (object(&one), object(&json!({"anyOf": [other, one]})))
        }),
    ]
}

/// Everything that the narrow one takes is taken by the wide one.
fn holds(narrow: &Value, wide: &Value, values: &[Value]) -> TestCaseResult {
    let schemas = Schemas::new();
    let (Ok(narrow), Ok(wide)) = (schemas.compile(narrow), schemas.compile(wide)) else {
        return Ok(());
    };
    for value in values {
        let (one, other) = (narrow.problems(value).is_empty(), wide.problems(value).is_empty());
        prop_assert!(!one || other, "{value} fits the one and not the other");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_called_compatible_refuses_no_input_that_was_taken(
        (old, new) in pair(),
        values in prop::collection::vec(value(), 1..40),
    ) {
        if input(&old, &new).0 < Level::Major {
            holds(&old, &new, &values)?;
        }
    }

    #[test]
    fn what_is_called_compatible_gives_no_output_that_is_a_surprise(
        (old, new) in pair(),
        values in prop::collection::vec(value(), 1..40),
    ) {
        if output(&old, &new).0 < Level::Major {
            holds(&new, &old, &values)?;
        }
    }
}

/// Schemas that nothing fits, or that are never compatible, would prove nothing.
#[test]
fn many_of_the_changes_at_random_are_compatible_and_matter() {
    let mut runner = TestRunner::deterministic();
    let (mut compatible, mut wider) = (0, 0);
    for _ in 0..400 {
        let (old, new) = pair().new_tree(&mut runner).expect("a pair").current();
        let schemas = Schemas::new();
        let (Ok(one), Ok(other)) = (schemas.compile(&old), schemas.compile(&new)) else { continue };
        if input(&old, &new).0 != Level::Minor {
            continue;
        }
        compatible += 1;
        let widens =
            |value: &Value| other.problems(value).is_empty() && !one.problems(value).is_empty();
        let mut values = || value().new_tree(&mut runner).expect("a value").current();
        wider += u32::from((0..40).any(|_| widens(&values())));
    }
    assert!(compatible > 100 && wider > 40, "{compatible} compatible, {wider} of them wider");
}
