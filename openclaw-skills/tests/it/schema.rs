//! Schemas on their own: the keywords of 2020-12, the cache, the bounds.

use openclaw_core::ErrorKind;
use openclaw_skills::{MAX_DEPTH, Schemas};
use serde_json::{Value, json};

fn check(schema: &Value, good: &Value, bad: &Value, place: &str, rule: &str) {
    let compiled = Schemas::new().compile(schema).expect("it compiles");
    assert_eq!(compiled.problems(good), [], "{schema}");
    let problems = compiled.problems(bad);
    let found: Vec<_> = problems.iter().map(|p| (&*p.pointer, &*p.schema_path)).collect();
    assert_eq!(found, [(place, rule)], "{schema}");
}

#[test]
fn keywords_of_2020_12_hold() {
    check(
        &json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "integer" } }),
        &json!(["a", 1]),
        &json!(["a", 1, "b"]),
        "/2",
        "/items/type",
    );
    check(
        &json!({ "dependentRequired": { "card": ["name"] } }),
        &json!({ "card": 1, "name": "x" }),
        &json!({ "card": 1 }),
        "",
        "/dependentRequired",
    );
    check(
        &json!({ "allOf": [{ "properties": { "a": true } }], "unevaluatedProperties": false }),
        &json!({ "a": 1 }),
        &json!({ "a": 1, "b": 2 }),
        "",
        "/unevaluatedProperties",
    );
    check(
        &json!({ "contains": { "const": 1 }, "minContains": 2 }),
        &json!([1, 0, 1]),
        &json!([1, 0]),
        "",
        "/minContains",
    );
    check(
        &json!({ "$defs": { "n": { "$anchor": "n", "minimum": 3 } }, "$ref": "#n" }),
        &json!(3),
        &json!(2),
        "",
        "/$defs/n/minimum",
    );
}

#[test]
fn a_format_is_an_annotation() {
    let schema = Schemas::new().compile(&json!({ "format": "email" })).expect("it compiles");
    assert_eq!(schema.problems(&json!("nobody")), []);
}

#[test]
fn equal_schemas_compile_once_whatever_the_order_of_their_keys() {
    let schemas = Schemas::new();
    let text = r#"[{"minimum":1,"type":"integer"},{"type":"integer","minimum":1}]"#;
    let both: Vec<Value> = serde_json::from_str(text).expect("it is JSON");
    let kept: Vec<_> = both.iter().map(|s| schemas.clone().compile(s).expect("good")).collect();
    assert_eq!(kept[0].digest(), kept[1].digest());
    assert_eq!(schemas.compiled(), 1);
}

#[test]
fn of_a_schema_that_many_compile_at_once_one_stays() {
    let schemas = Schemas::new();
    let rule = json!({ "pattern": "\\p{L}{9}" });
    let kept: Vec<_> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(|| schemas.compile(&rule))).collect();
        askers.into_iter().map(|asker| asker.join().expect("no panic").expect("good")).collect()
    });
    assert_eq!((kept.len(), schemas.compiled()), (4, 1));
}

#[test]
fn a_schema_that_nobody_uses_is_forgotten() {
    let schemas = Schemas::new();
    for _ in 0..3 {
        drop(schemas.compile(&json!({ "type": "integer" })).expect("it compiles"));
    }
    assert_eq!(schemas.compiled(), 3);
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for (schema, place) in [
        (json!({ "properties": { "a": { "type": "strng" } } }), "/properties/a/type"),
        (json!({ "pattern": "(" }), "/pattern"),
        (json!({ "pattern": "^(?!a)" }), "/pattern"),
    ] {
        let error = Schemas::new().compile(&schema).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::ValidationError);
        assert!(error.context().any(|pair| pair == ("pointer", place)), "{error}");
    }
    let dangling = Schemas::new().compile(&json!({ "$ref": "#/$defs/none" }));
    assert_eq!(dangling.expect_err("it is refused").message(), "the schema can't be used");
}

#[test]
fn a_property_name_that_breaks_a_rule_is_not_repeated() {
    let schema = json!({ "propertyNames": { "pattern": "^[a-z]+$" } });
    let schema = Schemas::new().compile(&schema).expect("it compiles");
    let error = schema.validate(&json!({ "S3CRET": 1 })).expect_err("it is refused");
    assert!(!format!("{error:?} {}", error.public()).contains("S3CRET"), "{error:?}");
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn depth_is_bounded_for_values_and_schemas() {
    let schemas = Schemas::new();
    let tree = json!({ "items": { "$ref": "#" } });
    let tree = schemas.compile(&tree).expect("it compiles");
    assert_eq!(tree.problems(&nested(MAX_DEPTH)), []);
    assert!(tree.validate(&nested(MAX_DEPTH + 1)).is_err());

    let deep = (0..MAX_DEPTH).fold(json!(true), |inner, _| json!({ "items": inner }));
    assert!(schemas.compile(&deep).is_ok());
    assert!(schemas.compile(&json!({ "items": deep })).is_err());
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    for schema in [json!({ "$ref": "#" }), json!({ "allOf": [{ "$ref": "#" }] })] {
        let schema = Schemas::new().compile(&schema).expect("it compiles");
        assert!(schema.validate(&json!({ "a": 1 })).is_ok());
    }
}
