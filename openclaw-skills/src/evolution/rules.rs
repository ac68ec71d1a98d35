//! Single keywords compared: bounds, counts, required fields, formats.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    Reason,
    numbers::{self, Bound, bound},
    reason::{broken, said, undecided},
};

/// The bound of the one is as sharp as that of the other.
pub(super) fn limited(
    mine: &Map<String, Value>,
    wide: &Map<String, Value>,
    keys: &[&str; 2],
    lower: bool,
    here: &str,
) -> Vec<Reason> {
    let sharper = if lower { Ordering::Greater } else { Ordering::Less };
    let kept = match (bound(mine, *keys, sharper), bound(wide, *keys, sharper)) {
        (_, Bound::None) => true,
        (Bound::At(mine, mine_open), Bound::At(wide, wide_open)) => {
            match numbers::compare(mine, wide) {
                Some(Ordering::Equal) => mine_open || !wide_open,
                order => order == Some(sharper),
            }
        }
        _ => false,
    };
    said(kept, here, "the bound is sharper")
}

/// A count that both have, compared.
pub(super) fn counted(
    mine: &Map<String, Value>,
    wide: &Map<String, Value>,
    key: &str,
    here: &str,
    kept: impl Fn(Option<u64>, u64) -> bool,
) -> Vec<Reason> {
    let read = |schema: &Map<String, Value>| schema.get(key).map(Value::as_u64);
    match (read(mine), read(wide)) {
        (None, Some(Some(wide))) => said(kept(None, wide), here, "the bound is sharper"),
        (Some(Some(mine)), Some(Some(wide))) => {
            said(kept(Some(mine), wide), here, "the bound is sharper")
        }
        _ => undecided(here, "the bound can't be read"),
    }
}

pub(super) fn required(
    mine: &Map<String, Value>,
    wide: &Map<String, Value>,
    here: &str,
) -> Vec<Reason> {
    let names = |schema: &Map<String, Value>| {
        schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mine = names(mine);
    let new = names(wide).into_iter().filter(|name| !mine.contains(name));
    new.flat_map(|name| {
        let name = name.as_str().map(|name| name.escape_debug().to_string()).unwrap_or_default();
        broken(here, &format!("the field `{name}` need not have been there, and has to be now"))
    })
    .collect()
}

/// Formats of numbers, each with those that take as much.
const WIDER: &[(&str, &[&str])] = &[
    ("uint8", &["uint16", "uint32", "uint64", "uint", "int16", "int32", "int64", "int"]),
    ("uint16", &["uint32", "uint64", "uint", "int32", "int64", "int"]),
    ("uint32", &["uint64", "uint", "int64", "int"]),
    ("uint64", &["uint"]),
    ("int8", &["int16", "int32", "int64", "int"]),
    ("int16", &["int32", "int64", "int"]),
    ("int32", &["int64", "int"]),
    ("int64", &["int"]),
    ("float", &["double"]),
];

/// A format is a note, but a function may rely on it.
pub(super) fn widens(mine: &Map<String, Value>, wide: &Map<String, Value>) -> bool {
    let format = |schema: &Map<String, Value>| {
        schema.get("format").and_then(Value::as_str).map(str::to_owned)
    };
    let (Some(mine), Some(wide)) = (format(mine), format(wide)) else { return false };
    WIDER.iter().any(|(narrow, wider)| *narrow == mine && wider.contains(&wide.as_str()))
}
