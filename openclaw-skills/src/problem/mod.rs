//! What is wrong with a value, and where: rules and places, never the value.

mod choice;
mod rule;
mod unread;

use std::fmt;

use jsonschema::{ValidationError, error::ValidationErrorKind};
use openclaw_core::{Error, ErrorKind};
use serde_json::Value;
use serde_path_to_error::Path;

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
    /// RFC 6901 pointer to the rule in the schema. Empty when the Rust type refused.
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

    /// The problems behind one finding of the validator. `schema` is the whole document.
    ///
    /// "Fits none of the alternatives" helps nobody: when it is clear which one was meant,
    /// what is wrong with that one is reported instead, or the tags and options there are.
    pub(crate) fn of(error: &ValidationError<'_>, schema: &Value) -> Vec<Self> {
        let rule = error.schema_path().as_str();
        if let ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context } = error.kind()
        {
            if let Some(branch) = choice::meant(context, error.instance_path()) {
                return branch.iter().flat_map(|e| Self::of(e, schema)).collect();
            }
            if let Some((place, text)) = choice::together(context) {
                return vec![Self::new(&place, rule, &text)];
            }
        }
        vec![Self::new(error.instance_path().as_str(), rule, &rule::text(error, schema))]
    }

    /// What the Rust type refused after the schema agreed.
    pub(crate) fn of_serde(value: &Value, path: &Path, error: &serde_json::Error) -> Self {
        Self::new(&unread::pointer(value, path), "", &unread::without_value(&error.to_string()))
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

/// At most `max` characters, and no control characters: it may be logged.
pub(crate) fn printable(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_a_log_is_one_bounded_line() {
        assert_eq!(printable("a\nb\u{1b}[0m", 4), "a b ");
    }
}
