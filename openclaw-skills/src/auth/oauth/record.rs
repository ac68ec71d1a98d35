//! What is kept of a grant: a row, its tokens, what is under way.

use std::{fmt, time::Duration};

use openclaw_core::{Digest, Error, ErrorKind, Happened, Result, Secret, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number that rows of this form begin with.
const FORMAT: u8 = 1;

/// A secret that only a row may hold. It is written into nothing else.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) Secret);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// An access token and its dates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub(super) access: Hidden,
    pub(super) obtained_at: Timestamp,
    /// From here on it is replaced, though it is valid still.
    pub(super) fresh_until: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// Why a grant needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReauthReason {
    /// Nobody has authorised it yet, or it was authorised for another client.
    NeverAuthorised,
    /// The server does not accept the refresh token any more.
    Revoked,
    /// The server may have issued tokens that were never stored. It accepts the old ones no more.
    RotationLost,
    /// The access token is over, and there is no refresh token.
    NoRefreshToken,
}

impl fmt::Display for ReauthReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverAuthorised => "never authorised",
            Self::Revoked => "revoked",
            Self::RotationLost => "rotation lost",
            Self::NoRefreshToken => "no refresh token",
        })
    }
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Nothing; the next request waits until this date.
    Idle { not_before: Timestamp },
    /// Somebody asks for tokens, and has until this date.
    Refreshing { holder: u64, until: Timestamp },
    /// Only a person helps.
    NeedsReauth { why: ReauthReason, since: Timestamp },
}

/// A grant as its row holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) format: u8,
    /// Which client at which end point it is for. A refresh token goes nowhere else.
    pub(super) client: Digest,
    /// Counts the access tokens.
    pub(super) generation: u64,
    pub(super) tokens: Option<Tokens>,
    pub(super) refresh: Option<Hidden>,
    pub(super) phase: Phase,
    /// Requests in a row that failed.
    pub(super) tries: u32,
    /// May the server have issued tokens that are not here?
    pub(super) doubt: bool,
    /// Do its tokens replace ones that the resource refused, or are they meant to?
    #[serde(default)]
    pub(super) replaces: bool,
}

impl Record {
    /// A record without tokens, in the place of one of this generation.
    pub(super) const fn new(client: Digest, generation: u64) -> Self {
        Self {
            format: FORMAT,
            client,
            generation,
            tokens: None,
            refresh: None,
            phase: Phase::Idle { not_before: Timestamp::from_millis(0) },
            tries: 0,
            doubt: false,
            replaces: false,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let odd = |_e| damaged("can't be written");
        serde_json::to_vec(self).map_err(odd)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        // The reader's error may quote the row: it is left behind.
        let record: Self =
            serde_json::from_slice(bytes).map_err(|_quoting| damaged("is damaged"))?;
        if record.format == FORMAT {
            return Ok(record);
        }
        let newer = damaged("has a format this program does not know");
        Err(newer.with("format", record.format).with("known", FORMAT))
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::ServerError, format!("a row of OAuth grants {what}"))
        .with_happened(Happened::No)
}

/// What the token end point answered.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) access: Secret,
    pub(super) lifetime: Duration,
    pub(super) refresh: Option<Secret>,
}
