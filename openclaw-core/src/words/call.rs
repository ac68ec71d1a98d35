//! The one request type of all seams, and what a call may do to the world.

use std::{any::Any, fmt, ops::BitOr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::key::KeyBuilder;
use crate::{Context, MessageId};

/// What a call may do to the world, as its owner declares it.
///
/// It decides what happens when nobody knows whether the call was made:
///
/// | effect | an unknown outcome is |
/// |---|---|
/// | `Pure` | run again |
/// | `Keyed` | sent again with the same key, while the remote still remembers keys |
/// | `Reconcilable` | asked about through the reconcile hook |
/// | `AtLeastOnce` | run again; duplicates are accepted by name |
/// | `AtMostOnce` | parked, where a person sees it |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a host must handle every class")]
pub enum Effect {
    /// Changes nothing: it may run any number of times.
    Pure,
    /// The remote honours our idempotency key for this long after the first try.
    Keyed {
        /// How long the remote remembers a key.
        retention: Duration,
    },
    /// The owner can tell afterwards whether it happened.
    Reconcilable,
    /// Running it twice is accepted.
    AtLeastOnce,
    /// It must never run twice, and nobody can ask. The default.
    #[default]
    AtMostOnce,
}

impl Effect {
    /// Does the remote honour keys?
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::Keyed { .. })
    }
}

/// Which data a call touches; a word apart from [`Effect`].
///
/// ```
/// use openclaw_core::Touches;
///
/// let refund = Touches::WRITES | Touches::MONEY;
/// assert!(refund.contains(Touches::MONEY) && !refund.contains(Touches::EGRESS));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Touches(u8);

impl Touches {
    /// Touches nothing that needs a rule.
    pub const NOTHING: Self = Self(0);
    /// Reads private data.
    pub const READS_PRIVATE: Self = Self(1);
    /// Sends data out of the company.
    pub const EGRESS: Self = Self(2);
    /// Changes data.
    pub const WRITES: Self = Self(4);
    /// Moves money.
    pub const MONEY: Self = Self(8);
    /// Destroys data.
    pub const DESTRUCTIVE: Self = Self(16);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::READS_PRIVATE, "reads_private"),
        (Self::EGRESS, "egress"),
        (Self::WRITES, "writes"),
        (Self::MONEY, "money"),
        (Self::DESTRUCTIVE, "destructive"),
    ];

    /// Are all of `other` in here?
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Touches {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Touches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

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
    pub(super) fn named(
        name: impl fmt::Display,
        operation: &str,
    ) -> Result<Self, InvalidOperation> {
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

/// A request at any seam: a head that layers read, and a payload they never touch.
///
/// Channel sends, agent turns, skill calls, model calls and HTTP requests are all calls. The
/// effect is stamped by the constructor that holds the manifest (`Call::skill`,
/// `Call::outbound`, `Call::http`, …); a caller can't set it.
#[derive(Clone, Debug)]
pub struct Call<P> {
    context: Context,
    target: Arc<str>,
    effect: Effect,
    key: Option<IdempotencyKey>,
    // Where the ledger and its mark meet.
    slot: Option<Arc<dyn Any + Send + Sync>>,
    payload: P,
}

impl<P> Call<P> {
    /// A call that stamps its effect: only for constructors that hold the manifest.
    pub(crate) fn stamped(
        context: Context,
        target: impl Into<Arc<str>>,
        effect: Effect,
        payload: P,
    ) -> Self {
        Self { context, target: target.into(), effect, key: None, slot: None, payload }
    }

    /// Gives the call its idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Replaces the context: a new attempt, a nearer deadline.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Brings the claim along that the ledger opened for this call.
    pub(crate) fn with_slot(mut self, slot: Arc<dyn Any + Send + Sync>) -> Self {
        self.slot = Some(slot);
        self
    }

    pub(crate) const fn slot(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.slot.as_ref()
    }

    pub(crate) const fn shared_target(&self) -> &Arc<str> {
        &self.target
    }

    /// Narrows the deadline and sets the attempt, in place.
    pub(crate) fn stamp(&mut self, deadline: Option<Instant>, attempt: u32) {
        self.context.stamp(deadline, attempt);
    }

    /// The same head around another payload.
    #[must_use]
    pub fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Call<Q> {
        let Self { context, target, effect, key, slot, payload } = self;
        Call { context, target, effect, key, slot, payload: f(payload) }
    }

    /// Who asks, until when, at which attempt.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// What is called: a skill, a channel, a model, an agent, a host.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the call may do to the world.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// The idempotency key, when the call has one.
    #[must_use]
    pub const fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// What is asked.
    #[must_use]
    pub const fn payload(&self) -> &P {
        &self.payload
    }

    /// Takes the payload out.
    #[must_use]
    pub fn into_payload(self) -> P {
        self.payload
    }
}
