//! What an outcome means to a layer.

use std::time::Duration;

use crate::{ErrorKind, Happened};

/// What an outcome means to every layer.
///
/// ```
/// use openclaw_core::{ErrorKind, Happened, policy::Assessment};
///
/// let busy = Assessment::fault(ErrorKind::RateLimited);
/// assert_eq!(busy.happened, Happened::No);
/// assert_eq!(busy.is_failure(), None, "a breaker looks away: the limiter minds it");
/// assert_eq!(Assessment::fault(ErrorKind::ServerError).is_failure(), Some(true));
/// assert_eq!(Assessment::fault(ErrorKind::NotFound).is_failure(), Some(false), "it answered");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assessment {
    /// What went wrong; `None` is success.
    pub fault: Option<ErrorKind>,
    /// Whether the effect happened.
    pub happened: Happened,
    /// The earliest time a repeat makes sense, as the other side said.
    pub retry_after: Option<Duration>,
    /// A layer of this process answered: the other side never saw the call.
    pub local: bool,
    /// An inner layer has spent its attempts.
    pub exhausted: bool,
}

impl Assessment {
    /// The call did what it should.
    pub const SUCCESS: Self = Self {
        fault: None,
        happened: Happened::Yes,
        retry_after: None,
        local: false,
        exhausted: false,
    };

    /// The call failed; whether it happened is the careful default of the kind.
    #[must_use]
    pub const fn fault(kind: ErrorKind) -> Self {
        Self { fault: Some(kind), happened: kind.usually_happened(), ..Self::SUCCESS }
    }

    /// Says whether the effect happened.
    #[must_use]
    pub const fn with_happened(mut self, happened: Happened) -> Self {
        self.happened = happened;
        self
    }

    /// Says when a repeat makes sense.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Says that a layer of this process answered.
    #[must_use]
    pub const fn refused_here(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Says that an inner layer has spent its attempts.
    #[must_use]
    pub const fn with_exhausted(mut self, exhausted: bool) -> Self {
        self.exhausted = exhausted;
        self
    }

    /// Says that an earlier try of the same call may have happened.
    #[must_use]
    pub const fn in_doubt(mut self) -> Self {
        if matches!(self.happened, Happened::No) {
            self.happened = Happened::Maybe;
        }
        self.local = false;
        self
    }

    /// Did the call do what it should?
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.fault.is_none()
    }

    /// May the same request do better later?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.fault.is_some_and(ErrorKind::is_transient)
    }

    /// Was the other side too busy for us?
    #[must_use]
    pub const fn is_throttled(&self) -> bool {
        matches!(self.fault, Some(ErrorKind::RateLimited)) && !self.local
    }

    /// Is the other side in trouble? `None`: the outcome does not tell.
    ///
    /// Silence, refusal to serve and errors of its own are trouble. An answer is none, even
    /// "not found" or "not allowed". Refusals of this process, throttling and callers who gave
    /// up tell nothing.
    #[must_use]
    pub const fn is_failure(&self) -> Option<bool> {
        if self.local {
            return None;
        }
        match self.fault {
            Some(ErrorKind::RateLimited | ErrorKind::Cancelled) => None,
            Some(
                ErrorKind::Timeout
                | ErrorKind::Unavailable
                | ErrorKind::ServerError
                | ErrorKind::CircuitOpen
                | ErrorKind::Overloaded
                | ErrorKind::Unclassified,
            ) => Some(true),
            Some(_) | None => Some(false),
        }
    }
}
