//! One call that waits for its place.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::{Numbers, Shared, place::Taken};
use crate::{Refusal, policy::Policy};

pin_project! {
    /// The answer to come of a [`RateLimit`](super::RateLimit).
    pub struct RateLimitFuture<S, P, M, Req>
    where
        S: Service<Req>,
        M: Numbers,
    {
        policy: P,
        place: Place<M>,
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
pub(super) struct Place<M: Numbers> {
    pub(super) shared: Arc<Shared<M>>,
    /// Its key; none for a call that is refused.
    pub(super) key: Option<M::Key>,
    /// What it waits for.
    pub(super) waits: Option<Taken>,
    /// When it must have its place at the latest.
    pub(super) last: u64,
}

impl<M: Numbers> Place<M> {
    /// None was to be had.
    pub(super) const fn none(shared: Arc<Shared<M>>) -> Self {
        Self { shared, key: None, waits: None, last: 0 }
    }

    /// The call leaves: its place is spent.
    fn leave(&mut self) {
        if self.waits.take().is_some() {
            self.shared.left_the_queue();
        }
    }

    /// The call goes without: its place is given back.
    pub(super) fn give_up(&mut self) {
        if let (Some(taken), Some(key)) = (self.waits.take(), &self.key) {
            self.shared.left_the_queue();
            self.shared.give_back(key, taken);
        }
    }

    /// Tightens the limit by what came back.
    #[inline]
    fn learn<Req, Res, E>(&self, policy: &impl Policy<Req, Res, E>, outcome: Result<&Res, &E>) {
        if let Some(key) = &self.key {
            self.shared.learn(key, &policy.assess(outcome), policy.advice(outcome));
        }
    }

    /// Says whether the turn of a call has come that has waited for it.
    ///
    /// `Some` is how long to wait yet: the other side asked for silence meanwhile.
    fn wait_on(&mut self) -> Result<Option<Duration>, Refusal> {
        let (Some(key), Some(taken)) = (&self.key, self.waits) else { return Ok(None) };
        if let Some(refusal) = self.shared.refused_further_in(key) {
            return Err(refusal);
        }
        // The timer has ended: only a place that was moved since lies ahead.
        let at = self.shared.now().max(taken.at);
        let taken = taken.behind(&self.shared.meter().look(key));
        if taken.at <= at {
            return Ok(None);
        }
        let wait = taken.at - at;
        if taken.at > self.last {
            return Err(self.shared.refuse(key, wait));
        }
        self.waits = Some(taken);
        Ok(Some(Duration::from_nanos(wait)))
    }
}

impl<M: Numbers> Drop for Place<M> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<S, P, M, Req> RateLimitFuture<S, P, M, Req>
where
    S: Service<Req>,
    M: Numbers,
{
    pub(super) fn new(policy: P, place: Place<M>, state: State<S, S::Future, Req>) -> Self {
        Self { policy, place, state }
    }
}

impl<S, P, M, Req> Future for RateLimitFuture<S, P, M, Req>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
    M: Numbers,
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
                StateProjection::Waiting { mut sleep, rest } => {
                    ready!(sleep.as_mut().poll(cx));
                    match this.place.wait_on() {
                        Ok(Some(wait)) => sleep.reset(Instant::now() + wait),
                        Ok(None) => {
                            let rest = rest.take();
                            this.state.set(State::Readying { rest });
                        }
                        Err(refusal) => {
                            this.place.give_up();
                            this.state.set(State::Refused { refusal: Some(refusal) });
                        }
                    }
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
                    // Taken apart here: moved as a whole, an outcome costs more than the limit.
                    return Poll::Ready(match ready!(future.poll(cx)) {
                        Ok(answer) => {
                            this.place.learn(this.policy, Ok(&answer));
                            Ok(answer)
                        }
                        Err(e) => {
                            this.place.learn(this.policy, Err(&e));
                            Err(e)
                        }
                    });
                }
            }
        }
    }
}

impl<S: Service<Req>, P, M: Numbers, Req> fmt::Debug for RateLimitFuture<S, P, M, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}
