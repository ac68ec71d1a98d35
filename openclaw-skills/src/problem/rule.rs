//! What a broken rule asks for, in words a model can act on. Never the value that broke it.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use super::printable;

/// How many names or options one text lists.
const MAX_NAMES: usize = 20;

const MAX_NAME: usize = 64;

/// The rule behind one finding. `schema` is the whole document.
pub(super) fn text(error: &ValidationError<'_>, schema: &Value) -> String {
    let around = Around::of(error, schema);
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unknown(unexpected, around)
        }
        Kind::Required { property } => missing(property, around),
        Kind::Enum { options } => one_of(options),
        Kind::Constant { expected_value } => format!("must be {}", short(expected_value)),
        Kind::Type { kind } => {
            format!("must be {}, and is {}", types(kind), article(name_of(error.instance())))
        }
        Kind::PropertyNames { error } => {
            format!("a field's name breaks a rule: it {}", text(error, &Value::Null))
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            format!("fits none of the {} alternatives", context.len())
        }
        Kind::OneOfMultipleValid { .. } => {
            "fits more than one of the alternatives, and must fit exactly one".to_owned()
        }
        Kind::Not { .. } => "fits what is not allowed here".to_owned(),
        Kind::FalseSchema => "is not allowed here".to_owned(),
        Kind::Contains => contains(error, around),
        kind => bound(kind).unwrap_or_else(|| error.masked().to_string()),
    }
}

/// Must be one of these.
pub(super) fn one_of(options: &Value) -> String {
    let all = options.as_array().map(Vec::as_slice).unwrap_or_default();
    format!("must be one of {}", list(all.iter().map(short)))
}

/// Numbers, lengths and forms.
fn bound(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {}", many(*limit, "character")),
        Kind::MaxLength { limit } => format!("must have at most {}", many(*limit, "character")),
        Kind::MinItems { limit } => format!("must have at least {}", many(*limit, "item")),
        Kind::MaxItems { limit } => format!("must have at most {}", many(*limit, "item")),
        Kind::AdditionalItems { limit } => {
            format!("must have at most {}", many(u64::try_from(*limit).ok()?, "item"))
        }
        Kind::MinProperties { limit } => format!("must have at least {}", many(*limit, "field")),
        Kind::MaxProperties { limit } => format!("must have at most {}", many(*limit, "field")),
        Kind::UnevaluatedItems { unexpected } => {
            let more = u64::try_from(unexpected.len()).ok()?;
            format!("has {} that no rule allows", many(more, "item"))
        }
        Kind::UniqueItems => "its items must differ from each other".to_owned(),
        Kind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        Kind::Format { format } => format!("must be a valid {format}"),
        _ => return None,
    })
}

/// The object of the schema that holds the rule, and the rule's own value.
#[derive(Clone, Copy)]
struct Around<'a> {
    schema: Option<&'a Value>,
    rule: Option<&'a Value>,
}

impl<'a> Around<'a> {
    /// By the rule's place; nothing where an `$id` has moved it.
    fn of(error: &ValidationError<'_>, schema: &'a Value) -> Self {
        let place = error.schema_path().as_str();
        let above = place.rsplit_once('/').map(|(above, _)| above);
        Self { schema: above.and_then(|above| schema.pointer(above)), rule: schema.pointer(place) }
    }

    fn properties(self) -> Option<&'a serde_json::Map<String, Value>> {
        self.schema?.get("properties")?.as_object()
    }
}

fn unknown(unexpected: &[String], around: Around<'_>) -> String {
    let named = list(unexpected.iter().map(|name| quoted(name)));
    let field = if unexpected.len() == 1 { "unknown field" } else { "unknown fields" };
    match around.properties() {
        Some(known) if !known.is_empty() => {
            format!("{field} {named}; allowed: {}", list(known.keys().map(|name| quoted(name))))
        }
        _ => format!("{field} {named}"),
    }
}

fn missing(property: &Value, around: Around<'_>) -> String {
    let name = property.as_str().map_or_else(|| short(property), quoted);
    let schema = property.as_str().and_then(|name| around.properties()?.get(name));
    match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(kind)) => {
            format!("missing field {name}: it is required, {}", article(kind))
        }
        _ => format!("missing field {name}: it is required"),
    }
}

fn contains(error: &ValidationError<'_>, around: Around<'_>) -> String {
    let limit = around.rule.and_then(Value::as_u64);
    match (error.schema_path().as_str().rsplit('/').next(), limit) {
        (Some("minContains"), Some(least)) => {
            format!("must have at least {} that fit `contains`", many(least, "item"))
        }
        (Some("maxContains"), Some(most)) => {
            format!("must have at most {} that fit `contains`", many(most, "item"))
        }
        _ => "must have an item that fits `contains`".to_owned(),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(one.as_str()),
        TypeKind::Multiple(several) => {
            any(several.iter().map(|one| article(one.as_str())).collect())
        }
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn any(mut names: Vec<String>) -> String {
    let last = names.pop().unwrap_or_default();
    match names.as_slice() {
        [] => last,
        more => format!("{} or {last}", more.join(", ")),
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(kind: &str) -> String {
    match kind {
        "null" => kind.to_owned(),
        "array" | "integer" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn many(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let mut names = names.fuse();
    let shown: Vec<String> = names.by_ref().take(MAX_NAMES).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn quoted(name: &str) -> String {
    format!("{:?}", printable(name, MAX_NAME))
}

/// A value of the schema, cut short.
pub(super) fn short(value: &Value) -> String {
    printable(&value.to_string(), MAX_NAME)
}
