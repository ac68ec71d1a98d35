//! The effect ledger: the only state machine for what is done to the world.

mod reader;
pub(crate) mod unversioned;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

pub use self::reader::Ledger;
use super::{
    budgets::{Share, reserves, take_unheld},
    row::{Row, written},
};
use crate::{
    Effect, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Result, TenantId, Timestamp,
    channel::Reconciled,
    skill::SkillAnswer,
    store::{Key, Prefix},
    words::{
        cut::words_of,
        json::embedded,
        planted::{Bug, planted},
    },
};

/// Where an effect stands.
///
/// ```text
/// Claimed → Dispatching → Done | Failed | Unknown → reconcile → Done | Claimed | Parked
/// ```
///
/// `Claimed` is surely not sent. `Dispatching` may be sent: found after a crash, nobody knows,
/// so it counts as `Unknown`. Doubt about an early try outlives a later one that surely failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EffectState {
    /// Recorded and not sent.
    Claimed {
        /// Tries that surely did nothing.
        tries: u32,
    },
    /// On its way to the remote.
    Dispatching {
        /// Tries before this one.
        tries: u32,
        /// When it was first sent.
        first_at: Timestamp,
        /// An earlier try may have happened.
        doubt: bool,
    },
    /// Happened, with this answer.
    Done {
        /// What the remote answered.
        answer: SkillAnswer,
    },
    /// Ended without success; told again to whoever asks again.
    Failed {
        /// What went wrong.
        kind: ErrorKind,
        /// The operator's message, up to 8 KiB of it.
        message: Arc<str>,
        /// Whether the effect happened all the same.
        happened: Happened,
    },
    /// Nobody knows whether it happened.
    Unknown {
        /// Tries so far.
        tries: u32,
        /// When it was first sent.
        first_at: Timestamp,
    },
    /// A person has to look.
    Parked {
        /// When it was first sent.
        first_at: Timestamp,
        /// Why.
        reason: Arc<str>,
    },
}

/// What happens to an effect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It is about to be sent.
    Dispatch {
        /// Now.
        at: Timestamp,
    },
    /// It happened, with this answer.
    Succeeded(SkillAnswer),
    /// It happened, and its answer breaks the contract.
    ///
    /// The answer is kept, and nobody may use it.
    Broken {
        /// What the remote answered.
        answer: SkillAnswer,
        /// What is wrong with it, in words for operators.
        why: Arc<str>,
    },
    /// This try surely did nothing. What an earlier one did is another question.
    NotSent,
    /// Its owner says that no try did anything, and none will.
    DidNotHappen,
    /// It ended without success, for good.
    Failed(Arc<Error>),
    /// The answer was lost.
    Lost,
    /// Nobody will ever know, or nobody may ask again.
    Park(Arc<str>),
    /// A person looked: it happened with this answer, or it did not happen.
    Decided(Option<SkillAnswer>),
}

/// The event does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an effect that is {state} can't be {event}")]
#[non_exhaustive]
pub struct IllegalEvent {
    /// The state's name.
    pub state: &'static str,
    /// The event's name.
    pub event: &'static str,
}

impl EffectState {
    /// The state of an effect that was just recorded.
    pub const NEW: Self = Self::Claimed { tries: 0 };

    /// The state after this event.
    ///
    /// # Errors
    /// [`IllegalEvent`]: a finished effect never moves, a parked one only by a person's
    /// decision, and nothing is done that was not dispatched.
    pub fn after(&self, event: Event) -> Result<Self, IllegalEvent> {
        let illegal = IllegalEvent { state: self.name(), event: event.name() };
        match (self, event) {
            (Self::Claimed { tries }, Event::Dispatch { at }) => {
                Ok(Self::Dispatching { tries: *tries, first_at: at, doubt: false })
            }
            (
                Self::Dispatching { tries, first_at, .. } | Self::Unknown { tries, first_at },
                Event::Dispatch { .. },
            ) => Ok(Self::Dispatching { tries: tries + 1, first_at: *first_at, doubt: true }),
            (
                Self::Dispatching { .. } | Self::Unknown { .. },
                Event::Succeeded(answer) | Event::Broken { answer, .. },
            ) => Ok(Self::Done { answer }),
            (state, Event::Decided(answer)) if state.is_in_doubt() => {
                Ok(answer.map_or(Self::NEW, |answer| Self::Done { answer }))
            }
            (Self::Dispatching { tries, first_at, doubt: true }, Event::NotSent)
            | (Self::Dispatching { tries, first_at, .. }, Event::Lost) => {
                Ok(Self::Unknown { tries: *tries, first_at: *first_at })
            }
            // Its owner was asked, and did not know either.
            (Self::Unknown { tries, first_at }, Event::Lost) => {
                Ok(Self::Unknown { tries: tries + 1, first_at: *first_at })
            }
            (
                Self::Claimed { tries } | Self::Dispatching { tries, doubt: false, .. },
                Event::NotSent,
            )
            | (
                Self::Dispatching { tries, .. } | Self::Unknown { tries, .. },
                Event::DidNotHappen,
            ) => Ok(Self::Claimed { tries: tries + 1 }),
            (
                Self::Dispatching { tries, first_at, doubt: true }
                | Self::Unknown { tries, first_at },
                Event::Failed(e),
            ) if e.happened() != Happened::Yes => {
                Ok(Self::Unknown { tries: *tries, first_at: *first_at })
            }
            (
                Self::Claimed { .. } | Self::Dispatching { .. } | Self::Unknown { .. },
                Event::Failed(e),
            ) => Ok(Self::Failed { kind: e.kind(), message: words_of(&e), happened: e.happened() }),
            (
                Self::Dispatching { first_at, .. } | Self::Unknown { first_at, .. },
                Event::Park(reason),
            ) => Ok(Self::Parked { first_at: *first_at, reason }),
            (Self::Parked { first_at, .. }, Event::Dispatch { .. })
                if planted(Bug::ParkedRerun) =>
            {
                Ok(Self::Dispatching { tries: 0, first_at: *first_at, doubt: true })
            }
            _ => Err(illegal),
        }
    }

    /// The state's name, as it is shown and counted.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claimed { .. } => "claimed",
            Self::Dispatching { .. } => "dispatching",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::Parked { .. } => "parked",
        }
    }

    /// Is this the end?
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. } | Self::Parked { .. })
    }

    /// Might the effect have happened without anybody knowing?
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        matches!(self, Self::Dispatching { .. } | Self::Unknown { .. } | Self::Parked { .. })
    }
}

impl Event {
    const fn name(&self) -> &'static str {
        match self {
            Self::Dispatch { .. } => "dispatched",
            Self::Succeeded(_) | Self::Broken { .. } => "done",
            Self::NotSent => "given back",
            Self::DidNotHappen => "ruled out",
            Self::Failed(_) => "failed",
            Self::Lost => "lost",
            Self::Park(_) => "parked",
            Self::Decided(_) => "decided",
        }
    }

    /// What is wrong with its answer.
    pub(crate) fn breach(&self) -> Option<Arc<str>> {
        match self {
            Self::Broken { why, .. } => Some(Arc::clone(why)),
            _ => None,
        }
    }
}

/// What to do with an effect that is asked for (again).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Plan {
    /// Send it, with the same key as ever.
    Dispatch,
    /// Answer from the record.
    Replay,
    /// Ask its owner first.
    Reconcile,
    /// Park it, for this reason.
    Park(&'static str),
}

/// What to do with an effect in this state, by its declared class.
///
/// This is the crash matrix: a pure function of what is stored and what was declared.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Effect, Timestamp, records::{EffectState, Event, Plan, plan}};
///
/// let t = Timestamp::from_millis;
/// let sent = EffectState::NEW.after(Event::Dispatch { at: t(0) })?;
/// let keyed = Effect::Keyed { retention: Duration::from_secs(60) };
/// assert_eq!(plan(&sent, keyed, t(59_999)), Plan::Dispatch, "the remote still knows the key");
/// assert!(matches!(plan(&sent, keyed, t(60_000)), Plan::Park(_)));
/// assert!(matches!(plan(&sent, Effect::AtMostOnce, t(1)), Plan::Park(_)));
/// # Ok::<(), openclaw_core::records::IllegalEvent>(())
/// ```
#[must_use]
pub fn plan(state: &EffectState, effect: Effect, now: Timestamp) -> Plan {
    match state {
        EffectState::Claimed { .. } => Plan::Dispatch,
        EffectState::Dispatching { .. } if planted(Bug::DoubtForgotten) => Plan::Dispatch,
        EffectState::Parked { .. } if planted(Bug::ParkedRerun) => Plan::Dispatch,
        EffectState::Done { .. } | EffectState::Failed { .. } | EffectState::Parked { .. } => {
            Plan::Replay
        }
        EffectState::Dispatching { first_at, .. } | EffectState::Unknown { first_at, .. } => {
            match effect {
                Effect::Pure | Effect::AtLeastOnce => Plan::Dispatch,
                Effect::Keyed { retention } if now.since(*first_at) < retention => Plan::Dispatch,
                Effect::Keyed { .. } if planted(Bug::RetentionIgnored) => Plan::Dispatch,
                Effect::Keyed { .. } => Plan::Park("the remote may have forgotten the key"),
                Effect::Reconcilable => Plan::Reconcile,
                Effect::AtMostOnce if planted(Bug::MaybeRetried) => Plan::Dispatch,
                Effect::AtMostOnce => Plan::Park("it may have happened, and must not happen twice"),
            }
        }
    }
}

/// What the owner of an effect says of it: only a plain no is a no.
pub(crate) fn heard(answer: Reconciled) -> Reconciled {
    match answer {
        Reconciled::NotYetKnown { .. } if planted(Bug::NotYetIsNo) => Reconciled::DidNotHappen,
        Reconciled::CannotKnow if planted(Bug::CannotIsNo) => Reconciled::DidNotHappen,
        answer => answer,
    }
}

/// One effect, as the ledger keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EffectRecord {
    /// What was called.
    pub target: Arc<str>,
    /// The digest of the arguments: under one key there is one request.
    pub fingerprint: [u8; 16],
    /// The arguments as first asked, for reconciling and for people.
    #[serde(with = "crate::words::json::embedded")]
    pub request: Arc<Value>,
    /// What it was declared to do.
    pub effect: Effect,
    /// The approval that its claim consumed.
    pub approval: Option<Arc<str>>,
    /// The version of the skill that it was claimed with: a later run meets the same one.
    ///
    /// None where no version was chosen: outside a gateway, or before versions were kept.
    pub version: Option<Arc<str>>,
    /// Where it stands.
    pub state: EffectState,
    /// How its answer breaks the contract; none when it is good. Nobody gets such an answer.
    pub breach: Option<Arc<str>>,
    /// What it has reserved and spent, by account. Its row begins with it.
    #[serde(skip)]
    pub costs: Vec<Share>,
}

impl Row for EffectRecord {
    const NAME: &'static str = "effects";
    const FORMAT: u8 = 3;

    fn encode(&self) -> Result<Bytes> {
        Self::row(&self.head()?, &self.costs, &self.state, self.breach.as_ref())
    }

    fn fields(bytes: &[u8]) -> postcard::Result<Self> {
        let (costs, rest) = postcard::take_from_bytes(bytes)?;
        Ok(Self { costs, ..postcard::from_bytes(rest)? })
    }

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        match format {
            1 => Some(postcard::from_bytes::<unversioned::EffectRecordV1>(fields).map(Self::from)),
            // Costs were a tenant's, and nobody's below it; and it had no last field, which is written
            // as a zero when there is none.
            2 => Some(take_unheld(fields).and_then(|(costs, rest)| {
                Ok(Self { costs, ..postcard::from_bytes(&[rest, &[0]].concat())? })
            })),
            _ => None,
        }
    }
}

/// The fields of a record up to its state, in their order.
struct Head<'a>(&'a EffectRecord);

impl Serialize for Head<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Request<'a>(&'a Arc<Value>);

        impl Serialize for Request<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                embedded::serialize(self.0, serializer)
            }
        }

        let EffectRecord {
            target,
            fingerprint,
            request,
            effect,
            approval,
            version,
            state: _,
            breach: _,
            costs: _,
        } = self.0;
        (target, fingerprint, Request(request), effect, approval, version).serialize(serializer)
    }
}

impl EffectRecord {
    /// The record after this event.
    pub(crate) fn after(&self, event: Event) -> Result<Self> {
        Ok(Self { breach: event.breach(), state: self.state_after(event)?, ..self.clone() })
    }

    /// Its state after this event.
    pub(crate) fn state_after(&self, event: Event) -> Result<EffectState> {
        self.state
            .after(event)
            .map_err(|e| Error::new(ErrorKind::Conflict, e.to_string()).with_happened(Happened::No))
    }

    /// The bytes of its row between costs and state: they stay the same while it moves on.
    pub(crate) fn head(&self) -> Result<Bytes> {
        written::<Self>(|bytes| postcard::to_extend(&Head(self), bytes))
    }

    /// The row of a record with this head, these costs, in this state.
    pub(crate) fn row(
        head: &[u8],
        costs: &[Share],
        state: &EffectState,
        breach: Option<&Arc<str>>,
    ) -> Result<Bytes> {
        written::<Self>(|mut bytes| {
            bytes.push(Self::FORMAT);
            let mut bytes = postcard::to_extend(costs, bytes)?;
            bytes.extend_from_slice(head);
            postcard::to_extend(&(state, breach), bytes)
        })
    }

    /// Has it reserved something?
    pub(crate) fn reserves(&self) -> bool {
        reserves(&self.costs)
    }

    /// How long ago it was first sent, when it is in doubt.
    #[must_use]
    pub const fn in_doubt_for(&self, now: Timestamp) -> Option<Duration> {
        match &self.state {
            EffectState::Dispatching { first_at, .. }
            | EffectState::Unknown { first_at, .. }
            | EffectState::Parked { first_at, .. } => Some(now.since(*first_at)),
            _ => None,
        }
    }
}

/// The key of an effect: its turn, then its operation.
pub(crate) fn effect_key(tenant: &TenantId, turn: MessageId, key: &IdempotencyKey) -> Key {
    Key::of(tenant, "fx").id(turn).text(key.operation()).build()
}

/// All effects of a turn.
pub(crate) fn effects_of(tenant: &TenantId, turn: MessageId) -> Prefix {
    Key::of(tenant, "fx").id(turn).prefix()
}

/// All effects of a tenant, in the order of the turns.
pub(crate) fn effect_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "fx").prefix()
}

/// The turn in an effect's key.
pub(crate) fn turn_of(key: &Key, prefix: &Prefix) -> Option<MessageId> {
    key.behind(prefix)?.first_chunk().copied().map(MessageId::from_bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_costs_and_the_fields_of_the_format_before() -> Result<()> {
        let at = Timestamp::from_millis(7);
        let states = [
            EffectState::NEW,
            EffectState::Dispatching { tries: 1, first_at: at, doubt: true },
            EffectState::Done { answer: SkillAnswer::done(json!({"paid": [1, null]})) },
            EffectState::Failed {
                kind: ErrorKind::Conflict,
                message: "no".into(),
                happened: Happened::No,
            },
            EffectState::Unknown { tries: 2, first_at: at },
            EffectState::Parked { first_at: at, reason: "ask".into() },
        ];
        for (approval, state) in [None, Some("a-1".into())].into_iter().cycle().zip(states) {
            let record = EffectRecord {
                target: "shop.refund".into(),
                fingerprint: [7; 16],
                request: Arc::new(json!({"order": "1042", "ü": 1.5})),
                effect: Effect::Keyed { retention: Duration::from_secs(3) },
                version: approval.clone(),
                approval,
                state,
                breach: None,
                costs: Vec::new(),
            };
            let fields = postcard::to_allocvec(&record).unwrap();
            let row = record.encode()?;
            assert_eq!(row[..], [&[3, 0], &fields[..]].concat(), "{:?}", record.state);
            // A program before breaches and holders were kept wrote a 2, and no last field.
            let fields = fields.strip_suffix(&[0]).unwrap();
            let old = EffectRecord::decode(&[&[2, 0], fields].concat())?;
            assert_eq!(old.encode()?, row, "{:?}", record.state);
            // A program before budgets and versions wrote a 1, and neither of them.
            let mut old = postcard::Serializer { output: postcard::ser_flavors::AllocVec::new() };
            unversioned::serialize(&record, &mut old).unwrap();
            let old = postcard::ser_flavors::Flavor::finalize(old.output).unwrap();
            let old = EffectRecord::decode(&[&[1], &old[..]].concat())?;
            let unversioned = EffectRecord { version: None, ..record.clone() };
            assert_eq!(old.encode()?, unversioned.encode()?, "{:?}", record.state);
        }
        Ok(())
    }

    #[test]
    fn a_doubt_is_as_old_as_the_first_send() {
        let t = Timestamp::from_millis;
        let sent = EffectState::NEW.after(Event::Dispatch { at: t(1_000) }).unwrap();
        let done = sent.after(Event::Succeeded(SkillAnswer::done(Value::Null))).unwrap();
        let parked = sent.after(Event::Park("a test".into())).unwrap();
        let age = |state: &EffectState| {
            let record = EffectRecord {
                target: "shop".into(),
                fingerprint: [0; 16],
                request: Arc::default(),
                effect: Effect::AtMostOnce,
                approval: None,
                version: None,
                state: state.clone(),
                breach: None,
                costs: Vec::new(),
            };
            record.in_doubt_for(t(4_000))
        };
        for doubt in [&sent.after(Event::Lost).unwrap(), &sent, &parked] {
            assert_eq!(age(doubt), Some(Duration::from_secs(3)), "{doubt:?}");
        }
        for sure in [&EffectState::NEW, &done] {
            assert_eq!(age(sure), None, "{sure:?}");
        }
    }
}
