//! How big a value is: bytes, values, levels, each counted up to its bound.

use std::io;

use serde_json::Value;

/// Is the value longer than this many bytes as compact JSON?
///
/// Counting stops at the bound. It recurses: ask for the depth first.
pub(crate) fn heavier_than(value: &Value, bytes: usize) -> bool {
    serde_json::to_writer(Scale(bytes), value).is_err()
}

/// Are there more than `limit` levels of arrays and objects?
pub(crate) fn deeper_than(value: &Value, limit: usize) -> bool {
    let inner = |left| move |value| deeper_than(value, left);
    match (value, limit.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(left)) => items.iter().any(inner(left)),
        (Value::Object(fields), Some(left)) => fields.values().any(inner(left)),
        _ => false,
    }
}

/// Are there more than `limit` values, containers counted?
pub(crate) fn more_than(value: &Value, limit: usize) -> bool {
    fn count(value: &Value, left: usize) -> Option<usize> {
        let left = left.checked_sub(1)?;
        match value {
            Value::Array(items) => items.iter().try_fold(left, |left, item| count(item, left)),
            Value::Object(fields) => fields.values().try_fold(left, |left, item| count(item, left)),
            _ => Some(left),
        }
    }
    count(value, limit).is_none()
}

/// Bytes that may still come.
struct Scale(usize);

impl io::Write for Scale {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_bound_is_inclusive() {
        let value = json!({ "a": [1, 2], "b": "é" });
        let text = value.to_string();
        assert!(!heavier_than(&value, text.len()) && heavier_than(&value, text.len() - 1));
        assert!(!more_than(&value, 5) && more_than(&value, 4));
        assert!(!deeper_than(&value, 2) && deeper_than(&value, 1));
    }
}
