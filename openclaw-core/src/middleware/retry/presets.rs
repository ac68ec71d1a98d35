//! Retries with a name.

use std::time::Duration;

use super::{Delays, Jitter, RetryLayer};

impl RetryLayer {
    /// For tools: one call and three retries, from 500 ms.
    #[must_use]
    pub fn tools() -> Self {
        let (first, cap) = (Duration::from_millis(500), Duration::from_secs(32));
        Self::new(Delays::exponential(first, 2.0, cap)).attempts(4)
    }

    /// For agents: three tries, 1 to 5 s apart.
    #[must_use]
    pub fn agents() -> Self {
        let (first, cap) = (Duration::from_secs(1), Duration::from_secs(5));
        Self::new(Delays::exponential(first, 5.0, cap).jitter(Jitter::Decorrelated))
    }

    /// For deliveries: five tries, from 1 s.
    #[must_use]
    pub fn delivery() -> Self {
        Self::default().attempts(5)
    }

    /// For HTTP clients: six retries behind at most 1, 2, 4 … 32 s.
    #[must_use]
    pub fn clients() -> Self {
        Self::default().attempts(7)
    }
}
