//! Foreign errors, lifted: refused here, or failed inside.

use std::{error::Error as StdError, fmt};

use super::Assessment;
use crate::{Error, Refusal};

/// An error that layers can read and mark.
pub trait Fault: From<Refusal> + Send + 'static {
    /// What the error means.
    fn assess(&self) -> Assessment;

    /// The same error, its attempts spent.
    #[must_use]
    fn into_exhausted(self) -> Self;

    /// The same error, where an earlier try of the call may have happened.
    #[must_use]
    fn in_doubt(self) -> Self;
}

impl Fault for Error {
    fn assess(&self) -> Assessment {
        Assessment::fault(self.kind())
            .with_happened(self.happened())
            .with_retry_after(self.retry_after())
            .refused_here(self.refusal().is_some_and(Refusal::is_local))
            .with_exhausted(self.is_exhausted())
    }

    fn into_exhausted(self) -> Self {
        self.exhausted()
    }

    fn in_doubt(self) -> Self {
        Self::in_doubt(self)
    }
}

/// The error of a service that is not ours, behind a [`LiftLayer`](crate::middleware::LiftLayer).
///
/// Lifted once, innermost; the layers around it add nothing to the type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host must handle both")]
pub enum Failure<E> {
    /// A layer answered the call itself.
    Refused(Refusal),
    /// The service failed.
    Inner {
        /// Its own error.
        error: E,
        /// What it means, as it was judged when it was lifted.
        means: Assessment,
    },
}

impl<E> Failure<E> {
    /// The service's own error, unless a layer refused.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Refused(_) => None,
            Self::Inner { error, .. } => Some(error),
        }
    }
}

impl<E> From<Refusal> for Failure<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Send + 'static> Fault for Failure<E> {
    fn assess(&self) -> Assessment {
        match self {
            Self::Refused(refusal) => Assessment::fault(refusal.reason().kind())
                .with_happened(refusal.happened())
                .with_retry_after(refusal.retry_after())
                .refused_here(refusal.is_local())
                .with_exhausted(refusal.is_exhausted()),
            Self::Inner { means, .. } => *means,
        }
    }

    fn into_exhausted(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.exhausted()),
            Self::Inner { error, means } => {
                Self::Inner { error, means: means.with_exhausted(true) }
            }
        }
    }

    fn in_doubt(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.in_doubt()),
            Self::Inner { error, means } => Self::Inner { error, means: means.in_doubt() },
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Inner { error, .. } => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for Failure<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Inner { error, .. } => Some(error),
        }
    }
}
