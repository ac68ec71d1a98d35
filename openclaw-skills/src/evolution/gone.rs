//! Fields of an output that are not there any more.

use serde_json::Value;

use super::{Reason, disjoint::target, reason::broken};
use crate::pointer::below;

/// Fields of an output that are not there any more, however optional they were.
pub(super) fn gone(old: &Value, new: &Value, at: &str) -> Vec<Reason> {
    let mut reasons = Vec::new();
    missing((old, old), (new, new), at, GONE_DEPTH, &mut reasons);
    reasons
}

const GONE_DEPTH: u8 = 16;

fn missing(
    (old, old_root): (&Value, &Value),
    (new, new_root): (&Value, &Value),
    at: &str,
    depth: u8,
    reasons: &mut Vec<Reason>,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (name, part) in fields(old, old_root, depth) {
        let here = below(&below(at, "properties"), name);
        match fields(new, new_root, depth).into_iter().find(|(other, _)| *other == name) {
            Some((_, other)) => missing((part, old_root), (other, new_root), &here, depth, reasons),
            None => reasons.extend(broken(&here, "the field is gone")),
        }
    }
    if let (Some(part), Some(other)) = (old.get("items"), new.get("items")) {
        missing((part, old_root), (other, new_root), &below(at, "items"), depth, reasons);
    }
}

/// The fields that a schema names, itself or by what it consists of.
fn fields<'s>(schema: &'s Value, root: &'s Value, depth: u8) -> Vec<(&'s String, &'s Value)> {
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let to = schema.get("$ref").and_then(Value::as_str).and_then(|to| target(root, to));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key));
    let parts = to.into_iter().chain(lists.filter_map(Value::as_array).flatten());
    own.chain(parts.flat_map(|part| fields(part, root, depth))).collect()
}
