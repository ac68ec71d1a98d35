//! JSON5: what stands in `metadata`, with the product's leniency.

use serde_json::{Map, Number, Value};

use super::script_text;

/// How deep values may stand in each other.
const MAX_NESTING: usize = 64;

/// Reads one value; on failure, the byte at which it shows.
pub(super) fn parse(text: &str) -> Result<Value, usize> {
    let mut reader = Reader { text, rest: text };
    let value = reader.value(0).filter(|_| reader.blanks().is_some() && reader.rest.is_empty());
    value.ok_or(text.len() - reader.rest.len())
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        Some(next)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Skips blanks and comments; `None` for a comment without end.
    fn blanks(&mut self) -> Option<()> {
        loop {
            self.rest = self.rest.trim_start_matches(script_text::is_blank);
            if self.eat("/*") {
                let end = self.rest.find("*/")?;
                self.rest = self.rest.get(end + 2..)?;
            } else if self.eat("//") {
                let ends = |c| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
                self.rest = self.rest.find(ends).and_then(|at| self.rest.get(at..)).unwrap_or("");
            } else {
                return Some(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_NESTING {
            return None;
        }
        self.blanks()?;
        match self.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            quote @ ('"' | '\'') => self.string(quote).map(Value::String),
            'n' => self.word("null", Value::Null),
            't' => self.word("true", Value::Bool(true)),
            'f' => self.word("false", Value::Bool(false)),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.eat(word).then_some(value)
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.bump()?;
        let mut object = Map::new();
        loop {
            self.blanks()?;
            if self.eat("}") {
                return Some(Value::Object(object));
            }
            let key = match self.peek()? {
                quote @ ('"' | '\'') => self.string(quote)?,
                _ => self.identifier()?,
            };
            self.blanks()?;
            if !self.eat(":") {
                return None;
            }
            let value = self.value(depth + 1)?;
            object.insert(key, value);
            self.blanks()?;
            if !self.eat(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.bump()?;
        let mut items = Vec::new();
        loop {
            self.blanks()?;
            if self.eat("]") {
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.blanks()?;
            if !self.eat(",") && !self.rest.starts_with(']') {
                return None;
            }
        }
    }

    fn identifier(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            let before = self.rest;
            let Some(next) = self.bump() else { break };
            let escaped = next == '\\';
            let next = if escaped {
                if !self.eat("u") {
                    return None;
                }
                char::from_u32(self.hex(4)?)?
            } else {
                next
            };
            let starts = next == '$' || next == '_' || next.is_alphabetic();
            let goes_on = next.is_alphanumeric() || matches!(next, '\u{200c}' | '\u{200d}');
            if starts || (!name.is_empty() && goes_on) {
                name.push(next);
            } else if escaped {
                return None;
            } else {
                self.rest = before;
                break;
            }
        }
        (!name.is_empty()).then_some(name)
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let (hex, rest) = self.rest.split_at_checked(digits)?;
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u32::from_str_radix(hex, 16).ok()
    }

    fn string(&mut self, quote: char) -> Option<String> {
        self.bump()?;
        let mut units: Vec<u16> = Vec::new();
        loop {
            match self.bump()? {
                end if end == quote => return Some(String::from_utf16_lossy(&units)),
                '\\' => units.extend(self.escape()?),
                '\n' | '\r' => return None,
                other => units.extend_from_slice(other.encode_utf16(&mut [0; 2])),
            }
        }
    }

    /// One unit of UTF-16 or two, or none for a line that goes on.
    fn escape(&mut self) -> Option<Vec<u16>> {
        let sign = self.bump()?;
        let plain = match sign {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' if !self.rest.starts_with(|c: char| c.is_ascii_digit()) => '\0',
            '0'..='9' => return None,
            'x' => return Some(vec![u16::try_from(self.hex(2)?).ok()?]),
            'u' => return Some(vec![u16::try_from(self.hex(4)?).ok()?]),
            '\r' => {
                self.eat("\n");
                return Some(Vec::new());
            }
            '\n' | '\u{2028}' | '\u{2029}' => return Some(Vec::new()),
            other => other,
        };
        Some(plain.encode_utf16(&mut [0; 2]).to_vec())
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        if self.eat("Infinity") || self.eat("NaN") {
            // JSON has no such number.
            return Some(Value::Null);
        }
        let size = if self.eat("0x") || self.eat("0X") {
            let digits = self.take(|c| c.is_ascii_hexdigit());
            let value = |sum: f64, c: char| Some(sum * 16.0 + f64::from(c.to_digit(16)?));
            (!digits.is_empty()).then(|| digits.chars().try_fold(0.0, value)).flatten()?
        } else {
            self.decimal()?
        };
        Some(number(if negative { -size } else { size }))
    }

    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let behind = self.rest.trim_start_matches(fits);
        let taken = self.rest.get(..self.rest.len() - behind.len()).unwrap_or_default();
        self.rest = behind;
        taken
    }

    fn decimal(&mut self) -> Option<f64> {
        let start = self.text.len() - self.rest.len();
        let whole = self.take(|c| c.is_ascii_digit());
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let point = self.eat(".");
        let fraction = if point { self.take(|c| c.is_ascii_digit()) } else { "" };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if self.eat("e") || self.eat("E") {
            let _sign = self.eat("-") || self.eat("+");
            if self.take(|c| c.is_ascii_digit()).is_empty() {
                return None;
            }
        }
        let end = self.text.len() - self.rest.len();
        self.text.get(start..end)?.parse().ok()
    }
}

fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    let whole = (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64);
    match whole {
        Some(whole) => Value::from(whole),
        None => Number::from_f64(value).map_or(Value::Null, Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json5_allows_is_read() {
        let text = "// a\n{a: 'x', \"b\": [1, +2, -.5, 0xff, 1e3,], $c: null, /* d */ e: true,}";
        let expected = json!({"a": "x", "b": [1, 2, -0.5, 255, 1000], "$c": null, "e": true});
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(
            parse(
                r#""\ud83d\ude00\x41\
b""#
            ),
            Ok(json!("😀Ab"))
        );
        assert_eq!(parse("Infinity"), Ok(json!(null)));
    }

    #[test]
    fn what_json5_refuses_is_refused() {
        for text in [
            "", "{", "{a}", "{a: b}", "[1 2]", "'a", "01", "1.e", "nul", "{} x", "/*", "{a:1,,}",
            "[,]", "\"\\1\"", "'a\nb'",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }
}
