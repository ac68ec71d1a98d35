//! The parts of a descriptor, as they are written in JSON.

use std::{collections::BTreeMap, sync::Arc};

use openclaw_core::{Timestamp, Touches};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::Pin;

/// Fields that nobody here knows, kept as they are.
pub type Unknown = BTreeMap<String, Value>;

/// What runs the skill, when it is a program of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Runtime {
    /// `"python"`, `"node"`, `"rust"`.
    pub language: Arc<str>,
    /// What is started: a file, a module, a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Arc<str>>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What the skill may do to the world, and which data it touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeclaredEffects {
    /// What happens when nobody knows whether the call was made.
    #[serde(default)]
    pub effect: EffectName,
    /// How long the remote remembers a key, in milliseconds: for `keyed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<u64>,
    /// Which data it touches. Everything when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touches: Option<Vec<Touch>>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The names of [`Effect`](openclaw_core::Effect).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EffectName {
    /// Changes nothing.
    Pure,
    /// The remote honours keys.
    Keyed,
    /// The owner can tell afterwards.
    Reconcilable,
    /// Twice is accepted.
    AtLeastOnce,
    /// Never twice. The default.
    #[default]
    AtMostOnce,
}

/// The names of [`Touches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Touch {
    /// Reads private data.
    ReadsPrivate,
    /// Sends data out of the company.
    Egress,
    /// Changes data.
    Writes,
    /// Moves money.
    Money,
    /// Destroys data.
    Destructive,
}

impl Touch {
    pub(super) const ALL: [Self; 5] =
        [Self::ReadsPrivate, Self::Egress, Self::Writes, Self::Money, Self::Destructive];

    pub(super) const fn bit(self) -> Touches {
        match self {
            Self::ReadsPrivate => Touches::READS_PRIVATE,
            Self::Egress => Touches::EGRESS,
            Self::Writes => Touches::WRITES,
            Self::Money => Touches::MONEY,
            Self::Destructive => Touches::DESTRUCTIVE,
        }
    }
}

/// What one call may weigh and take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallLimits {
    /// Bytes of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<usize>,
    /// Bytes of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<usize>,
    /// Levels of nested arrays and objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// The longest one attempt may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Since when the skill should not be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deprecated {
    /// From when on: a date, or a date and a time.
    pub since: Date,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Date>,
    /// What to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Arc<str>>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

pub(super) const NO_DATE: &str = "a date is written as in RFC 3339";

/// An RFC 3339 date, with a time or without: midnight in UTC then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub(super) Timestamp);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0.to_rfc3339())
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let parse = Timestamp::parse_rfc3339;
        let date = parse(&text).or_else(|| parse(&format!("{text}T00:00:00Z")));
        date.map(Self).ok_or_else(|| de::Error::custom(NO_DATE))
    }
}

/// The version of the remote's API that the skill was written for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PinnedApi {
    /// The remote.
    pub system: Arc<str>,
    /// The version as the remote writes it.
    pub version: Arc<str>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What the package's files are pinned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Integrity {
    /// The files, by their paths inside the package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<Arc<str>, PinnedFile>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What one file is pinned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PinnedFile {
    /// The digest of its bytes.
    pub digest: Pin,
    /// How many bytes it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Fields that nobody here knows.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Where the bill of materials is: a path, or a path and its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Sbom {
    /// A path inside the package.
    Path(Arc<str>),
    /// A path inside the package, and what its file is pinned to.
    Pinned {
        /// The path.
        path: Arc<str>,
        /// The digest of its bytes.
        digest: Pin,
        /// Fields that nobody here knows.
        #[serde(flatten)]
        unknown: Unknown,
    },
}

impl Sbom {
    /// The path inside the package.
    #[must_use]
    pub const fn path(&self) -> &Arc<str> {
        match self {
            Self::Path(path) | Self::Pinned { path, .. } => path,
        }
    }

    /// What its file is pinned to, when it is.
    #[must_use]
    pub const fn digest(&self) -> Option<Pin> {
        match self {
            Self::Path(_) => None,
            Self::Pinned { digest, .. } => Some(*digest),
        }
    }
}
