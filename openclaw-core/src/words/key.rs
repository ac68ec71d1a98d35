//! Idempotency keys from the parts that name an operation.

use std::sync::Arc;

use super::{
    call::{IdempotencyKey, InvalidOperation},
    digest::Digest,
};

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
    pub(super) const fn new(operation: Arc<str>) -> Self {
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
