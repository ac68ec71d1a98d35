//! A stack and its inner side.

use std::{fmt, future, time::Duration};

use super::{Inner, LayerHarness, Stack};

/// A layer under trial.
pub struct Trial<'a> {
    harness: &'a dyn LayerHarness,
    inner: Inner,
    stack: Stack,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trial")
    }
}

/// What a layer must declare for a law to apply.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Survives,
}

impl<'a> Trial<'a> {
    /// Puts a new layer of this harness on trial.
    pub fn new(harness: &'a dyn LayerHarness) -> future::Ready<Self> {
        let inner = Inner::default();
        let stack = harness.stack(&inner);
        future::ready(Self { harness, inner, stack })
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let survives = matches!(need, Need::Survives) && self.harness.refuses_behind_failures();
        survives.then_some("going on behind a failure")
    }

    /// A clone of the service.
    pub(super) fn stack(&self) -> Stack {
        self.stack.clone()
    }

    pub(super) const fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn attempts(&self) -> usize {
        self.harness.attempts()
    }

    pub(super) fn replays(&self) -> bool {
        self.harness.replays()
    }

    pub(super) fn patience(&self) -> Duration {
        self.harness.patience()
    }

    /// No probe was called that was not ready.
    pub(super) fn was_ready(&self) {
        let unready = self.inner.state().unready;
        assert_eq!(unready, 0, "calls of an inner service that was not ready");
    }
}
