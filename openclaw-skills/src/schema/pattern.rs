//! How big the patterns of a schema are together, compiled.

use std::collections::BTreeSet;

use jsonschema::{PatternOptions, ValidationOptions};
use serde_json::{Value, json};

/// How big one compiled pattern may get, in bytes.
pub(super) const MAX_PATTERN: usize = 1 << 20;

/// How big all patterns of a schema may get together, in bytes.
pub(super) const MAX_PATTERNS: usize = 32 << 20;

/// What patterns are tried at, in bytes: the first that a pattern fits is its size.
const SIZES: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, MAX_PATTERN];

/// How schemas are compiled, with patterns up to this size.
pub(super) fn options(most: usize) -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(most).dfa_size_limit(most);
    jsonschema::options().offline().with_pattern_options(patterns)
}

/// Are the patterns of this schema too big together?
///
/// Few can't be, and are not tried. It recurses: ask for the depth first.
pub(super) fn too_big(schema: &Value) -> bool {
    let mut patterns = BTreeSet::new();
    collect(schema, &mut patterns);
    if patterns.len() <= MAX_PATTERNS / MAX_PATTERN {
        return false;
    }
    let fits = |left: usize, pattern: &&str| left.checked_sub(size(pattern));
    patterns.iter().try_fold(MAX_PATTERNS, fits).is_none()
}

/// How big this pattern is. Nothing when it can't be used: that ends the schema, too.
fn size(pattern: &str) -> usize {
    let rule = json!({ "pattern": pattern });
    let mut sizes = SIZES.into_iter();
    sizes.find(|size| options(*size).build(&rule).is_ok()).unwrap_or_default()
}

/// All that may be a pattern, each once.
fn collect<'a>(value: &'a Value, patterns: &mut BTreeSet<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, patterns)),
        Value::Object(fields) => {
            patterns.extend(fields.get("pattern").and_then(Value::as_str));
            let named = fields.get("patternProperties").and_then(Value::as_object);
            patterns.extend(named.into_iter().flat_map(|named| named.keys().map(String::as_str)));
            fields.values().for_each(|held| collect(held, patterns));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn each(n: usize, pattern: impl Fn(usize) -> String) -> Value {
        let fields = (0..n).map(|n| (n.to_string(), json!({ "pattern": pattern(n) })));
        json!({ "properties": fields.collect::<Map<String, Value>>() })
    }

    #[test]
    fn many_small_patterns_fit_and_many_big_ones_do_not() {
        assert!(!too_big(&each(300, |n| format!("^[a-z0-9_-]{{1,9}}{n}$"))));
        assert!(!too_big(&each(32, |n| format!("\\p{{L}}{{20}}{n}"))));
        assert!(too_big(&each(300, |n| format!("\\p{{L}}{{20}}{n}"))));
    }

    #[test]
    fn a_pattern_counts_once_wherever_it_stands() {
        assert!(!too_big(&each(300, |_| "\\p{L}{20}".to_owned())));
        let named = |n: usize| {
            let patterns = (0..n).map(|n| (format!("\\p{{L}}{{20}}{n}"), json!(true)));
            json!({ "items": [{ "patternProperties": patterns.collect::<Map<_, _>>() }] })
        };
        assert!(!too_big(&named(3)));
        assert!(too_big(&named(300)));
    }
}
