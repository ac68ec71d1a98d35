//! `sha256:` and 64 hex digits: what a file's bytes are pinned to.

use std::{fmt, str::FromStr};

use openclaw_core::{Digest, Error, ErrorKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

pub(super) const NO_PIN: &str = "a digest is `sha256:` and 64 lower-case hex digits";

/// The plain SHA-256 of some bytes, written `sha256:` and 64 hex digits.
///
/// As `sha256sum` counts it: [`Digest::sha256`], and not [`Digest::of`].
///
/// ```
/// use openclaw_skills::descriptor::Pin;
///
/// let pin = Pin::of(b"abc");
/// let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// assert_eq!(pin.to_string(), text);
/// assert_eq!(text.parse::<Pin>()?, pin);
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(Digest);

impl Pin {
    /// The pin of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::sha256(bytes))
    }

    /// The pin of JSON in canonical form: object keys sorted, no white space.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        Self::of(canonical(value).to_string().as_bytes())
    }
}

/// The value with its keys in order, whatever order `serde_json` keeps.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
            fields.into_iter().map(|(name, item)| (name.clone(), canonical(item))).collect()
        }
        leaf => leaf.clone(),
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new(ErrorKind::ValidationError, NO_PIN);
        let hex = text.strip_prefix("sha256:").map(str::as_bytes).filter(|hex| hex.len() == 64);
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.ok_or_else(wrong)?.chunks_exact(2)) {
            let [high, low] = pair else { return Err(wrong()) };
            let (high, low) = digit(*high).zip(digit(*low)).ok_or_else(wrong)?;
            *byte = high << 4 | low;
        }
        Ok(Self(Digest::from_bytes(bytes)))
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(|e: Error| de::Error::custom(e.message()))
    }
}
