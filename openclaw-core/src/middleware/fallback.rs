//! Answers instead of a failure.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Happened,
    policy::{Assessment, ByHead, Policy},
};

/// Answers instead of a failure: from a cache, by a second remote, with an apology.
///
/// `when` says which outcomes are replaced, by what they mean; `answer` gets the request and the
/// outcome. An outcome is replaced only where the effect surely did not happen: nobody must take
/// a refund that may be out for one that failed. A doubt is replaced, too, where
/// [`even_in_doubt`](Self::even_in_doubt) is set; an effect that did happen never is. A call that
/// is `Pure` has no effect to hide, whatever its outcome says. It stands outside the ledger.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Effect, Error, ErrorKind, TenantId, middleware::FallbackLayer,
///     policy::Assessment, skill::{SkillAnswer, SkillManifest},
/// };
/// use serde_json::{Value, json};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let down = service_fn(async |_: Call<Arc<Value>>| {
///     Err::<SkillAnswer, _>(Error::new(ErrorKind::Unavailable, "down"))
/// });
/// let cached = FallbackLayer::new(
///     Assessment::is_transient,
///     async |_call: Call<Arc<Value>>, _outcome| Ok(SkillAnswer::done(json!("as of yesterday"))),
/// );
/// let service = ServiceBuilder::new().layer(cached).service(down);
/// let manifest = SkillManifest::new("crm.find".parse()?, "1.0.0").effect(Effect::Pure);
/// let call = Call::skill(Context::new(TenantId::new("acme")?), &manifest, Arc::default());
/// assert_eq!(service.oneshot(call).await?, SkillAnswer::done(json!("as of yesterday")));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FallbackLayer<W, F, P = ByHead> {
    when: W,
    answer: F,
    policy: P,
    even_in_doubt: bool,
}

impl<W, F> FallbackLayer<W, F>
where
    W: Fn(&Assessment) -> bool,
{
    /// Answers by `answer` when `when` says so.
    pub const fn new(when: W, answer: F) -> Self {
        Self { when, answer, policy: ByHead, even_in_doubt: false }
    }
}

impl<W, F, P> FallbackLayer<W, F, P> {
    /// Reads requests and outcomes by this policy.
    pub fn policy<Q>(self, policy: Q) -> FallbackLayer<W, F, Q> {
        let Self { when, answer, even_in_doubt, .. } = self;
        FallbackLayer { when, answer, policy, even_in_doubt }
    }

    /// Replaces outcomes, too, of which nobody knows whether the effect happened.
    #[must_use]
    pub fn even_in_doubt(mut self) -> Self {
        self.even_in_doubt = true;
        self
    }
}

impl<W, F, P> fmt::Debug for FallbackLayer<W, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("even_in_doubt", &self.even_in_doubt)
            .finish_non_exhaustive()
    }
}

impl<S, W: Clone, F: Clone, P: Clone> Layer<S> for FallbackLayer<W, F, P> {
    type Service = Fallback<S, W, F, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback { inner, layer: self.clone() }
    }
}

/// A service with a fallback; made by [`FallbackLayer`].
#[derive(Clone)]
pub struct Fallback<S, W, F, P = ByHead> {
    inner: S,
    layer: FallbackLayer<W, F, P>,
}

impl<S: fmt::Debug, W, F, P> fmt::Debug for Fallback<S, W, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, W, F, P, A, Req> Service<Req> for Fallback<S, W, F, P>
where
    S: Service<Req>,
    Req: Clone,
    W: Fn(&Assessment) -> bool + Clone,
    F: Fn(Req, Result<S::Response, S::Error>) -> A + Clone,
    A: Future<Output = Result<S::Response, S::Error>>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S::Future, A, W, F, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let spare = Some(request.clone());
        let state = State::Calling { future: self.inner.call(request) };
        FallbackFuture { state, spare, layer: self.layer.clone() }
    }
}

pin_project! {
    /// The answer to come of a [`Fallback`].
    pub struct FallbackFuture<C, A, W, F, P, Req> {
        #[pin]
        state: State<C, A>,
        spare: Option<Req>,
        layer: FallbackLayer<W, F, P>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<C, A> {
        Calling { #[pin] future: C },
        Answering { #[pin] future: A },
    }
}

impl<C, A, W, F, P, Req, Res, E> Future for FallbackFuture<C, A, W, F, P, Req>
where
    C: Future<Output = Result<Res, E>>,
    A: Future<Output = Result<Res, E>>,
    W: Fn(&Assessment) -> bool,
    F: Fn(Req, Result<Res, E>) -> A,
    P: Policy<Req, Res, E>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Answering { future } => return future.poll(cx),
                StateProjection::Calling { future } => {
                    let outcome = ready!(future.poll(cx));
                    let Some(request) = this.spare.take() else { return Poll::Ready(outcome) };
                    let means = this.layer.policy.assess(outcome.as_ref());
                    let pure = this.layer.policy.head(&request).effect == crate::Effect::Pure;
                    let hides_nothing = pure
                        || match means.happened {
                            Happened::No => true,
                            Happened::Maybe => this.layer.even_in_doubt,
                            Happened::Yes => false,
                        };
                    if means.is_success() || !hides_nothing || !(this.layer.when)(&means) {
                        return Poll::Ready(outcome);
                    }
                    let future = (this.layer.answer)(request, outcome);
                    this.state.set(State::Answering { future });
                }
            }
        }
    }
}

impl<C, A, W, F, P, Req> fmt::Debug for FallbackFuture<C, A, W, F, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture").finish_non_exhaustive()
    }
}
