//! Filling the gaps of a script: `{}` takes results, `{text}` and `{turn}` the turn's own.

use serde_json::Value;

/// What the gaps of one scene are filled with.
#[derive(Debug)]
pub(super) struct Fill<'a> {
    pub(super) text: &'a str,
    pub(super) turn: u64,
    pub(super) results: &'a [Value],
}

impl Fill<'_> {
    /// The words with their gaps filled; a `{}` beyond the results stays as it is.
    pub(super) fn words(&self, template: &str) -> String {
        let mut results = self.results.iter();
        let (mut out, mut rest) = (String::new(), template);
        // One pass, so that braces in what somebody said are never taken for gaps.
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = behind.split_once('}').unwrap_or(("{", behind));
            match (name, results.as_slice()) {
                ("", [_, ..]) => out.push_str(&results.next().map(plain).unwrap_or_default()),
                ("text", _) => out.push_str(self.text),
                ("turn", _) => out.push_str(&self.turn.to_string()),
                _ => {
                    out.push('{');
                    rest = behind;
                    continue;
                }
            }
            rest = after;
        }
        out + rest
    }

    /// The arguments with the gaps of all their texts filled.
    ///
    /// A text that is `{}` alone becomes the last result itself, whatever its type.
    pub(super) fn args(&self, template: &Value) -> Value {
        match template {
            Value::String(text) if text == "{}" => {
                self.results.last().cloned().unwrap_or(Value::Null)
            }
            Value::String(text) => Value::String(self.words(text)),
            Value::Array(items) => items.iter().map(|item| self.args(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.args(value))).collect()
            }
            other => other.clone(),
        }
    }
}

/// A result as a person reads it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gaps_take_results_in_order() {
        let results = [json!("shipped"), json!({"n": 1})];
        let fill = Fill { text: "a {} b", turn: 3, results: &results };
        assert_eq!(fill.words("{}/{}/{}"), "shipped/{\"n\":1}/{}");
        assert_eq!(fill.words("{turn}: {text} {x} {"), "3: a {} b {x} {");
        assert_eq!(fill.args(&json!({"a": ["{}", "x{}"]})), json!({"a": [{"n": 1}, "xshipped"]}));
    }
}
