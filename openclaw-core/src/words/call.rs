//! The one request type of all seams, and what a call may do to the world.

use std::{any::Any, fmt, ops::BitOr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{key::IdempotencyKey, meter::Meter};
use crate::Context;

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

    /// Is any of `other` in here?
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
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
    // What travels inwards: the claim that the ledger opened.
    slot: Option<Arc<dyn Any + Send + Sync>>,
    // The way to the skills that a skill calls.
    others: Option<Arc<dyn Any + Send + Sync>>,
    // Where it says what it has spent, when somebody asks.
    meter: Option<Meter>,
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
        let target = target.into();
        Self { context, target, effect, key: None, slot: None, others: None, meter: None, payload }
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

    /// Brings the way along to the skills that this one calls.
    pub(crate) fn with_others(mut self, others: Arc<dyn Any + Send + Sync>) -> Self {
        self.others = Some(others);
        self
    }

    pub(crate) const fn others(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.others.as_ref()
    }

    /// Asks the call what it spends.
    pub(crate) fn with_meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Says what this call has spent, in a unit of the host's [budgets].
    ///
    /// Several reports add up, those of earlier tries too. Without a word the call has spent what
    /// it was expected to cost, when it has happened. It counts whatever becomes of the call, and
    /// is heard up to its end. Without a budget for it nobody listens. Whole units: up to 16 of them
    /// a call, and 2^50 of each; what is beyond is not counted.
    ///
    /// [budgets]: crate::records::Budgets
    pub fn spent(&self, unit: &str, amount: u64) {
        if let Some(meter) = &self.meter {
            meter.add(unit, amount);
        }
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
        let Self { context, target, effect, key, slot, others, meter, payload } = self;
        Call { context, target, effect, key, slot, others, meter, payload: f(payload) }
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
