//! A harness for anything that is a `tower_layer::Layer`.

use std::{fmt, time::Duration};

use tower_layer::Layer;
use tower_service::Service;

use super::{Ask, Inner, LayerHarness, Probe, Stack};

/// Tries a layer around probes that take requests of this type.
///
/// ```
/// use std::time::Duration;
///
/// use openclaw_core::Call;
/// use openclaw_testkit::conformance::layer;
/// use tower::timeout::TimeoutLayer;
///
/// let harness = layer::on::<Call<u64>, _>(|| TimeoutLayer::new(Duration::from_secs(30)));
/// let report = layer::check_all(&harness);
/// assert_eq!(report.held.len(), layer::LAWS.len());
/// ```
pub fn on<R, L>(make: impl Fn() -> L + Send + Sync + 'static) -> On
where
    R: Ask,
    L: Layer<Probe<R>>,
    L::Service: Service<R, Response = R::Answer> + Clone + Send + Sync + 'static,
    <L::Service as Service<R>>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    <L::Service as Service<R>>::Future: Send + 'static,
{
    On {
        stack: Box::new(move |inner| Stack::new::<R, _>(make().layer(inner.probe()))),
        attempts: 1,
        refuses: false,
        replays: false,
        patience: Duration::from_secs(1),
    }
}

/// A harness for one layer; made by [`on`].
pub struct On {
    stack: Box<dyn Fn(&Inner) -> Stack + Send + Sync>,
    attempts: usize,
    refuses: bool,
    replays: bool,
    patience: Duration,
}

impl On {
    /// How often one call may call the inner service, when that fails. Once.
    #[must_use]
    pub const fn attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts;
        self
    }

    /// Says that the layer may refuse calls behind a failure.
    #[must_use]
    pub const fn refuses_behind_failures(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// Says that the layer answers a repeated call itself, without the inner service.
    #[must_use]
    pub const fn replays(mut self) -> Self {
        self.replays = true;
        self
    }

    /// How long an inner call may take. 1 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl LayerHarness for On {
    fn stack(&self, inner: &Inner) -> Stack {
        (self.stack)(inner)
    }

    fn attempts(&self) -> usize {
        self.attempts
    }

    fn refuses_behind_failures(&self) -> bool {
        self.refuses
    }

    fn replays(&self) -> bool {
        self.replays
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
