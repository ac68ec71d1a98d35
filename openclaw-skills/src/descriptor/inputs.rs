//! `inputs` and `outputs`: a whole JSON Schema, or a bare map of properties.

use serde_json::{Map, Value, json};

/// The JSON Schema that is meant.
///
/// A bare map of properties becomes the schema of an object; what has no default is required.
pub(super) fn schema(written: &Value) -> Value {
    match written {
        Value::Object(fields) if !is_schema(fields) => {
            let required: Vec<&String> = fields
                .iter()
                .filter(|(_, property)| property.get("default").is_none())
                .map(|(name, _)| name)
                .collect();
            json!({ "type": "object", "properties": fields, "required": required })
        }
        whole => whole.clone(),
    }
}

/// Is it a JSON Schema? A property may be called `type` or `properties`, too.
fn is_schema(fields: &Map<String, Value>) -> bool {
    let holds_schemas = |value: &Value| {
        let all = |map: &Map<String, Value>| map.values().all(|v| v.is_object() || v.is_boolean());
        value.as_object().is_some_and(all)
    };
    ["$schema", "$ref", "$defs"].iter().any(|name| fields.contains_key(*name))
        || fields.get("type").is_some_and(|kind| kind.is_string() || kind.is_array())
        || fields.get("properties").is_some_and(holds_schemas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_map_of_properties_is_wrapped() {
        let bare = json!({ "email": { "type": "string" }, "limit": { "default": 10 } });
        let wrapped = schema(&bare);
        assert_eq!(wrapped["type"], "object");
        assert_eq!(wrapped["properties"], bare);
        assert_eq!(wrapped["required"], json!(["email"]));
        assert_eq!(schema(&json!({}))["properties"], json!({}));
    }

    #[test]
    fn a_schema_stays_as_it_is() {
        for whole in [
            json!({ "type": "object" }),
            json!({ "type": ["object", "null"] }),
            json!({ "properties": { "a": true } }),
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" }),
            json!(true),
        ] {
            assert_eq!(schema(&whole), whole);
        }
    }

    #[test]
    fn a_property_may_have_the_name_of_a_keyword() {
        let bare = json!({ "type": { "type": "string" }, "properties": { "type": "array" } });
        assert_eq!(schema(&bare)["properties"], bare);
    }
}
