//! Idempotency keys: of a turn's operation, or from the parts that name one.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::MessageId;

/// Names one effect, the same at every attempt and after every restart.
///
/// A skill call's key is its turn and its operation name, never its arguments: an agent that
/// is run again and words its request differently must not cause a second effect.
///
/// ```
/// use openclaw_core::{IdempotencyKey, MessageId};
///
/// let key = IdempotencyKey::of(MessageId::from_u128(1), "refund")?;
/// assert_eq!(key.as_str(), "00000000000000000000000001.refund");
/// assert!(IdempotencyKey::of(MessageId::from_u128(1), "two words").is_err());
/// # Ok::<(), openclaw_core::InvalidOperation>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(Arc<str>);

/// The operation name is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operation name has 1 to 64 characters of A-Z a-z 0-9 . _ -")]
#[non_exhaustive]
pub struct InvalidOperation;

impl IdempotencyKey {
    /// The key of this operation in this turn.
    ///
    /// # Errors
    /// [`InvalidOperation`] when the name holds other characters than `A-Z a-z 0-9 . _ -`.
    pub fn of(turn: MessageId, operation: &str) -> Result<Self, InvalidOperation> {
        Self::named(turn, operation)
    }

    /// Starts the key of an operation that no turn asked for, from the parts that name it.
    ///
    /// ```
    /// use openclaw_core::IdempotencyKey;
    ///
    /// let refund = |order, line| IdempotencyKey::builder("shop.refund").part(order).part(line);
    /// assert_eq!(refund("1042", "2").build()?, refund("1042", "2").build()?);
    /// assert_ne!(refund("10", "422").build()?, refund("1042", "2").build()?);
    /// # Ok::<(), openclaw_core::InvalidOperation>(())
    /// ```
    pub fn builder(operation: impl Into<Arc<str>>) -> KeyBuilder {
        KeyBuilder::new(operation.into())
    }

    /// A key of this name for an operation.
    fn named(name: impl fmt::Display, operation: &str) -> Result<Self, InvalidOperation> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if operation.is_empty() || operation.len() > 64 || !operation.bytes().all(fits) {
            return Err(InvalidOperation);
        }
        Ok(Self(format!("{name}.{operation}").into()))
    }

    /// The turn that asked, when one did.
    pub(crate) fn turn(&self) -> Option<MessageId> {
        self.0.split_once('.').and_then(|(turn, _)| turn.parse().ok())
    }

    /// The text that goes to the remote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The operation's name: what follows the turn, or the digest of a built key.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, operation)| operation)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Builds an [`IdempotencyKey`] from an operation's name and the parts that make it one.
///
/// The parts are hashed with their lengths, so their borders can't be moved. A plain join is
/// ambiguous: `("a:b", "c")` and `("a", "b:c")` both become `a:b:c`, and the second refund is
/// answered with the first one's result.
///
/// ```
/// use openclaw_core::IdempotencyKey;
///
/// let joined = |parts: [&str; 2]| parts.join(":");
/// assert_eq!(joined(["a:b", "c"]), joined(["a", "b:c"]), "two operations, one name");
///
/// let key = |a, b| IdempotencyKey::builder("shop.refund").part(a).part(b).build();
/// assert_ne!(key("a:b", "c")?, key("a", "b:c")?);
/// assert_eq!(key("a", "b")?.operation(), "shop.refund");
/// # Ok::<(), openclaw_core::InvalidOperation>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `build`"]
pub struct KeyBuilder {
    operation: Arc<str>,
    parts: Vec<Box<[u8]>>,
}

impl KeyBuilder {
    const fn new(operation: Arc<str>) -> Self {
        Self { operation, parts: Vec::new() }
    }

    /// Adds a part; an empty one counts, too.
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        self.parts.push(part.as_ref().into());
        self
    }

    /// The key: the digest of operation and parts, then the operation. At most 129 characters.
    ///
    /// # Errors
    /// [`InvalidOperation`] when the name is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn build(self) -> Result<IdempotencyKey, InvalidOperation> {
        let operation = self.operation.as_bytes();
        let parts = std::iter::once(operation).chain(self.parts.iter().map(|part| &**part));
        IdempotencyKey::named(Digest::of("openclaw.key", parts), &self.operation)
    }
}
