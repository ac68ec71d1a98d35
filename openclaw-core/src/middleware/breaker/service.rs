//! The service and its future.

use std::{
    fmt,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    lease::{Lease, Panics, Seat},
    one::One,
    registry::PerKey,
};
use crate::{
    Reason, Refusal,
    policy::{Assessment, ByHead, Policy},
};

/// A service behind a breaker; made by [`BreakerLayer`](super::BreakerLayer).
///
/// It is ready whenever it is asked: the future readies a clone of the inner service itself,
/// and an open breaker never asks it.
#[derive(Clone)]
pub struct Breaker<S, P = ByHead, W = One> {
    inner: S,
    policy: P,
    ways: W,
}

impl<S, P, W> Breaker<S, P, W> {
    pub(super) const fn new(inner: S, policy: P, ways: W) -> Self {
        Self { inner, policy, ways }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Calls the inner service, or refuses, as this breaker says.
    #[inline]
    fn begin<Req, F>(
        &self,
        request: Req,
        seat: &Arc<Seat>,
        deadline: Option<Instant>,
    ) -> BreakerFuture<S, F, P, Req>
    where
        S: Clone,
        P: Clone,
    {
        let policy = self.policy.clone();
        match seat.admit(deadline) {
            Ok(lease) => BreakerFuture {
                step: Step::Readying { inner: self.inner.clone(), request: Some(request) },
                lease: Some(lease),
                policy,
            },
            Err(after) => {
                let by = Some(Arc::clone(seat.circuit().name()));
                BreakerFuture { step: Step::Refused { by, after }, lease: None, policy }
            }
        }
    }
}

impl<S: fmt::Debug, P, W: fmt::Debug> fmt::Debug for Breaker<S, P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .field("ways", &self.ways)
            .finish_non_exhaustive()
    }
}

impl<S, P, Req> Service<Req> for Breaker<S, P, One>
where
    S: Service<Req> + Clone,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BreakerFuture<S, S::Future, P, Req>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let deadline = self.policy.head(&request).deadline;
        self.begin(request, self.ways.seat(), deadline)
    }
}

impl<S, P, Req, K, F> Service<Req> for Breaker<S, P, PerKey<K, F>>
where
    S: Service<Req> + Clone,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
    K: Eq + Hash,
    F: Fn(&Req) -> K,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BreakerFuture<S, S::Future, P, Req>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let deadline = self.policy.head(&request).deadline;
        let key = (self.ways.key)(&request);
        self.begin(request, &self.ways.breakers.seat(key), deadline)
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<S, F, Req> {
        Refused { by: Option<Arc<str>>, after: Option<Duration> },
        Readying { inner: S, request: Option<Req> },
        Running { #[pin] future: F },
        Over,
    }
}

pin_project! {
    /// The answer to come of a [`Breaker`].
    pub struct BreakerFuture<S, F, P, Req> {
        #[pin]
        step: Step<S, F, Req>,
        lease: Option<Lease>,
        policy: P,
    }
}

impl<S, F, P, Req> fmt::Debug for BreakerFuture<S, F, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerFuture").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl<S, P, Req> Future for BreakerFuture<S, S::Future, P, Req>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProjection::Running { future } => {
                    let panics = Panics::of(this.lease);
                    // Taken apart here: moved as a whole, an outcome costs more than the breaker.
                    match future.poll(cx) {
                        Poll::Pending => {
                            panics.no();
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(answer)) => {
                            end(panics.no(), &this.policy.assess(Ok(&answer)));
                            this.step.set(Step::Over);
                            return Poll::Ready(Ok(answer));
                        }
                        Poll::Ready(Err(e)) => {
                            end(panics.no(), &this.policy.assess(Err(&e)));
                            this.step.set(Step::Over);
                            return Poll::Ready(Err(e));
                        }
                    }
                }
                StepProjection::Readying { inner, request } => {
                    let panics = Panics::of(this.lease);
                    let ready = inner.poll_ready(cx);
                    panics.no();
                    if let Err(e) = ready!(ready) {
                        end(Some(this.lease), &this.policy.assess(Err(&e)));
                        this.step.set(Step::Over);
                        return Poll::Ready(Err(e));
                    }
                    let Some(request) = request.take() else { return Poll::Pending };
                    if let Some(lease) = this.lease {
                        lease.begin();
                    }
                    let panics = Panics::of(this.lease);
                    let future = inner.call(request);
                    panics.no();
                    this.step.set(Step::Running { future });
                }
                StepProjection::Refused { by, after } => {
                    let Some(by) = by.take() else { return Poll::Pending };
                    let refusal = Refusal::new(Reason::CircuitOpen, by);
                    return Poll::Ready(Err(match *after {
                        Some(after) => refusal.with_retry_after(after).into(),
                        None => refusal.into(),
                    }));
                }
                StepProjection::Over => return Poll::Pending,
            }
        }
    }
}

#[inline]
fn end(lease: Option<&mut Option<Lease>>, means: &Assessment) {
    if let Some(mut lease) = lease.and_then(Option::take) {
        lease.end(means.is_failure());
    }
}
