//! Approvals: what a person was asked, what was said, and the slot by which a claim uses it.

mod again;
mod kept;
mod slot;
mod vote;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::{
    again::Again,
    kept::{Found, asked_by, asked_from, raced},
    slot::{Slot, Wanted},
};
pub use self::{kept::Approvals, vote::Vote};
use super::{audit::AuditAction, row::Row};
use crate::{Digest, MessageId, TenantId, Timestamp, Trust, rules::Terms};

/// What became of an approval.
///
/// ```text
/// Requested → Granted | Denied | Expired, Granted → Consumed | Denied | Expired
/// ```
///
/// What has expired stays so for its turn, until an operator replays that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApprovalState {
    /// People were asked; too few have said yes, and nobody no.
    Requested,
    /// Granted, not used yet.
    Granted,
    /// Somebody said no.
    Denied,
    /// Too few said yes in time, or nobody used it in time.
    Expired,
    /// Used by one claim.
    Consumed,
}

impl ApprovalState {
    /// The state's name, as it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Consumed => "consumed",
        }
    }
}

/// What a person is asked to approve, byte for byte, and who wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Asked {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The turn that waits; all zeros outside a gateway.
    pub turn: MessageId,
    /// The operation of that turn; outside a gateway the idempotency key.
    pub operation: Arc<str>,
    /// The agent that asks; empty when it is none.
    pub agent: Arc<str>,
    /// Whose message the agent answers; outside a gateway the principal of the call, or empty.
    pub sender: Arc<str>,
    /// How far that message may be trusted.
    pub trust: Trust,
    /// The skill.
    pub skill: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// The arguments.
    #[serde(with = "crate::words::json::embedded")]
    pub input: Arc<Value>,
}

/// A person's yes to exactly one request, or the request for one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Approval {
    /// The digest of what may be done: [`Approval::digest_of`].
    pub digest: Digest,
    /// Until when it can be decided, and until when a yes counts.
    pub expires: Timestamp,
    /// What became of it; see [`Approval::state_at`] for what its date makes of it.
    pub state: ApprovalState,
    /// What was asked; `None` when somebody granted it unasked.
    pub asked: Option<Asked>,
    /// On which terms it is granted: all of them hold.
    pub terms: Vec<Terms>,
    /// Who said what, in order.
    pub votes: Vec<Vote>,
}

impl Row for Approval {
    const NAME: &'static str = "approvals";
    const FORMAT: u8 = 2;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        #[derive(Deserialize)]
        enum State {
            Granted,
            Consumed,
        }
        #[derive(Deserialize)]
        struct Old {
            digest: Digest,
            by: Arc<str>,
            expires: Timestamp,
            state: State,
        }
        let read = |fields| {
            let Old { digest, by, expires, state } = postcard::from_bytes(fields)?;
            let state = match state {
                State::Granted => ApprovalState::Granted,
                State::Consumed => ApprovalState::Consumed,
            };
            Ok(Self { state, ..Self::granted(digest, by, expires) })
        };
        (format == 1).then(|| read(fields))
    }
}

impl Approval {
    /// A yes that nobody had asked for, not used yet.
    #[must_use]
    pub fn granted(digest: Digest, by: impl Into<Arc<str>>, expires: Timestamp) -> Self {
        let votes = vec![Vote { by: by.into(), ..Vote::yes() }];
        let state = ApprovalState::Granted;
        Self { digest, expires, state, asked: None, terms: Vec::new(), votes }
    }

    /// A request that nobody has decided yet.
    pub(crate) fn requested(digest: Digest, asked: Asked, terms: Vec<Terms>) -> Self {
        // The shortest time of all: behind it not all of the terms can hold.
        let ttl = terms.iter().map(|terms| terms.ttl.into()).min().unwrap_or_default();
        let (expires, state) = (asked.at.after(ttl), ApprovalState::Requested);
        Self { digest, expires, state, asked: Some(asked), terms, votes: Vec::new() }
    }

    /// The digest that an approval is bound to: tenant, skill, version and exact arguments.
    #[must_use]
    pub fn digest_of(tenant: &TenantId, skill: &str, version: &str, input: &Value) -> Digest {
        let arguments = Digest::of_json("openclaw.arguments", input);
        let parts = [tenant.as_str(), skill, version].map(str::as_bytes);
        let parts = parts.into_iter().chain([&arguments.as_bytes()[..]]);
        Digest::of("openclaw.approval", parts)
    }

    /// The state at this time of the store's clock.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> ApprovalState {
        match self.state {
            ApprovalState::Requested | ApprovalState::Granted if self.expires <= now => {
                ApprovalState::Expired
            }
            state => state,
        }
    }

    /// Whoever said no, when somebody did.
    #[must_use]
    pub fn denied_by(&self) -> Option<&Vote> {
        self.votes.iter().rfind(|vote| !vote.yes)
    }

    /// Whoever decided last.
    #[must_use]
    pub fn decided_by(&self) -> Option<&Vote> {
        self.votes.last()
    }

    /// The turn that it is for; all zeros when nobody asked for it.
    pub(crate) fn turn(&self) -> MessageId {
        self.asked.as_ref().map_or(MessageId::from_u128(0), |asked| asked.turn)
    }

    /// What the audit trail calls the step to this state.
    pub(crate) const fn action(&self) -> AuditAction {
        match self.state {
            ApprovalState::Requested if self.votes.is_empty() => AuditAction::ApprovalRequested,
            ApprovalState::Requested => AuditAction::ApprovalVoted,
            ApprovalState::Granted | ApprovalState::Consumed => AuditAction::ApprovalGranted,
            ApprovalState::Denied => AuditAction::ApprovalDenied,
            ApprovalState::Expired => AuditAction::ApprovalExpired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_from_before_requests_were_recorded_is_read() {
        let digest = Digest::of("test", ["one"]);
        let expires = Timestamp::from_millis(9);
        for (old, state) in [(0_u8, ApprovalState::Granted), (1, ApprovalState::Consumed)] {
            let row = postcard::to_extend(&(digest, "carol", expires, old), vec![1]).unwrap();
            let read = Approval::decode(&row).unwrap();
            assert_eq!((read.digest, read.expires, read.state), (digest, expires, state));
            assert_eq!(read.decided_by().map(|vote| &*vote.by), Some("carol"));
            assert!(read.asked.is_none() && read.terms.is_empty());
        }
    }
}
