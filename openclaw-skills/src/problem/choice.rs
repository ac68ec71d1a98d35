//! `anyOf` and `oneOf`: which alternative was meant, or what they ask for together.

use jsonschema::{
    ValidationError,
    error::ValidationErrorKind::{self, Constant, Enum, Type},
    paths::Location,
};
use serde_json::Value;

use super::rule::{any, short};

/// The alternative that was meant: the only one whose outer shape and tag fit.
pub(super) fn meant<'a>(
    branches: &'a [Vec<ValidationError<'static>>],
    place: &Location,
) -> Option<&'a [ValidationError<'static>]> {
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

/// What all alternatives ask for at one place: the tags, or the options.
///
/// Gives the place and the text.
pub(super) fn together(branches: &[Vec<ValidationError<'static>>]) -> Option<(String, String)> {
    let first = branches.first()?.iter().find(|e| options(e.kind()).is_some())?;
    let place = first.instance_path().as_str();
    let of = |branch: &Vec<ValidationError<'static>>| {
        let here = branch.iter().filter(|e| e.instance_path().as_str() == place);
        here.filter_map(|e| options(e.kind())).next()
    };
    let mut all: Vec<String> = Vec::new();
    for branch in branches {
        for option in of(branch)? {
            if !all.contains(&option) {
                all.push(option);
            }
        }
    }
    let more = all.len().saturating_sub(20);
    all.truncate(20);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some((place.to_owned(), format!("must be {}{more}", any(all))))
}

/// The values that this rule allows.
fn options(kind: &ValidationErrorKind) -> Option<Vec<String>> {
    match kind {
        Constant { expected_value } => Some(vec![short(expected_value)]),
        Enum { options } => match &**options {
            Value::Array(options) => Some(options.iter().map(short).collect()),
            _ => None,
        },
        _ => None,
    }
}
