//! One call that holds a permit.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::permits::{Permit, Permits};
use crate::{
    Refusal,
    policy::{Assessment, Policy},
};

/// A permit to come.
pub(super) type Next = Pin<Box<dyn Future<Output = Option<Permit>> + Send>>;

pin_project! {
    /// The answer to come of a [`Concurrency`](super::Concurrency).
    pub struct ConcurrencyFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        // The call ends before its permit goes back.
        #[pin]
        state: State<S, S::Future, Req>,
        policy: P,
        permit: Option<Permit>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(super) enum State<S, F, Req> {
        Refused { refusal: Option<Refusal> },
        Waiting { next: Next, #[pin] sleep: Sleep, rest: Option<(S, Req)>, permits: Arc<Permits> },
        Readying { rest: Option<(S, Req)> },
        Calling { #[pin] future: F },
        Done,
    }
}

impl<S, P, Req> ConcurrencyFuture<S, P, Req>
where
    S: Service<Req>,
{
    pub(super) const fn new(
        policy: P,
        permit: Option<Permit>,
        state: State<S, S::Future, Req>,
    ) -> Self {
        Self { state, policy, permit }
    }
}

impl<S, P, Req> Future for ConcurrencyFuture<S, P, Req>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
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
                StateProjection::Waiting { next, sleep, rest, permits } => {
                    *this.permit = match next.as_mut().poll(cx) {
                        Poll::Ready(permit) => permit,
                        Poll::Pending => {
                            ready!(sleep.poll(cx));
                            return Poll::Ready(Err(permits.refuse().into()));
                        }
                    };
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
                    let future = service.call(request);
                    this.state.set(State::Calling { future });
                }
                // Taken apart here: moved as a whole, an outcome costs more than the permit.
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(answer) => {
                        this.state.set(State::Done);
                        release(this.permit, || this.policy.assess(Ok(&answer)));
                        return Poll::Ready(Ok(answer));
                    }
                    Err(e) => {
                        this.state.set(State::Done);
                        release(this.permit, || this.policy.assess(Err(&e)));
                        return Poll::Ready(Err(e));
                    }
                },
                StateProjection::Done => return Poll::Pending,
            }
        }
    }
}

/// Gives the permit back, behind what its limit learns from the outcome.
fn release(permit: &mut Option<Permit>, means: impl FnOnce() -> Assessment) {
    if let Some(permit) = permit.take() {
        permit.learn(means);
    }
}

impl<S: Service<Req>, P, Req> fmt::Debug for ConcurrencyFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyFuture").finish_non_exhaustive()
    }
}
