//! One call that waits for its place.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{Meter, Shared};
use crate::{Refusal, policy::Policy};

pin_project! {
    /// The answer to come of a [`RateLimit`](super::RateLimit).
    pub struct RateLimitFuture<S, P, M, Req>
    where
        S: Service<Req>,
        M: Meter<Req>,
    {
        policy: P,
        place: Place<M, Req>,
        #[pin]
        state: State<S, S::Future, Req>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(super) enum State<S, F, Req> {
        Refused { refusal: Option<Refusal> },
        Waiting { #[pin] sleep: Sleep, rest: Option<(S, Req)> },
        Readying { rest: Option<(S, Req)> },
        Calling { #[pin] future: F },
    }
}

/// The place a call has taken: given back when the call is dropped before it left.
pub(super) struct Place<M: Meter<Req>, Req> {
    pub(super) shared: Arc<Shared<M>>,
    /// Its key; none for a call that needs no place.
    pub(super) key: Option<M::Key>,
    /// The number behind it while it waits.
    pub(super) waits: Option<u64>,
}

impl<M: Meter<Req>, Req> Place<M, Req> {
    /// The call leaves: its place is spent.
    fn leave(&mut self) {
        if self.waits.take().is_some() {
            self.shared.left_the_queue();
        }
    }
}

impl<M: Meter<Req>, Req> Drop for Place<M, Req> {
    fn drop(&mut self) {
        if let (Some(next), Some(key)) = (self.waits.take(), &self.key) {
            self.shared.left_the_queue();
            self.shared.give_back(key, next);
        }
    }
}

impl<S, P, M, Req> RateLimitFuture<S, P, M, Req>
where
    S: Service<Req>,
    M: Meter<Req>,
{
    pub(super) fn new(policy: P, place: Place<M, Req>, state: State<S, S::Future, Req>) -> Self {
        Self { policy, place, state }
    }
}

impl<S, P, M, Req> Future for RateLimitFuture<S, P, M, Req>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
    M: Meter<Req>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Refused { refusal } => {
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Err(refusal.into()));
                }
                StateProjection::Waiting { sleep, rest } => {
                    ready!(sleep.poll(cx));
                    let rest = rest.take();
                    this.state.set(State::Readying { rest });
                }
                StateProjection::Readying { rest } => {
                    if let Some((service, _)) = rest
                        && let Err(e) = ready!(service.poll_ready(cx))
                    {
                        return Poll::Ready(Err(e));
                    }
                    let Some((mut service, request)) = rest.take() else { return Poll::Pending };
                    this.place.leave();
                    let future = service.call(request);
                    this.state.set(State::Calling { future });
                }
                StateProjection::Calling { future } => {
                    let outcome = ready!(future.poll(cx));
                    if let Some(key) = &this.place.key {
                        let means = this.policy.assess(outcome.as_ref());
                        let advice = this.policy.advice(outcome.as_ref());
                        this.place.shared.learn(key, &means, advice);
                    }
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

impl<S: Service<Req>, P, M: Meter<Req>, Req> fmt::Debug for RateLimitFuture<S, P, M, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}
