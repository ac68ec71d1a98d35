//! What a host is told about a grant.

use std::{fmt, sync::Arc};

use openclaw_core::{ErrorKind, Timestamp};

use super::record::{Phase, ReauthReason, Record};

/// Something that became of a grant, as soon as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthEvent {
    /// New tokens are stored.
    Renewed {
        /// The grant's name.
        grant: Arc<str>,
        /// When the access token is over.
        expires_at: Timestamp,
    },
    /// A request for tokens brought none; it is made again later.
    Failed {
        /// The grant's name.
        grant: Arc<str>,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// Nothing works any more until a person authorises again: tell one.
    NeedsReauth {
        /// The grant's name.
        grant: Arc<str>,
        /// Why.
        why: ReauthReason,
    },
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantState {
    /// Tokens are there, or are asked for at the next use.
    Ready,
    /// Somebody asks for tokens at the moment.
    Renewing,
    /// The last requests failed; the next waits for this date.
    Waiting {
        /// The date.
        until: Timestamp,
    },
    /// Only a person helps: [`begin`](super::OAuth::begin) anew.
    NeedsReauth {
        /// Why.
        why: ReauthReason,
    },
}

/// How a grant stands, without its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantStatus {
    /// Its state.
    pub state: GrantState,
    /// How many access tokens there were.
    pub generation: u64,
    /// When the present access token is over.
    pub expires_at: Option<Timestamp>,
    /// Requests in a row that failed.
    pub failures: u32,
}

impl GrantStatus {
    pub(super) fn of(record: &Record, now: Timestamp) -> Self {
        let state = match record.phase {
            Phase::NeedsReauth { why, .. } => GrantState::NeedsReauth { why },
            Phase::Refreshing { until, .. } if now < until => GrantState::Renewing,
            Phase::Idle { not_before } if now < not_before => {
                GrantState::Waiting { until: not_before }
            }
            Phase::Refreshing { .. } | Phase::Idle { .. } => GrantState::Ready,
        };
        let expires_at = record.tokens.as_ref().map(|tokens| tokens.expires_at);
        Self { state, generation: record.generation, expires_at, failures: record.tries }
    }

    pub(super) const fn missing() -> Self {
        let state = GrantState::NeedsReauth { why: ReauthReason::NeverAuthorised };
        Self { state, generation: 0, expires_at: None, failures: 0 }
    }
}

type Listener = dyn Fn(&AuthEvent) + Send + Sync;

/// Whoever is told.
#[derive(Clone, Default)]
pub(super) struct Listeners(Vec<Arc<Listener>>);

impl Listeners {
    pub(super) fn add(&mut self, listener: impl Fn(&AuthEvent) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(super) fn tell(&self, event: &AuthEvent) {
        self.0.iter().for_each(|listener| listener(event));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
