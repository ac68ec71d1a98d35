//! A strict JSON reader: duplicate keys, depth and size are errors with a place.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Limits;

/// Why a document was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {pointer:?}")]
#[non_exhaustive]
pub struct JsonError {
    /// RFC 6901 pointer to the place; empty for the whole document.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

impl JsonError {
    /// A problem at this place.
    #[must_use]
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

/// Reads one document within the limits.
///
/// `serde_json` alone keeps the last of two equal keys, so `{"approved":false,"approved":true}`
/// would read as approved. Here it is an error.
///
/// # Errors
/// Broken syntax, a duplicate key, or a limit passed, with a pointer to the place.
///
/// ```
/// use openclaw_core::{Limits, json};
///
/// let e = json::parse(br#"{"a":{"b":1,"b":2}}"#, &Limits::default()).unwrap_err();
/// assert_eq!(e.pointer, "/a/b");
/// assert_eq!(e.reason, "duplicate key");
/// ```
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    let mut walk = Walk { path: Vec::new(), nodes: 0, limits, reason: None };
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let read = Node { walk: &mut walk, depth: 0 }.deserialize(&mut de);
    read.and_then(|value| de.end().map(|()| value)).map_err(|e| {
        let reason = walk.reason.take().unwrap_or_else(|| syntax(&e));
        JsonError { pointer: pointer(&walk.path), reason }
    })
}

fn syntax(e: &serde_json::Error) -> String {
    let (line, column) = (e.line(), e.column());
    if e.is_eof() {
        format!("not JSON: it ends too early, at line {line} column {column}")
    } else {
        format!("not JSON: broken at line {line} column {column}")
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|p| format!("/{}", p.replace('~', "~0").replace('/', "~1"))).collect()
}

struct Walk<'a> {
    path: Vec<String>,
    nodes: usize,
    limits: &'a Limits,
    reason: Option<String>,
}

impl Walk<'_> {
    fn fail<E: serde::de::Error>(&mut self, reason: impl Into<String>) -> E {
        let reason = reason.into();
        let e = E::custom(&reason);
        self.reason = Some(reason);
        e
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        let max = self.limits.string;
        if text.len() > max {
            Err(self.fail(format!("a string of more than {max} bytes")))
        } else {
            Ok(())
        }
    }
}

struct Node<'w, 'a> {
    walk: &'w mut Walk<'a>,
    depth: usize,
}

impl Node<'_, '_> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        let max = self.walk.limits.json_depth;
        if self.depth > max {
            Err(self.walk.fail(format!("nested deeper than {max}")))
        } else {
            Ok(())
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        self.walk.nodes += 1;
        let max = self.walk.limits.json_nodes;
        if self.walk.nodes > max {
            return Err(self.walk.fail(format!("more than {max} values")));
        }
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::from(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::from(n))
    }

    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Value, E> {
        Number::from_f64(n).map(Value::Number).ok_or_else(|| self.walk.fail("not a finite number"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.walk.text(text)?;
        Ok(Value::from(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        loop {
            self.walk.path.push(items.len().to_string());
            let node = Node { walk: &mut *self.walk, depth: self.depth };
            let Some(item) = seq.next_element_seed(node)? else { break };
            self.walk.path.pop();
            items.push(item);
        }
        self.walk.path.pop();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.walk.text::<A::Error>(&name)?;
            let again = fields.contains_key(&name);
            self.walk.path.push(name.clone());
            if again {
                return Err(self.walk.fail("duplicate key"));
            }
            let node = Node { walk: &mut *self.walk, depth: self.depth };
            let value = map.next_value_seed(node)?;
            self.walk.path.pop();
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// Keeps a JSON value as text in binary rows, and as itself in JSON.
pub(crate) mod embedded {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
    use serde_json::Value;

    use crate::words::scratch::scratch;

    /// The deepest value that serde_json reads again.
    const DEEPEST: usize = 127;

    pub(crate) fn serialize<S: Serializer>(value: &Arc<Value>, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return value.serialize(s);
        }
        if !fits(value, DEEPEST) {
            return Err(ser::Error::custom(format!("it nests over {DEEPEST} levels deep")));
        }
        scratch(|text| {
            serde_json::to_writer(&mut *text, value).map_err(ser::Error::custom)?;
            s.serialize_str(str::from_utf8(text).map_err(ser::Error::custom)?)
        })
    }

    /// Is the value at most this many levels deep?
    fn fits(value: &Value, left: usize) -> bool {
        match (value, left.checked_sub(1)) {
            (Value::Array(items), Some(left)) => items.iter().all(|item| fits(item, left)),
            (Value::Object(fields), Some(left)) => fields.values().all(|item| fits(item, left)),
            (Value::Array(_) | Value::Object(_), None) => false,
            _ => true,
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<Value>, D::Error> {
        if d.is_human_readable() {
            return Value::deserialize(d).map(Arc::new);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        serde_json::from_str(&text).map(Arc::new).map_err(de::Error::custom)
    }
}
