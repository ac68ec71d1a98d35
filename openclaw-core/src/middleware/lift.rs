//! Lifts a foreign service's errors, so that layers may refuse beside them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ErrorKind,
    policy::{Assessment, Failure},
};

/// Says what a foreign error means.
pub trait Judge<E>: Clone + Send + Sync + 'static {
    /// What this error means.
    fn judge(&self, error: &E) -> Assessment;
}

impl<E, F> Judge<E> for F
where
    F: Fn(&E) -> Assessment + Clone + Send + Sync + 'static,
{
    fn judge(&self, error: &E) -> Assessment {
        self(error)
    }
}

/// Takes every error as `UNCLASSIFIED`: it may have happened, and it is not repeated by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to grow")]
pub struct Unjudged;

impl<E> Judge<E> for Unjudged {
    fn judge(&self, _: &E) -> Assessment {
        Assessment::fault(ErrorKind::Unclassified)
    }
}

/// Lifts the errors of a foreign service into [`Failure`]; innermost, and only once.
///
/// ```
/// use std::convert::Infallible;
/// use openclaw_core::{middleware::LiftLayer, policy::Failure};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // As an axum handler: it can't fail.
/// let handler = service_fn(async |n: u32| Ok::<_, Infallible>(n + 1));
/// let service = ServiceBuilder::new().layer(LiftLayer::new()).service(handler);
/// let answer: Result<u32, Failure<Infallible>> = service.oneshot(1).await;
/// assert_eq!(answer, Ok(2));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LiftLayer<J = Unjudged>(J);

impl LiftLayer {
    /// Takes every error as `UNCLASSIFIED`, and as one behind which the effect may have happened.
    #[must_use]
    pub const fn new() -> Self {
        Self(Unjudged)
    }
}

impl<J> LiftLayer<J> {
    /// Judges the errors: which are transient, and which prove that nothing was sent.
    pub const fn judging(judge: J) -> Self {
        Self(judge)
    }
}

impl<S, J: Clone> Layer<S> for LiftLayer<J> {
    type Service = Lift<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        Lift { inner, judge: self.0.clone() }
    }
}

/// A service whose errors are lifted; made by [`LiftLayer`].
#[derive(Clone)]
pub struct Lift<S, J = Unjudged> {
    inner: S,
    judge: J,
}

impl<S: fmt::Debug, J> fmt::Debug for Lift<S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lift").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, J, Req> Service<Req> for Lift<S, J>
where
    S: Service<Req>,
    J: Judge<S::Error>,
{
    type Response = S::Response;
    type Error = Failure<S::Error>;
    type Future = LiftFuture<S::Future, J>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = ready!(self.inner.poll_ready(cx));
        Poll::Ready(ready.map_err(|error| lift(&self.judge, error)))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        LiftFuture { future: self.inner.call(request), judge: self.judge.clone() }
    }
}

pin_project! {
    /// The answer to come of a [`Lift`].
    #[derive(Debug)]
    pub struct LiftFuture<F, J> {
        #[pin]
        future: F,
        judge: J,
    }
}

impl<F, J, Res, E> Future for LiftFuture<F, J>
where
    F: Future<Output = Result<Res, E>>,
    J: Judge<E>,
{
    type Output = Result<Res, Failure<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.future.poll(cx));
        Poll::Ready(outcome.map_err(|error| lift(this.judge, error)))
    }
}

fn lift<E>(judge: &impl Judge<E>, error: E) -> Failure<E> {
    let means = judge.judge(&error);
    Failure::Inner { error, means }
}
