//! Our breaker.

use std::time::Duration;

use openclaw_core::{
    Effect, ErrorKind,
    middleware::{
        LiftLayer,
        breaker::{self, BreakerBuilder, BreakerHandle, BreakerLayer, Window},
    },
    policy::{Assessment, Failure, Head, Policy, policy},
};
use tower::{Layer, ServiceExt};

use super::{Ask, Breaker, Doing, Down, Seen, Settings, State, Watched};

const WAIT: Duration = Duration::from_secs(60);

type Calls = tower::util::BoxCloneSyncService<Ask, (), Failure<Down>>;

pub(crate) struct Ours {
    service: Calls,
    handle: BreakerHandle,
}

fn by() -> impl Policy<Ask, (), Failure<Down>> {
    policy(
        |_: &Ask| Head::new(Effect::Pure),
        |outcome: Result<&(), &Failure<Down>>| match outcome {
            Ok(()) => Assessment::SUCCESS,
            Err(_) => Assessment::fault(ErrorKind::Unavailable),
        },
    )
}

fn built(builder: BreakerBuilder) -> Ours {
    let layer = builder.consecutive_failures(None).open_wait(WAIT).open_jitter(0.0);
    let layer = layer.build().expect("the settings are in bounds").policy(by());
    let handle = layer.handle();
    let backend = LiftLayer::new().layer(tower::service_fn(|ask: Ask| ask));
    Ours { service: Calls::new(layer.layer(backend)), handle }
}

impl Ours {
    /// An hour's calls.
    pub(crate) fn in_time() -> Self {
        built(BreakerLayer::builder("backend").window(Window::Time(60 * WAIT)))
    }
}

impl Breaker for Ours {
    fn of(settings: Settings) -> Self {
        let mut builder = BreakerLayer::builder("backend")
            .window(Window::Count(settings.window))
            .minimum_calls(settings.minimum);
        if let Some(slow) = settings.slow {
            builder = builder.slow_call_duration(slow);
        }
        built(builder)
    }

    fn call(&self, ask: Ask) -> Doing<Seen> {
        let call = self.service.clone().oneshot(ask);
        Box::pin(async move {
            match call.await {
                Ok(()) => Seen::Answered,
                Err(Failure::Inner { .. }) => Seen::Failed,
                Err(Failure::Refused(_)) => Seen::Refused,
            }
        })
    }

    async fn wait_out(&self) {
        tokio::time::advance(WAIT).await;
    }
}

impl Watched for Ours {
    fn state(&self) -> State {
        match self.handle.state() {
            breaker::State::Closed => State::Closed,
            breaker::State::HalfOpen => State::HalfOpen,
            _ => State::Open,
        }
    }

    async fn recorded(&self) -> usize {
        self.handle.snapshot().calls as usize
    }
}
