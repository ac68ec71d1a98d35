//! The peers' breakers.

use std::time::{Duration, Instant};

use failsafe::{
    StateMachine, backoff::Constant, failure_policy::ConsecutiveFailures,
    futures::CircuitBreaker as _,
};
use recloser::AsyncRecloser;
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitBreakerHandle, CircuitBreakerLayer,
    CircuitState, DefaultClassifier, SlidingWindowType,
};

use super::{Ask, Breaker, Doing, Down, Seen, Settings, State, Watched};

const HOUR: Duration = Duration::from_secs(3_600);

/// Their clocks are the machine's, which no test moves: the wait is none, or out of reach.
const fn wait(settings: Settings) -> Duration {
    if settings.short_wait { Duration::ZERO } else { HOUR }
}

/// Until the machine's clock has moved on.
#[expect(clippy::disallowed_methods, reason = "it is the clock that they read")]
fn tick() {
    let now = Instant::now();
    while Instant::now() <= now {
        std::hint::spin_loop();
    }
}

/// tower-resilience.
pub(crate) struct Resilience {
    service: BoxCloneSyncService<Ask, (), CircuitBreakerError<Down>>,
    handle: CircuitBreakerHandle,
}

impl Resilience {
    fn built(builder: CircuitBreakerConfigBuilder<DefaultClassifier>) -> Self {
        let (layer, handle) = builder.build_with_handle().expect("the settings are in bounds");
        let service = layer.layer(tower::service_fn(|ask: Ask| ask));
        Self { service: BoxCloneSyncService::new(service), handle }
    }

    /// An hour's calls.
    pub(crate) fn in_time() -> Self {
        let builder = CircuitBreakerLayer::builder()
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(HOUR);
        Self::built(builder)
    }
}

impl Breaker for Resilience {
    fn of(settings: Settings) -> Self {
        let mut builder = CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(settings.window as usize)
            .minimum_number_of_calls(settings.minimum as usize)
            .permitted_calls_in_half_open(3)
            .wait_duration_in_open(wait(settings));
        if let Some(slow) = settings.slow {
            builder = builder.slow_call_duration_threshold(slow).slow_call_rate_threshold(1.0);
        }
        Self::built(builder)
    }

    fn call(&self, ask: Ask) -> Doing<Seen> {
        let call = self.service.clone().oneshot(ask);
        Box::pin(async move {
            match call.await {
                Ok(()) => Seen::Answered,
                Err(CircuitBreakerError::Inner(Down)) => Seen::Failed,
                Err(CircuitBreakerError::OpenCircuit) => Seen::Refused,
            }
        })
    }

    async fn wait_out(&self) {
        tick();
    }
}

impl Watched for Resilience {
    fn state(&self) -> State {
        match self.handle.state() {
            CircuitState::Closed => State::Closed,
            CircuitState::Open => State::Open,
            CircuitState::HalfOpen => State::HalfOpen,
        }
    }

    async fn recorded(&self) -> usize {
        self.handle.metrics().await.total_calls
    }
}

/// failsafe.
pub(crate) struct Failsafe(StateMachine<ConsecutiveFailures<Constant>, ()>);

impl Breaker for Failsafe {
    fn of(settings: Settings) -> Self {
        let waits = failsafe::backoff::constant(wait(settings));
        let policy = failsafe::failure_policy::consecutive_failures(settings.minimum, waits);
        Self(StateMachine::new(policy, ()))
    }

    fn call(&self, ask: Ask) -> Doing<Seen> {
        let call = self.0.call(ask);
        Box::pin(async move {
            match call.await {
                Ok(()) => Seen::Answered,
                Err(failsafe::Error::Inner(Down)) => Seen::Failed,
                Err(failsafe::Error::Rejected) => Seen::Refused,
            }
        })
    }

    async fn wait_out(&self) {
        tick();
    }
}

/// recloser.
pub(crate) struct Recloser(AsyncRecloser);

impl Breaker for Recloser {
    fn of(settings: Settings) -> Self {
        let recloser = recloser::Recloser::custom()
            .error_rate(0.5)
            // It judges when its ring is full: one call behind that.
            .closed_len(settings.window as usize - 1)
            .half_open_len(3)
            .open_wait(wait(settings))
            .build();
        Self(AsyncRecloser::from(recloser))
    }

    fn call(&self, ask: Ask) -> Doing<Seen> {
        let call = self.0.call(ask);
        Box::pin(async move {
            match call.await {
                Ok(()) => Seen::Answered,
                Err(recloser::Error::Inner(Down)) => Seen::Failed,
                Err(recloser::Error::Rejected) => Seen::Refused,
            }
        })
    }

    async fn wait_out(&self) {
        tick();
    }
}
