//! One span a logical call.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, field::Empty};

use crate::{
    Call, Env, TraceParent,
    policy::{ByHead, Policy},
};

/// Opens one span for a call and all its attempts; it stands outermost.
///
/// | field | what |
/// |---|---|
/// | `target`, `tenant`, `effect` | of the call's head |
/// | `trace_id`, `span_id` | W3C trace context: the call's trace goes on, or a new one begins |
/// | `outcome` | `ok`, or the error code |
/// | `happened` | `yes`, `no` or `maybe` |
/// | `ms` | how long it took |
///
/// Layers further in see the context with this span as parent. No payload, no header value and
/// no secret is told. Where nobody listens (the span is disabled) the context stays as it is, and
/// the layer costs one look.
///
/// ```
/// use std::sync::Arc;
/// use openclaw_core::{
///     Call, Context, Env, Error, TenantId, middleware::TraceLayer,
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = ServiceBuilder::new().layer(TraceLayer::new(Env::system())).service(service_fn(
///     async |call: Call<Arc<serde_json::Value>>| {
///         Ok::<_, Error>(SkillAnswer::Done(Arc::clone(call.payload())))
///     },
/// ));
/// let manifest = SkillManifest::new("crm.find".parse()?, "1.0.0");
/// let call = Call::skill(Context::new(TenantId::new("acme")?), &manifest, Arc::default());
/// service.oneshot(call).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TraceLayer<P = ByHead> {
    env: Env,
    policy: P,
}

impl TraceLayer {
    /// Takes the ids of traces and spans from this environment.
    #[must_use]
    pub const fn new(env: Env) -> Self {
        Self { env, policy: ByHead }
    }
}

impl<P> TraceLayer<P> {
    /// Reads outcomes by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> TraceLayer<Q> {
        TraceLayer { env: self.env, policy }
    }
}

impl<S, P: Clone> Layer<S> for TraceLayer<P> {
    type Service = Trace<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, layer: self.clone() }
    }
}

/// A service whose calls are spans; made by [`TraceLayer`].
#[derive(Clone)]
pub struct Trace<S, P = ByHead> {
    inner: S,
    layer: TraceLayer<P>,
}

impl<S: fmt::Debug, P> fmt::Debug for Trace<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<P> TraceLayer<P> {
    fn open<Q>(&self, call: Call<Q>) -> (Span, Call<Q>) {
        let span = tracing::info_span!(
            "call",
            target = call.target(),
            tenant = call.context().tenant().as_str(),
            effect = ?call.effect(),
            trace_id = Empty,
            span_id = Empty,
            outcome = Empty,
            happened = Empty,
            ms = Empty,
        );
        if span.is_disabled() {
            return (span, call);
        }
        let id = self.env.next_u64();
        let trace = match call.context().trace() {
            Some(parent) => parent.child(id),
            None => TraceParent::start(self.env.next_id().as_u128(), id),
        };
        span.record("trace_id", trace.trace_id()).record("span_id", trace.span_id());
        let context = call.context().clone().with_trace(trace);
        (span, call.with_context(context))
    }
}

impl<S, P, Q> Service<Call<Q>> for Trace<S, P>
where
    S: Service<Call<Q>>,
    P: Policy<Call<Q>, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TraceFuture<S::Future, P, Q>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call<Q>) -> Self::Future {
        let (span, call) = self.layer.open(call);
        let began = (!span.is_disabled()).then(Instant::now);
        let future = span.in_scope(|| self.inner.call(call));
        let policy = self.layer.policy.clone();
        TraceFuture { future, span, began, policy, of: std::marker::PhantomData }
    }
}

pin_project! {
    /// The answer to come of a [`Trace`].
    pub struct TraceFuture<F, P, Q> {
        #[pin]
        future: F,
        span: Span,
        began: Option<Instant>,
        policy: P,
        of: std::marker::PhantomData<fn(Q)>,
    }
}

impl<F, P, Q, Res, E> Future for TraceFuture<F, P, Q>
where
    F: Future<Output = Result<Res, E>>,
    P: Policy<Call<Q>, Res, E>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.span.in_scope(|| this.future.poll(cx)));
        if let Some(began) = this.began.take() {
            let means = this.policy.assess(outcome.as_ref());
            let happened = match means.happened {
                crate::Happened::Yes => "yes",
                crate::Happened::No => "no",
                crate::Happened::Maybe => "maybe",
            };
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            this.span
                .record("outcome", means.fault.map_or("ok", crate::ErrorKind::code))
                .record("happened", happened)
                .record("ms", ms);
        }
        Poll::Ready(outcome)
    }
}

impl<F, P, Q> fmt::Debug for TraceFuture<F, P, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceFuture").field("span", &self.span).finish_non_exhaustive()
    }
}
