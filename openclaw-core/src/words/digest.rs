//! SHA-256 over parts whose borders can't be moved.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::words::scratch::scratch;

/// A SHA-256 digest.
///
/// Parts are length-prefixed and the domain separates uses, so `("a:b", "c")` and
/// `("a", "b:c")` differ, which a plain join with `:` can't promise.
///
/// ```
/// use openclaw_core::Digest;
///
/// let one = Digest::of("docs", ["a:b", "c"]);
/// assert_ne!(one, Digest::of("docs", ["a", "b:c"]));
/// assert_eq!(one.to_string().len(), 64);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these parts in this domain.
    #[must_use]
    pub fn of<I>(domain: &str, parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut hasher = Sha256::new();
        absorb(&mut hasher, domain.as_bytes());
        for part in parts {
            absorb(&mut hasher, part.as_ref());
        }
        Self(hasher.finalize().into())
    }

    /// The plain SHA-256 of these bytes, as other programs print it: without domain and borders.
    ///
    /// ```
    /// let empty = openclaw_core::Digest::sha256(b"").to_string();
    /// assert!(empty.starts_with("e3b0c44298fc1c14"));
    /// ```
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a JSON value in canonical form: object keys sorted, no white space.
    ///
    /// Numbers keep the text that `serde_json` gives them: `1` and `1.0` differ.
    #[must_use]
    pub fn of_json(domain: &str, value: &Value) -> Self {
        scratch(|text| {
            canonical(value, text);
            Self::of(domain, [text])
        })
    }

    /// The thirty-two bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of these thirty-two bytes, as read from a row.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first sixteen bytes: enough for a key that nobody attacks offline.
    #[must_use]
    pub fn short(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        out
    }
}

fn absorb(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            // Sorted already, unless somebody has serde_json keep another order.
            if fields.keys().is_sorted() {
                object(fields.iter(), out);
            } else {
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_unstable_by_key(|(name, _)| name.as_str());
                object(sorted.into_iter(), out);
            }
        }
        leaf => scalar(leaf, out),
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, item)) in fields.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        scalar(name.as_str(), out);
        out.push(b':');
        canonical(item, out);
    }
    out.push(b'}');
}

fn scalar(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing text and numbers into memory can't fail.
    serde_json::to_writer(out, value).unwrap_or_default();
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str("…")
    }
}
