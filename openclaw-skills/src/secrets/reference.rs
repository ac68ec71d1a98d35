//! `SecretRef`: where a secret lies, never the secret.

use std::{fmt, sync::Arc};

use openclaw_core::{Error, ErrorKind, Result};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};

/// The provider that a shorthand names.
const DEFAULT: &str = "default";

/// What every refusal says. A text that is no reference may be the secret itself.
const SHAPE: &str = "a secret reference is \"${NAME}\", or an object with source \
                     (env, file, exec or store), provider and id; nothing else";

/// The kind of place where a secret lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecretSource {
    /// An environment variable.
    Env,
    /// A file.
    File,
    /// A program that is asked.
    Exec,
    /// Rows of a `StateStore`.
    Store,
}

impl SecretSource {
    const ALL: [Self; 4] = [Self::Env, Self::File, Self::Exec, Self::Store];

    const fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
            Self::Store => "store",
        }
    }

    /// Is this an id that the source can have?
    fn allows(self, id: &str) -> bool {
        match self {
            Self::Env | Self::Store => is_name(id),
            Self::File => id.len() <= MAX_POINTER && is_place(id),
            Self::Exec => is_path(id),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes of the longest JSON pointer into a file.
const MAX_POINTER: usize = 1024;

/// Says where a secret lies: a source, a provider of it, an id there.
///
/// It may be logged and kept in configurations. In JSON it is an object, or for a variable of the
/// environment the short form `"${NAME}"`. Plain text is refused without being quoted: it could
/// be a secret that somebody pasted.
///
/// | source | id |
/// |---|---|
/// | `env`, `store` | `[A-Z][A-Z0-9_]{0,127}` |
/// | `file` | a JSON pointer, or `value` for the whole file |
/// | `exec` | `[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}`, no `.` or `..` between slashes |
///
/// A provider is called `[a-z][a-z0-9_-]{0,63}`.
///
/// ```
/// use openclaw_skills::secrets::SecretRef;
///
/// let key: SecretRef = serde_json::from_str(r#""${CRM_KEY}""#)?;
/// let same = r#"{"source":"env","provider":"default","id":"CRM_KEY"}"#;
/// assert_eq!(key, serde_json::from_str(same)?);
/// assert_eq!(key.to_string(), "env:default:CRM_KEY");
///
/// let pasted = serde_json::from_str::<SecretRef>(r#""sk-live-1042""#).unwrap_err();
/// assert!(!pasted.to_string().contains("1042"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SecretRef {
    source: SecretSource,
    provider: Arc<str>,
    id: Arc<str>,
}

impl SecretRef {
    /// The reference to this id of this provider.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when a name breaks its rule; the error does not quote it.
    pub fn new(source: SecretSource, provider: &str, id: &str) -> Result<Self> {
        check_provider(provider)?;
        if !source.allows(id) {
            let message = "this is no id of a secret: see the table of SecretRef";
            return Err(Error::new(ErrorKind::ValidationError, message).with("source", source));
        }
        Ok(Self { source, provider: provider.into(), id: id.into() })
    }

    /// The variable of this name, of the provider `default`.
    ///
    /// # Errors
    /// As [`SecretRef::new`].
    pub fn env(name: &str) -> Result<Self> {
        Self::new(SecretSource::Env, DEFAULT, name)
    }

    /// The row of this name, of the provider `default`.
    ///
    /// # Errors
    /// As [`SecretRef::new`].
    pub fn store(name: &str) -> Result<Self> {
        Self::new(SecretSource::Store, DEFAULT, name)
    }

    /// Reads the short form `${NAME}`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.trim().strip_prefix("${")?.strip_suffix('}')?;
        Self::env(name).ok()
    }

    /// The kind of place.
    #[must_use]
    pub const fn source(&self) -> SecretSource {
        self.source
    }

    /// Which of the providers of that kind.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The name there.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.provider, self.id)
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({self})")
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived reader would quote what it does not understand.
        deserializer.deserialize_any(Reader).map_err(|_quoting| D::Error::custom(SHAPE))
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretRef, E> {
        SecretRef::parse(text).ok_or_else(|| E::custom(SHAPE))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let (mut source, mut provider, mut id) = (None, None, None);
        while let Some((field, value)) = map.next_entry::<String, String>()? {
            let place = match field.as_str() {
                "source" => &mut source,
                "provider" => &mut provider,
                "id" => &mut id,
                _ => return Err(A::Error::custom(SHAPE)),
            };
            if place.replace(value).is_some() {
                return Err(A::Error::custom(SHAPE));
            }
        }
        let known = source.as_deref();
        let source = SecretSource::ALL.into_iter().find(|s| Some(s.name()) == known);
        let (Some(source), Some(id)) = (source, id) else { return Err(A::Error::custom(SHAPE)) };
        let provider = provider.as_deref().unwrap_or(DEFAULT);
        SecretRef::new(source, provider, &id).map_err(|_wrong| A::Error::custom(SHAPE))
    }
}

/// Refuses what no provider is called.
pub(super) fn check_provider(name: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    let letter = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if letter && name.len() <= 64 && name.bytes().all(fits) {
        return Ok(());
    }
    let message = "a provider of secrets is called [a-z][a-z0-9_-]{0,63}";
    Err(Error::new(ErrorKind::ValidationError, message))
}

fn is_name(id: &str) -> bool {
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let letter = id.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    letter && id.len() <= 128 && id.bytes().all(fits)
}

fn is_place(id: &str) -> bool {
    let escaped = |step: &str| step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    id == "value" || id.strip_prefix('/').is_some_and(|steps| steps.split('/').all(escaped))
}

fn is_path(id: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:/#-".contains(&b);
    let first = id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let dots = id.split('/').any(|step| step == "." || step == "..");
    first && id.len() <= 256 && id.bytes().all(fits) && !dots
}
