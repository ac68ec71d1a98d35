//! What serde refused behind a schema that agreed.

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::pointer::below;

/// The path as a pointer, cut back to a place that exists.
pub(super) fn pointer(value: &Value, path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        let deeper = match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key: name } | Segment::Enum { variant: name } => below(&pointer, name),
            Segment::Unknown => break,
        };
        // The tag of an enum need not be a level of the JSON.
        if value.pointer(&deeper).is_some() {
            pointer = deeper;
        }
    }
    pointer
}

/// Serde's own messages without the value they quote; all others may quote it anywhere.
pub(super) fn without_value(message: &str) -> String {
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
}
