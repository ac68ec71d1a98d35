//! A schema taken apart: groups of keywords that mean something by themselves.

use serde_json::{Map, Value};

use super::{same::is_word, types::Types};

/// How a group of keywords is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Type,
    Values,
    Lower,
    Upper,
    Multiple,
    /// A number of at least so many.
    AtLeast,
    /// A number of at most so many.
    AtMost,
    Unique,
    Required,
    Properties,
    Items,
    Ref,
    AllOf,
    AnyOf,
    OneOf,
    Not,
    Format,
    /// It says the same on both sides, or nobody can tell.
    Same,
    /// Nobody can tell, as it depends on what stands beside it.
    Never,
}

/// A group of keywords, and the types that it says something of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    pub(super) kind: Kind,
    pub(super) keywords: &'static [&'static str],
    pub(super) types: Types,
}

const fn atom(kind: Kind, types: Types, keywords: &'static [&'static str]) -> Atom {
    Atom { kind, keywords, types }
}

const ATOMS: &[Atom] = &[
    atom(Kind::Type, Types::ALL, &["type"]),
    atom(Kind::Values, Types::ALL, &["enum"]),
    atom(Kind::Values, Types::ALL, &["const"]),
    atom(Kind::Lower, Types::NUMBER, &["minimum", "exclusiveMinimum"]),
    atom(Kind::Upper, Types::NUMBER, &["maximum", "exclusiveMaximum"]),
    atom(Kind::Multiple, Types::NUMBER, &["multipleOf"]),
    atom(Kind::AtLeast, Types::STRING, &["minLength"]),
    atom(Kind::AtMost, Types::STRING, &["maxLength"]),
    atom(Kind::Same, Types::STRING, &["pattern"]),
    atom(Kind::Format, Types::ALL, &["format"]),
    atom(Kind::Same, Types::STRING, &["contentEncoding", "contentMediaType", "contentSchema"]),
    atom(Kind::AtLeast, Types::ARRAY, &["minItems"]),
    atom(Kind::AtMost, Types::ARRAY, &["maxItems"]),
    atom(Kind::Unique, Types::ARRAY, &["uniqueItems"]),
    atom(Kind::Items, Types::ARRAY, &["prefixItems", "items"]),
    atom(Kind::Same, Types::ARRAY, &["contains", "minContains", "maxContains"]),
    atom(Kind::AtLeast, Types::OBJECT, &["minProperties"]),
    atom(Kind::AtMost, Types::OBJECT, &["maxProperties"]),
    atom(Kind::Required, Types::OBJECT, &["required"]),
    atom(
        Kind::Properties,
        Types::OBJECT,
        &["properties", "patternProperties", "additionalProperties"],
    ),
    atom(Kind::Same, Types::OBJECT, &["propertyNames"]),
    atom(Kind::Same, Types::OBJECT, &["dependentRequired"]),
    atom(Kind::Same, Types::OBJECT, &["dependentSchemas"]),
    atom(Kind::Ref, Types::ALL, &["$ref"]),
    atom(Kind::AllOf, Types::ALL, &["allOf"]),
    atom(Kind::AnyOf, Types::ALL, &["anyOf"]),
    atom(Kind::OneOf, Types::ALL, &["oneOf"]),
    atom(Kind::Not, Types::ALL, &["not"]),
    atom(Kind::Same, Types::ALL, &["if", "then", "else"]),
    atom(Kind::Never, Types::ARRAY, &["unevaluatedItems"]),
    atom(Kind::Never, Types::OBJECT, &["unevaluatedProperties"]),
];

impl Atom {
    /// The first of its keywords that a schema has: it names the place.
    pub(super) fn keyword(&self, schema: &Map<String, Value>) -> &'static str {
        let mut keywords = self.keywords.iter().copied();
        let first = self.keywords.first().copied().unwrap_or_default();
        keywords.find(|key| schema.contains_key(*key)).unwrap_or(first)
    }

    /// The group as a schema of its own.
    pub(super) fn alone(&self, schema: &Map<String, Value>) -> Value {
        let pairs = self.keywords.iter().filter_map(|key| schema.get_key_value(*key));
        Value::Object(pairs.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// The groups that a schema consists of.
pub(super) fn atoms(schema: &Map<String, Value>) -> impl Iterator<Item = &'static Atom> {
    ATOMS.iter().filter(|atom| atom.keywords.iter().any(|key| schema.contains_key(*key)))
}

/// The keywords of a schema that belong to no group, and may mean something.
pub(super) fn strange(schema: &Map<String, Value>) -> impl Iterator<Item = &String> {
    let known = |key: &str| {
        is_word(key)
            || matches!(key, "$defs" | "definitions")
            || ATOMS.iter().any(|atom| atom.keywords.contains(&key))
    };
    schema.keys().filter(move |key| !known(key))
}
