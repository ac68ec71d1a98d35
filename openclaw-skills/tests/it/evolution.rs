//! What a change of a contract breaks, by tables.

use std::sync::Arc;

use openclaw_core::{SkillId, Touches, skill::SkillManifest};
use openclaw_skills::evolution::{Level, diff};
use serde_json::{Value, json};

fn manifest(input: Option<&Value>, output: Option<&Value>) -> SkillManifest {
    let mut manifest = SkillManifest::new(SkillId::new("pay").expect("an id"), "1.0.0");
    manifest.input = input.map(|schema| Arc::new(schema.clone()));
    manifest.output = output.map(|schema| Arc::new(schema.clone()));
    manifest
}

pub(crate) fn input(old: &Value, new: &Value) -> (Level, Vec<String>) {
    told(&manifest(Some(old), None), &manifest(Some(new), None))
}

pub(crate) fn output(old: &Value, new: &Value) -> (Level, Vec<String>) {
    told(&manifest(None, Some(old)), &manifest(None, Some(new)))
}

fn told(old: &SkillManifest, new: &SkillManifest) -> (Level, Vec<String>) {
    let change = diff(old, new);
    (change.level(), change.reasons().iter().map(|reason| reason.pointer.clone()).collect())
}

/// A closed object with these fields.
fn object(properties: &Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[test]
fn what_an_input_breaks() {
    let qty = |rule: Value| object(&json!({"qty": rule}), &["qty"]);
    for (old, new, place) in [
        (qty(json!({})), object(&json!({"qty": {}, "to": {}}), &["qty", "to"]), "/input/required"),
        (
            object(&json!({"a": {}, "b": {}}), &[]),
            object(&json!({"a": {}}), &[]),
            "/input/properties/b",
        ),
        (
            qty(json!({"type": "number"})),
            qty(json!({"type": "integer"})),
            "/input/properties/qty/type",
        ),
        (qty(json!({})), qty(json!({"type": "integer"})), "/input/properties/qty/type"),
        (qty(json!({"enum": [1, 2]})), qty(json!({"enum": [1]})), "/input/properties/qty/enum"),
        (qty(json!({"maximum": 9})), qty(json!({"maximum": 8})), "/input/properties/qty/maximum"),
        (
            qty(json!({"maximum": 9})),
            qty(json!({"exclusiveMaximum": 9})),
            "/input/properties/qty/exclusiveMaximum",
        ),
        (
            qty(json!({"minLength": 1})),
            qty(json!({"minLength": 2})),
            "/input/properties/qty/minLength",
        ),
        (qty(json!({})), qty(json!({"maxItems": 2})), "/input/properties/qty/maxItems"),
        (qty(json!({})), qty(json!({"pattern": "a"})), "/input/properties/qty/pattern"),
        (
            qty(json!({"pattern": "a"})),
            qty(json!({"pattern": "b"})),
            "/input/properties/qty/pattern",
        ),
        (qty(json!({})), qty(json!({"uniqueItems": true})), "/input/properties/qty/uniqueItems"),
        (
            qty(json!({"items": {"type": "number"}})),
            qty(json!({"items": {"type": "integer"}})),
            "/input/properties/qty/items/type",
        ),
        (
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            "/input/properties/a",
        ),
        (json!({}), json!(false), "/input"),
        (json!({"x": 1}), json!({"mystery": 1}), "/input/mystery"),
    ] {
        let (level, places) = input(&old, &new);
        assert_eq!(level, Level::Major, "{old} to {new}");
        assert!(places.iter().any(|at| at == place), "{old} to {new}: {places:?}");
    }
}

#[test]
fn what_an_input_may_change() {
    let qty = |rule: Value| object(&json!({"qty": rule}), &["qty"]);
    let tagged = |tags: &[&str]| {
        let branch =
            |tag: &&str| object(&json!({"by": {"const": tag}, "n": {"type": "integer"}}), &["by"]);
        json!({"oneOf": tags.iter().map(branch).collect::<Vec<_>>()})
    };
    for (old, new) in [
        (qty(json!({})), object(&json!({"qty": {}, "to": {"type": "string"}}), &["qty"])),
        (qty(json!({})), object(&json!({"qty": {}}), &[])),
        (qty(json!({"type": "integer"})), qty(json!({"type": "number"}))),
        (qty(json!({"type": "integer"})), qty(json!({"type": ["integer", "null"]}))),
        (
            qty(json!({"type": "integer"})),
            qty(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
        ),
        (
            qty(json!({"type": ["integer", "null"]})),
            qty(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
        ),
        (qty(json!({"enum": [1, 2]})), qty(json!({"enum": [2, 1, 3]}))),
        (qty(json!({"enum": [1, 2]})), qty(json!({"type": "integer", "minimum": 1}))),
        (qty(json!({"const": "a"})), qty(json!({"enum": ["a", "b"]}))),
        (qty(json!({"maximum": 9})), qty(json!({"maximum": 10}))),
        (qty(json!({"exclusiveMaximum": 9})), qty(json!({"maximum": 9}))),
        (qty(json!({"multipleOf": 4})), qty(json!({"multipleOf": 2}))),
        (
            qty(json!({"type": "integer", "format": "uint32"})),
            qty(json!({"type": "integer", "format": "uint64"})),
        ),
        (qty(json!({"type": "string", "pattern": "a"})), qty(json!({"type": "string"}))),
        (tagged(&["card", "bank"]), tagged(&["card", "bank", "cash"])),
        (object(&json!({"a": {}}), &[]), json!({"type": "object"})),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}),
            json!({"type": "number"}),
        ),
        (
            json!({"allOf": [{"type": "integer"}, {"minimum": 1}]}),
            json!({"type": "number", "minimum": 0}),
        ),
    ] {
        let (level, places) = input(&old, &new);
        assert_eq!(level, Level::Minor, "{old} to {new}: {places:?}");
        assert!(input(&new, &old).0 == Level::Major || input(&new, &old).0 == Level::Minor);
    }
}

#[test]
fn what_an_output_breaks() {
    let id = |rule: Value| object(&json!({"id": rule}), &["id"]);
    for (old, new, place) in [
        (
            object(&json!({"id": {}, "at": {}}), &["id"]),
            object(&json!({"id": {}}), &["id"]),
            "/output/properties/at",
        ),
        (id(json!({})), object(&json!({"id": {}}), &[]), "/output/required"),
        (
            id(json!({"type": "integer"})),
            id(json!({"type": "number"})),
            "/output/properties/id/type",
        ),
        (id(json!({"enum": ["a"]})), id(json!({"enum": ["a", "b"]})), "/output/properties/id/enum"),
        (id(json!({"maximum": 9})), id(json!({"maximum": 10})), "/output/properties/id/maximum"),
        (id(json!({})), object(&json!({"id": {}, "more": {}}), &["id"]), "/output/properties/more"),
    ] {
        let (level, places) = output(&old, &new);
        assert_eq!(level, Level::Major, "{old} to {new}");
        assert!(places.iter().any(|at| at == place), "{old} to {new}: {places:?}");
    }
}

#[test]
fn what_an_output_may_change() {
    let open = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
    for (old, new) in [
        (
            open(json!({"id": {}}), &["id"]),
            open(json!({"id": {}, "more": {"type": "string"}}), &["id"]),
        ),
        (open(json!({"id": {}}), &[]), open(json!({"id": {}}), &["id"])),
        (
            open(json!({"id": {"type": "number"}}), &[]),
            open(json!({"id": {"type": "integer"}}), &[]),
        ),
        (open(json!({"id": {"enum": [1, 2]}}), &[]), open(json!({"id": {"const": 1}}), &[])),
    ] {
        let (level, places) = output(&old, &new);
        assert_eq!(level, Level::Minor, "{old} to {new}: {places:?}");
    }
}

#[test]
fn words_alone_are_a_patch() {
    let one =
        json!({"type": "object", "properties": {"a": {"type": "string", "description": "x"}}});
    let other = json!({"title": "T", "type": "object", "properties": {"a": {"type": "string"}}});
    assert_eq!(input(&one, &other).0, Level::Patch);
    assert_eq!(output(&one, &other).0, Level::Patch);
    assert_eq!(input(&one, &one), (Level::Patch, vec![]));
}

#[test]
fn a_property_may_have_the_name_of_a_keyword() {
    let one = json!({"type": "object", "properties": {"title": {"type": "string"}}, "additionalProperties": false});
    let other = json!({"type": "object", "properties": {"title": {"type": "integer"}}, "additionalProperties": false});
    assert_eq!(input(&one, &other).0, Level::Major, "it is a field, not a word");
}

#[test]
fn a_contract_that_refers_to_itself_is_decided() {
    let tree = |max: u32| {
        json!({
            "$defs": {"Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer", "maximum": max},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "additionalProperties": false,
            }},
            "$ref": "#/$defs/Node",
        })
    };
    assert_eq!(input(&tree(9), &tree(10)).0, Level::Minor);
    assert_eq!(input(&tree(10), &tree(9)).0, Level::Major);
    let around = |max: u32| json!({"type": "object", "properties": {"next": {"$ref": "#"}, "v": {"maximum": max}}});
    assert_eq!(input(&around(9), &around(10)).0, Level::Minor);
    let vicious = |max: u32| json!({"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"maximum": max}]}}, "$ref": "#/$defs/A"});
    assert_eq!(input(&vicious(9), &vicious(10)).0, Level::Major, "nobody can tell");
}

#[test]
fn what_can_not_be_decided_is_breaking() {
    for (old, new) in [
        (json!({"not": {"type": "string"}}), json!({"not": {"type": "integer"}})),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 1}}),
            json!({"if": {"type": "string"}, "then": {"minLength": 0}}),
        ),
        (
            json!({"patternProperties": {"a": {}}}),
            json!({"patternProperties": {"b": {"type": "string"}}}),
        ),
        (
            json!({"oneOf": [{"minimum": 1}, {"type": "string"}]}),
            json!({"oneOf": [{"minimum": 0}, {"type": "string"}]}),
        ),
        (json!({"contains": {"const": 1}}), json!({"contains": {"const": 2}})),
        (
            json!({"unevaluatedProperties": false, "maxProperties": 1}),
            json!({"unevaluatedProperties": false}),
        ),
        (json!({"$ref": "https://example.com/a"}), json!({"$ref": "https://example.com/b"})),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "maximum": 1}),
            json!({"maximum": 2}),
        ),
    ] {
        assert_eq!(input(&old, &new).0, Level::Major, "{old} to {new}");
    }
}

#[test]
fn a_reference_is_the_same_when_what_it_leads_to_is() {
    let aside = |max: u32, to: &str| {
        json!({
            "$ref": to,
            "x-part": {"maximum": max},
            "$defs": {"A": {"$ref": "#/x-part"}, "B": {"$ref": "#/$defs/A"}},
        })
    };
    for to in ["#/x-part", "#/$defs/A", "#/$defs/B"] {
        assert_eq!(input(&aside(9, to), &aside(8, to)).0, Level::Major, "{to}");
        assert_eq!(input(&aside(8, to), &aside(9, to)).0, Level::Minor, "{to}");
    }
}

#[test]
fn fields_that_fit_a_pattern_are_refused_without_it() {
    let old = json!({"patternProperties": {"a": {}}, "additionalProperties": false});
    let new = json!({"additionalProperties": false});
    assert_eq!(input(&old, &new).0, Level::Major);
    assert_eq!(input(&new, &old).0, Level::Major, "and nobody can tell the other way");
}

#[test]
fn what_a_skill_touches_may_shrink_and_not_grow() {
    let plain = manifest(None, None);
    let writes = manifest(None, None).touches(Touches::WRITES);
    assert_eq!(told(&plain, &writes), (Level::Major, vec!["/touches".to_owned()]));
    assert_eq!(told(&writes, &plain), (Level::Minor, vec!["/touches".to_owned()]));
}

#[test]
fn a_contract_that_was_not_there_takes_and_gives_anything() {
    let number = json!({"type": "integer"});
    let (none, typed) = (manifest(None, None), manifest(Some(&number), Some(&number)));
    assert_eq!(
        told(&none, &typed),
        (Level::Major, vec!["/input/type".to_owned(), "/output".to_owned()])
    );
    assert_eq!(told(&typed, &none).1, ["/output/type".to_owned(), "/input".to_owned()]);
}
