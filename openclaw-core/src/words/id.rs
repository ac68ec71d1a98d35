//! Names of things, as checked newtypes.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a string can't be an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The string is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The string is longer than [`MAX_ID_LEN`] bytes.
    #[error("an id has at most {MAX_ID_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// The string holds a control character.
    #[error("an id must not hold control characters (byte {0})")]
    Control(usize),
    /// The text is not 26 characters of the message id alphabet.
    #[error("not a message id: expected 26 characters 0-9 A-Z without I L O U")]
    NotAMessageId,
}

/// The longest id, in bytes.
pub const MAX_ID_LEN: usize = 128;

fn check(s: &str) -> Result<(), InvalidId> {
    if s.is_empty() {
        return Err(InvalidId::Empty);
    }
    if s.len() > MAX_ID_LEN {
        return Err(InvalidId::TooLong(s.len()));
    }
    s.char_indices()
        .find(|(_, c)| c.is_control())
        .map_or(Ok(()), |(at, _)| Err(InvalidId::Control(at)))
}

/// The longest id that is kept in place.
const INLINE: usize = 22;

/// The text of an id. A short one is copied: ids are cloned all the time, by all threads, and a
/// counter that they share would travel between the processors each time.
#[derive(Clone)]
enum Name {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<str>),
}

impl Name {
    fn of(text: &str) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(text.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Shared(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // Made from a text of this length: never cut inside a character.
            Self::Inline { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Name);

        impl $name {
            /// Checks the text: 1 to 128 bytes, no control characters.
            ///
            /// # Errors
            /// [`InvalidId`] says what is wrong.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                check(text).map(|()| Self(Name::of(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::new(text).map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Whose data it is; first part of every data key.
    TenantId;
    /// A channel of this gateway: `"slack-eu"`.
    ChannelId;
    /// An agent of this gateway.
    AgentId;
    /// A skill, without its version: `"refund.create"`.
    SkillId;
    /// A model, with its provider: `"acme/large"`.
    ModelId;
    /// Someone known to an authenticator.
    Subject;
    /// A conversation by one name: [`Conversation::session`](crate::Conversation::session).
    SessionId;
}

impl SessionId {
    /// This name where it is one, else that of a digest.
    pub(crate) fn of(text: &str, digest: impl FnOnce() -> [u8; 16]) -> Self {
        let digest = |_invalid| Self(Name::of(&MessageId::from_bytes(digest()).to_string()));
        Self::new(text).unwrap_or_else(digest)
    }
}

/// A message's own id in this gateway: 128 bits, ordered by time of admission.
///
/// Written as 26 characters of Crockford's base 32, so that text sorts like the number.
///
/// ```
/// use openclaw_core::MessageId;
///
/// let id = MessageId::from_u128(42);
/// assert_eq!(id.to_string().len(), 26);
/// assert_eq!(id.to_string().parse::<MessageId>()?, id);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl MessageId {
    /// The id with this number.
    #[must_use]
    pub const fn from_u128(n: u128) -> Self {
        Self(n)
    }

    /// The number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// Sixteen bytes, big endian: they sort like the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of sixteen big-endian bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; 26];
        for (i, letter) in text.iter_mut().rev().enumerate() {
            let digit = (self.0 >> (i * 5)) & 31;
            let at = usize::try_from(digit).unwrap_or_default();
            *letter = ALPHABET.get(at).copied().unwrap_or(b'0');
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for MessageId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = InvalidId::NotAMessageId;
        if text.len() != 26 {
            return Err(bad);
        }
        text.bytes()
            .enumerate()
            .try_fold(0u128, |n, (i, b)| {
                let digit =
                    ALPHABET.iter().position(|a| *a == b.to_ascii_uppercase()).ok_or(bad)?;
                // 26 × 5 bits are 130: the first character carries three.
                if i == 0 && digit > 7 {
                    return Err(bad);
                }
                Ok((n << 5) | digit as u128)
            })
            .map(Self)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { self.to_bytes().serialize(s) }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
            text.parse().map_err(de::Error::custom)
        } else {
            <[u8; 16]>::deserialize(d).map(Self::from_bytes)
        }
    }
}
