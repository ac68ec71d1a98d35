//! Schemas that say the same, in whatever words.

use serde_json::{Map, Value};

/// Keywords that say nothing of what is accepted.
pub(super) const WORDS: &[&str] = &[
    "$comment",
    "$id",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// Keywords whose value is a schema.
const SCHEMAS: &[&str] = &[
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value is a list of schemas.
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];

/// Keywords whose value is a map of schemas.
const MAPS: &[&str] =
    &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Is it a keyword for people and other programs only?
pub(super) fn is_word(keyword: &str) -> bool {
    WORDS.contains(&keyword) || keyword.starts_with("x-")
}

/// Do two documents say the same?
pub(super) fn documents(a: &Value, b: &Value) -> bool {
    // Text by text the same: then their references lead to the same places, too.
    schemas(a, b, &is_place)
}

/// Does a reference lead to a definition?
pub(super) fn is_definition(to: &str) -> bool {
    (to.starts_with("#/$defs/") || to.starts_with("#/definitions/")) && is_place(to)
}

/// Does a reference lead to a part of the schema that is compared?
fn is_place(to: &str) -> bool {
    to.starts_with('#') && !to.split('/').any(is_word)
}

/// Do the definitions of two documents say the same?
pub(super) fn definitions(a: &Value, b: &Value) -> bool {
    // A reference from there to the rest of the document may lead to something else.
    let same = |key| maps(a.get(key), b.get(key), &is_definition);
    same("$defs") && same("definitions")
}

/// Do two schemas say the same? `refs` tells whether a reference leads to the same place in both.
pub(super) fn schemas(a: &Value, b: &Value, refs: &dyn Fn(&str) -> bool) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mine = a.keys().filter(|key| !is_word(key));
            let theirs = b.keys().filter(|key| !is_word(key)).count();
            mine.clone().count() == theirs && mine.clone().all(|key| keyword(key, a, b, refs))
        }
        (a, b) => a == b,
    }
}

/// Do two schemas say the same by this keyword?
pub(super) fn keyword(
    key: &str,
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    refs: &dyn Fn(&str) -> bool,
) -> bool {
    let (a, b) = match (a.get(key), b.get(key)) {
        (None, None) => return true,
        (Some(a), Some(b)) => (a, b),
        _ => return false,
    };
    match (key, a, b) {
        ("$ref", Value::String(one), Value::String(other)) => one == other && refs(one),
        ("$dynamicRef" | "$recursiveRef", one, other) => one == other && refs("$dynamicRef"),
        (key, one, other) if SCHEMAS.contains(&key) => schemas(one, other, refs),
        (key, Value::Array(one), Value::Array(other)) if LISTS.contains(&key) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| schemas(a, b, refs))
        }
        (key, one, other) if MAPS.contains(&key) => maps(Some(one), Some(other), refs),
        ("required", Value::Array(one), Value::Array(other)) => {
            one.iter().all(|name| other.contains(name)) && other.iter().all(|n| one.contains(n))
        }
        (_, one, other) => one == other,
    }
}

fn maps(a: Option<&Value>, b: Option<&Value>, refs: &dyn Fn(&str) -> bool) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let same =
                |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| schemas(a, b, refs));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}
