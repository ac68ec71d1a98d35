//! A machine's clock that an operator sets forward and back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use openclaw_core::{Clock, Timestamp};

use crate::env::PausedClock;

/// A clock that follows paused time, and can be set. Clones show the same time.
#[derive(Clone, Debug)]
pub(super) struct JumpyClock {
    steady: PausedClock,
    off_ms: Arc<AtomicI64>,
}

impl JumpyClock {
    pub(super) fn new(steady: PausedClock) -> Self {
        Self { steady, off_ms: Arc::default() }
    }

    /// Sets it forward.
    pub(super) fn forward(&self, by: Duration) {
        self.off_ms.fetch_add(millis(by), Ordering::Relaxed);
    }

    /// Sets it back.
    pub(super) fn back(&self, by: Duration) {
        self.off_ms.fetch_sub(millis(by), Ordering::Relaxed);
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Clock for JumpyClock {
    fn now(&self) -> Timestamp {
        let off = self.off_ms.load(Ordering::Relaxed);
        Timestamp::from_millis(self.steady.now().as_millis().saturating_add_signed(off))
    }
}
