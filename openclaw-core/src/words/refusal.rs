//! Why a layer of this process answered a call itself.

use std::{fmt, sync::Arc, time::Duration};

use crate::{ErrorKind, Happened};

/// How much of a call a timeout covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The whole call, with its retries and waits.
    Total,
    /// One attempt.
    Attempt,
}

/// Why a layer answered itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No answer came in time.
    Timeout(Scope),
    /// The answer could not come before the deadline: nothing was sent.
    DeadlineTooNear,
    /// The circuit breaker is open.
    CircuitOpen,
    /// The rate limit is reached.
    RateLimited,
    /// A bound of this process is reached: calls in flight, keys, queue.
    Overloaded,
    /// The same call is being made elsewhere.
    InProgress,
    /// The same key was used for another request.
    KeyReused,
    /// Nobody knows whether an earlier try happened, and it must not happen twice.
    InDoubt,
    /// The request breaks its contract.
    Invalid,
    /// The answer breaks its contract. What was asked for has happened.
    InvalidAnswer,
    /// What has to be recorded first can't be recorded.
    NotRecorded,
    /// The tenant's budget is spent: a limit of its own, not one of this process.
    BudgetSpent,
}

impl Reason {
    /// The error code that says the same.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Timeout(_) | Self::DeadlineTooNear => ErrorKind::Timeout,
            Self::CircuitOpen => ErrorKind::CircuitOpen,
            Self::RateLimited | Self::BudgetSpent => ErrorKind::RateLimited,
            Self::Overloaded => ErrorKind::Overloaded,
            Self::InProgress => ErrorKind::Duplicate,
            Self::KeyReused | Self::InDoubt => ErrorKind::Conflict,
            Self::Invalid | Self::InvalidAnswer => ErrorKind::ValidationError,
            Self::NotRecorded => ErrorKind::Unavailable,
        }
    }

    /// Whether the effect happened.
    #[must_use]
    pub const fn happened(self) -> Happened {
        match self {
            Self::Timeout(_) | Self::InDoubt => Happened::Maybe,
            Self::InvalidAnswer => Happened::Yes,
            _ => Happened::No,
        }
    }

    /// The reason in words, for operators.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Timeout(Scope::Total) => "no answer within the time of the whole call",
            Self::Timeout(Scope::Attempt) => "no answer within the time of one attempt",
            Self::DeadlineTooNear => "the answer could not come before the deadline",
            Self::CircuitOpen => "the circuit breaker is open",
            Self::RateLimited => "the rate limit is reached",
            Self::Overloaded => "too many calls at once",
            Self::InProgress => "the same call is being made elsewhere",
            Self::KeyReused => "the key was used for another request",
            Self::InDoubt => "nobody knows whether an earlier try happened",
            Self::Invalid => "the request breaks its contract",
            Self::InvalidAnswer => "the answer breaks its contract",
            Self::NotRecorded => "the call can't be recorded",
            Self::BudgetSpent => "the budget is spent",
        }
    }
}

/// A call that a layer answered itself; the one refusal of all layers.
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{Error, ErrorKind, Happened, Reason, Refusal};
///
/// let refusal = Refusal::new(Reason::CircuitOpen, "crm").with_retry_after(Duration::from_secs(3));
/// assert!(refusal.is_local(), "the remote never saw the call");
///
/// let e = Error::from(refusal);
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::CircuitOpen, Happened::No));
/// assert_eq!(e.retry_after(), Some(Duration::from_secs(3)));
/// assert_eq!(e.to_string(), "CIRCUIT_OPEN: the circuit breaker is open (by=crm)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    by: Arc<str>,
    retry_after: Option<Duration>,
    detail: Option<Arc<str>>,
    exhausted: bool,
    in_doubt: bool,
}

impl Refusal {
    /// A refusal by the layer of this name.
    #[must_use]
    pub fn new(reason: Reason, by: impl Into<Arc<str>>) -> Self {
        let (by, in_doubt) = (by.into(), false);
        Self { reason, by, retry_after: None, detail: None, exhausted: false, in_doubt }
    }

    /// Says when a repeat makes sense.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says more; never a payload or a secret.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Arc<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Marks the attempts as spent.
    #[must_use]
    pub const fn exhausted(mut self) -> Self {
        self.exhausted = true;
        self
    }

    /// Says that an earlier try of the same call may have happened.
    #[must_use]
    pub const fn in_doubt(mut self) -> Self {
        self.in_doubt = true;
        self
    }

    /// Whether the effect of the call happened, earlier tries included.
    #[must_use]
    pub const fn happened(&self) -> Happened {
        match self.reason.happened() {
            Happened::No if self.in_doubt => Happened::Maybe,
            happened => happened,
        }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The name of the layer that refused.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The earliest time a repeat makes sense, from now.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// More about it, such as the place in a document.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Has an inner layer spent its attempts?
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Did the call surely not leave this process?
    #[must_use]
    pub const fn is_local(&self) -> bool {
        !self.in_doubt
            && !matches!(self.reason, Reason::Timeout(_) | Reason::InDoubt | Reason::InvalidAnswer)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by={}", self.reason.text(), self.by)?;
        if let Some(detail) = &self.detail {
            write!(f, ", {detail}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Refusal {}
