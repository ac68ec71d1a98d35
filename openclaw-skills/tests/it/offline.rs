//! Nothing that a schema points to is fetched, from a file or from the network.

use std::borrow::Cow;

use openclaw_core::{Effect, ErrorKind};
use openclaw_skills::{Schemas, SkillCx, schemars, skill_fn};
use openclaw_testkit::attacks::{NEAR_MISSES, PRIVATE_ADDRESSES};
use serde_json::{Value, json};

use crate::support::manifest;

fn check(schema: &Value) {
    let error = Schemas::new().compile(schema).expect_err("it points outside");
    assert_eq!(error.kind(), ErrorKind::ValidationError, "{schema}");
    assert_eq!(
        error.message(),
        "the schema can't be used: it points to another document, and none is ever fetched",
        "{error}"
    );
}

#[test]
fn a_remote_reference_is_refused() {
    check(&json!({ "$ref": "https://example.com/order.json" }));
    check(&json!({ "properties": { "a": { "$ref": "http://127.0.0.1:1/order.json#/x" } } }));
    check(&json!({ "$dynamicRef": "https://example.com/order.json#x" }));
}

#[test]
fn no_spelling_of_an_address_is_fetched() {
    for address in PRIVATE_ADDRESSES.iter().chain(NEAR_MISSES) {
        // What is empty or only a fragment stays inside the document.
        if !address.is_empty() {
            let error = Schemas::new().compile(&json!({ "$ref": address })).expect_err(address);
            assert_eq!(error.kind(), ErrorKind::ValidationError, "{address:?}: {error}");
        }
    }
}

#[test]
fn a_file_reference_is_refused_even_when_the_file_exists() {
    let file = concat!("file://", env!("CARGO_MANIFEST_DIR"), "/tests/it/main.rs");
    check(&json!({ "$ref": file }));
    check(&json!({ "items": { "$ref": "other.json" } }));
}

#[test]
fn an_unknown_meta_schema_is_refused() {
    check(&json!({ "$schema": "https://example.com/meta.json" }));
}

#[test]
fn a_reference_inside_the_document_is_followed() {
    let schema = json!({ "$defs": { "id": { "type": "integer" } }, "$ref": "#/$defs/id" });
    let schema = Schemas::new().compile(&schema).expect("it stays inside");
    assert!(schema.validate(&json!(1)).is_ok());
    assert!(schema.validate(&json!("1")).is_err());
}

#[derive(serde::Deserialize)]
struct Remote;

impl schemars::JsonSchema for Remote {
    fn schema_name() -> Cow<'static, str> {
        "Remote".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "$ref": "https://example.com/order.json" })
    }
}

#[test]
fn a_skill_whose_type_points_outside_is_refused_by_name() {
    let made = skill_fn(manifest(Effect::Pure), async |_: SkillCx, _: Remote| Ok(()));
    let error = made.expect_err("it points outside");
    let pairs: Vec<_> = error.context().collect();
    assert!(pairs.contains(&("skill", "order.place")) && pairs.contains(&("side", "input")));
}
