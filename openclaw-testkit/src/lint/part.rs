//! What a layer of a stack is for.

use std::fmt;

/// What a layer does for the order of a stack.
///
/// Variants stand in the recommended order, outermost first, up to [`Service`](Self::Service).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Traces or counts calls.
    Trace,
    /// Decides which version is called.
    Version,
    /// Checks the input.
    Validate,
    /// Looks into the ledger and replays an answer that is there.
    Lookup,
    /// Checks that an approval is there.
    Approval,
    /// Records the effect as claimed, and consumes the approval.
    Claim,
    /// Ends the call with all its attempts.
    TotalTimeout,
    /// Makes another attempt.
    Retry,
    /// Waits, or refuses, until the rate allows a call.
    RateLimit,
    /// Waits, or refuses, until fewer calls are under way.
    Concurrency,
    /// Refuses while the remote fails.
    Breaker,
    /// Ends one attempt.
    AttemptTimeout,
    /// Records that the call is about to leave.
    Mark,
    /// What is called.
    Service,
    /// A timeout: total outside the retry, an attempt's inside it.
    Timeout,
    /// Queues calls for a task of its own.
    Buffer,
    /// Refuses when what is inside is not ready.
    LoadShed,
    /// Answers instead of a failure.
    Fallback,
    /// Makes a second attempt beside the first.
    Hedge,
    /// Has no place in the order: it maps, counts or copies.
    Plain,
    /// Nobody knows what it does.
    Unknown,
    /// Hides what is inside it.
    Opaque,
}

impl Part {
    /// Makes more than one attempt of a call.
    pub(super) const fn repeats(self) -> bool {
        matches!(self, Self::Retry | Self::Hedge)
    }

    /// Lets a call wait.
    pub(super) const fn waits(self) -> bool {
        matches!(self, Self::RateLimit | Self::Concurrency | Self::Buffer)
    }

    /// Ends a call that takes too long.
    pub(super) const fn ends(self) -> bool {
        matches!(self, Self::TotalTimeout | Self::AttemptTimeout | Self::Timeout)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trace => "trace",
            Self::Version => "version",
            Self::Validate => "validation",
            Self::Lookup => "ledger look-up",
            Self::Approval => "approval check",
            Self::Claim => "claim",
            Self::TotalTimeout => "total timeout",
            Self::Retry => "retry",
            Self::RateLimit => "rate limit",
            Self::Concurrency => "concurrency limit",
            Self::Breaker => "breaker",
            Self::AttemptTimeout => "attempt timeout",
            Self::Mark => "dispatch mark",
            Self::Service => "service",
            Self::Timeout => "timeout",
            Self::Buffer => "buffer",
            Self::LoadShed => "load shed",
            Self::Fallback => "fallback",
            Self::Hedge => "hedge",
            Self::Plain => "layer",
            Self::Unknown => "unknown layer",
            Self::Opaque => "opaque layer",
        })
    }
}
