//! What a problem says: what is allowed, in words a model can act on, and never the value.

use openclaw_skills::Schemas;
use serde_json::{Value, json};

/// The place and the text of the only problem.
fn check(schema: &Value, value: &Value, place: &str, text: &str) {
    let compiled = Schemas::new().compile(schema).expect("it compiles");
    let problems = compiled.problems(value);
    let found: Vec<_> = problems.iter().map(|p| (&*p.pointer, &*p.text)).collect();
    assert_eq!(found, [(place, text)], "{schema} on {value}");
}

fn order() -> Value {
    json!({
        "type": "object",
        "properties": { "number": { "type": "string" }, "count": { "type": "integer" } },
        "required": ["number"],
        "additionalProperties": false,
    })
}

#[test]
fn a_missing_field_says_what_it_has_to_be() {
    check(&order(), &json!({}), "", r#"missing field "number": it is required, a string"#);
    let untyped = json!({ "required": ["a"] });
    check(&untyped, &json!({}), "", r#"missing field "a": it is required"#);
}

#[test]
fn an_unknown_field_says_which_there_are() {
    let text = r#"unknown field "numbr"; allowed: "count", "number""#;
    check(&order(), &json!({ "number": "1", "numbr": 1 }), "", text);
    let text = r#"unknown fields "a", "b"; allowed: "count", "number""#;
    check(&order(), &json!({ "number": "1", "a": 1, "b": 2 }), "", text);
    let closed = json!({ "unevaluatedProperties": false });
    check(&closed, &json!({ "a": 1 }), "", r#"unknown field "a""#);
}

#[test]
fn an_option_that_is_none_says_which_there_are() {
    let schema = json!({ "enum": ["card", "invoice", 3] });
    check(&schema, &json!("s3cret"), "", r#"must be one of "card", "invoice", 3"#);
    check(&json!({ "const": "card" }), &json!("s3cret"), "", r#"must be "card""#);
}

#[test]
fn a_long_list_of_options_is_cut() {
    let schema = json!({ "enum": (0..1000).collect::<Vec<_>>() });
    let compiled = Schemas::new().compile(&schema).expect("it compiles");
    let text = &compiled.problems(&json!("x"))[0].text;
    assert!(text.ends_with(" and 980 more"), "{text}");
}

#[test]
fn a_type_is_told_from_what_it_has_to_be() {
    check(&json!({ "type": "integer" }), &json!("7"), "", "must be an integer, and is a string");
    let several = json!({ "type": ["string", "null"] });
    check(&several, &json!([]), "", "must be null or a string, and is an array");
}

#[test]
fn bounds_are_named() {
    for (rule, wrong, text) in [
        (json!({ "minimum": 1 }), json!(0), "must be at least 1"),
        (json!({ "maximum": 1.5 }), json!(2), "must be at most 1.5"),
        (json!({ "exclusiveMinimum": 1 }), json!(1), "must be more than 1"),
        (json!({ "exclusiveMaximum": 1 }), json!(1), "must be less than 1"),
        (json!({ "multipleOf": 5 }), json!(7), "must be a multiple of 5"),
        (json!({ "minLength": 1 }), json!(""), "must have at least 1 character"),
        (json!({ "maxLength": 2 }), json!("s3cret"), "must have at most 2 characters"),
        (json!({ "minItems": 2 }), json!([1]), "must have at least 2 items"),
        (json!({ "maxItems": 1 }), json!([1, 2]), "must have at most 1 item"),
        (json!({ "minProperties": 1 }), json!({}), "must have at least 1 field"),
        (json!({ "maxProperties": 0 }), json!({ "a": 1 }), "must have at most 0 fields"),
        (json!({ "uniqueItems": true }), json!([1, 1]), "its items must differ from each other"),
        (json!({ "pattern": "^[0-9]+$" }), json!("s3cret"), "must match the pattern ^[0-9]+$"),
        (json!({ "not": { "type": "string" } }), json!("s3cret"), "fits what is not allowed here"),
        (json!(false), json!("s3cret"), "is not allowed here"),
        (
            json!({ "contains": { "const": 1 }, "minContains": 2 }),
            json!([1]),
            "must have at least 2 items that fit `contains`",
        ),
        (
            json!({ "contains": { "const": 1 } }),
            json!([0]),
            "must have an item that fits `contains`",
        ),
        (
            json!({ "propertyNames": { "maxLength": 3 } }),
            json!({ "s3cret": 1 }),
            "a field's name breaks a rule: it must have at most 3 characters",
        ),
    ] {
        check(&rule, &wrong, "", text);
    }
}

#[test]
fn an_unknown_tag_says_which_there_are() {
    let pay = |by: &str| json!({ "properties": { "by": { "const": by } }, "required": ["by"] });
    let schema = json!({ "oneOf": [pay("card"), pay("invoice"), pay("cash")] });
    check(&schema, &json!({ "by": "s3cret" }), "/by", r#"must be "card", "invoice" or "cash""#);
}

#[test]
fn alternatives_that_nothing_tells_apart_are_counted() {
    let schema = json!({ "anyOf": [{ "minimum": 5 }, { "multipleOf": 2 }] });
    check(&schema, &json!(1), "", "fits none of the 2 alternatives");
    let schema = json!({ "oneOf": [{ "minimum": 5 }, { "multipleOf": 2 }] });
    check(
        &schema,
        &json!(6),
        "",
        "fits more than one of the alternatives, and must fit exactly one",
    );
}
