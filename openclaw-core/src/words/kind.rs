//! What went wrong, and whether the effect happened all the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Fewer requests were asked for: by the other side, a limit of ours, or a budget.
    RateLimited,
    /// The thing that was named does not exist.
    NotFound,
    /// The credentials are missing or wrong.
    AuthenticationFailed,
    /// The caller is known, and not allowed.
    PermissionDenied,
    /// The input breaks its contract.
    ValidationError,
    /// The request contradicts the present state.
    Conflict,
    /// No answer came in time.
    Timeout,
    /// The other side could not be reached, or said it can't serve now.
    Unavailable,
    /// The other side failed.
    ServerError,
    /// A circuit breaker refused the call.
    CircuitOpen,
    /// A bound of this process is reached.
    Overloaded,
    /// A person has to approve first.
    ApprovalRequired,
    /// The same request was seen before.
    Duplicate,
    /// The caller gave up.
    Cancelled,
    /// This implementation does not offer the operation.
    Unsupported,
    /// Nothing better is known.
    Unclassified,
}

impl ErrorKind {
    /// The stable code, for machines: `RATE_LIMITED`, `NOT_FOUND`, …
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RateLimited => "RATE_LIMITED",
            Self::NotFound => "NOT_FOUND",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::Conflict => "CONFLICT",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::ServerError => "SERVER_ERROR",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::Overloaded => "OVERLOADED",
            Self::ApprovalRequired => "APPROVAL_REQUIRED",
            Self::Duplicate => "DUPLICATE",
            Self::Cancelled => "CANCELLED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unclassified => "UNCLASSIFIED",
        }
    }

    /// What a stranger may be told when no public message was set.
    pub(super) const fn public_default(self) -> &'static str {
        match self {
            Self::RateLimited => "too many requests",
            Self::NotFound => "not found",
            Self::AuthenticationFailed => "authentication failed",
            Self::PermissionDenied => "not allowed",
            Self::ValidationError => "the request is not valid",
            Self::Conflict => "the request contradicts the present state",
            Self::Timeout => "no answer in time",
            Self::Unavailable => "not available now",
            Self::CircuitOpen | Self::Overloaded => "overloaded, try again later",
            Self::ApprovalRequired => "an approval is required",
            Self::Duplicate => "already seen",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "not supported",
            Self::ServerError | Self::Unclassified => "internal error",
        }
    }

    /// Whether the effect happened, when nothing but the kind is known: `No` or `Maybe`.
    #[must_use]
    pub const fn usually_happened(self) -> Happened {
        match self {
            Self::Timeout
            | Self::Unavailable
            | Self::ServerError
            | Self::Cancelled
            | Self::Unclassified => Happened::Maybe,
            _ => Happened::No,
        }
    }

    /// May the same request do better later?
    ///
    /// Whether it is *safe* to repeat is another question: ask [`Error::happened`](crate::Error::happened).
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Timeout
                | Self::Unavailable
                | Self::ServerError
                | Self::CircuitOpen
                | Self::Overloaded
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Did the side effect happen?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a host must handle all three answers")]
pub enum Happened {
    /// Surely not: the call may be repeated.
    No,
    /// Surely: the call must not be repeated.
    Yes,
    /// Nobody knows: reconcile or park, never guess.
    Maybe,
}
