//! What is wrong with a value, and where: rules and places, never the value.

use std::fmt;

use jsonschema::{ValidationError, error::ValidationErrorKind, paths::Location};
use openclaw_core::{Error, ErrorKind};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// How many problems one answer names: enough for a repair, bounded for a prompt.
pub(crate) const MAX_PROBLEMS: usize = 8;

const MAX_PATH: usize = 256;
const MAX_TEXT: usize = 512;

/// One rule that a value breaks, and the place.
///
/// Names of fields may appear, as they are part of the place; values never do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// RFC 6901 pointer to the place in the value; empty for the whole value.
    pub pointer: String,
    /// RFC 6901 pointer to the rule in the schema; empty when the Rust type refused.
    pub schema_path: String,
    /// What is wrong, in words a model can act on.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(pointer: &str, schema_path: &str, text: &str) -> Self {
        Self {
            pointer: printable(pointer, MAX_PATH),
            schema_path: printable(schema_path, MAX_PATH),
            text: printable(text, MAX_TEXT),
        }
    }

    /// The problems behind one finding of the validator.
    ///
    /// "Fits none of the alternatives" helps nobody: when it is clear which one was meant,
    /// what is wrong with that one is reported instead.
    pub(crate) fn of(error: &ValidationError<'_>) -> Vec<Self> {
        if let ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context } = error.kind()
            && let Some(branch) = meant(context, error.instance_path())
        {
            return branch.iter().flat_map(Self::of).collect();
        }
        let text = match error.kind() {
            // The library doesn't mask the name in here.
            ValidationErrorKind::PropertyNames { error } => {
                format!("a field's name breaks a rule: {}", error.masked())
            }
            _ => error.masked().to_string(),
        };
        vec![Self::new(error.instance_path().as_str(), error.schema_path().as_str(), &text)]
    }

    /// What the Rust type refused after the schema agreed.
    pub(crate) fn of_serde(value: &Value, path: &Path, error: &serde_json::Error) -> Self {
        Self::new(&pointer(value, path), "", &without_value(&error.to_string()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "at the top" } else { &self.pointer };
        write!(f, "{place}: {}", self.text)
    }
}

/// The error of a value that breaks its contract: `what` is `"input"`, `"output"`, ….
///
/// Every problem is a `pointer`, a `schema_path` and a `problem` pair of its context; the
/// public message holds them all in plain words.
pub(crate) fn refusal(what: &str, problems: &[Problem]) -> Error {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    let public = format!("the {what} is not valid: {}", lines.join("; "));
    let message = format!("the {what} breaks its contract");
    let error = Error::new(ErrorKind::ValidationError, message).with_public(public);
    problems.iter().fold(error, |error, p| {
        let error = error.with("pointer", &p.pointer);
        let error = match p.schema_path.as_str() {
            "" => error,
            path => error.with("schema_path", path),
        };
        error.with("problem", &p.text)
    })
}

/// The one alternative that was meant: the only one whose outer shape and tag fit.
fn meant<'a>(
    branches: &'a [Vec<ValidationError<'static>>],
    place: &Location,
) -> Option<&'a [ValidationError<'static>]> {
    use ValidationErrorKind::{Constant, Enum, Type};
    let here = place.segments().count();
    let another = |e: &ValidationError<'_>| {
        let below = e.instance_path().segments().count().saturating_sub(here);
        match e.kind() {
            Type { .. } | Enum { .. } => below == 0,
            // A constant one level down is the tag of another alternative.
            Constant { .. } => below <= 1,
            _ => false,
        }
    };
    let mut fitting = branches.iter().filter(|branch| !branch.iter().any(another));
    let only = fitting.next()?;
    (fitting.next().is_none() && !only.is_empty()).then_some(only)
}

/// The path as a pointer, cut back to a place that exists.
fn pointer(value: &Value, path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => break,
        };
        let deeper = format!("{pointer}/{step}");
        // The tag of an enum need not be a level of the JSON.
        if value.pointer(&deeper).is_some() {
            pointer = deeper;
        }
    }
    pointer
}

/// Serde's own messages without the value they quote; all others may quote it anywhere.
fn without_value(message: &str) -> String {
    const QUOTING: [&str; 4] =
        ["invalid type", "invalid value", "invalid length", "unknown variant"];
    const NAMING: [&str; 3] = ["missing field `", "unknown field `", "duplicate field `"];
    if NAMING.iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    let class = QUOTING.iter().find(|start| message.starts_with(*start));
    match (class, expected) {
        (Some(class), Some(expected)) => format!("{class}, expected {expected}"),
        (Some(class), None) => (*class).to_owned(),
        (None, _) => "the skill's type does not accept this".to_owned(),
    }
}

/// At most `max` characters, without control characters: it may end up in a log line.
pub(crate) fn printable(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_messages_lose_their_values_and_keep_their_rules() {
        for (message, expected) in [
            ("invalid type: string \"s3cret\", expected u64", "invalid type, expected u64"),
            ("invalid value: integer `300`, expected u8", "invalid value, expected u8"),
            ("invalid type: string \"a, expected b\", expected u64", "invalid type, expected u64"),
            (
                "unknown variant `s3cret`, expected `a` or `b`",
                "unknown variant, expected `a` or `b`",
            ),
            ("missing field `order`", "missing field `order`"),
            ("s3cret is odd", "the skill's type does not accept this"),
        ] {
            assert_eq!(without_value(message), expected);
        }
    }

    #[test]
    fn text_for_a_log_is_one_bounded_line() {
        assert_eq!(printable("a\nb\u{1b}[0m", 4), "a b ");
    }
}
