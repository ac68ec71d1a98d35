//! Ends what takes too long: a whole call, or one attempt.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Reason, Refusal, Scope,
    policy::{ByHead, Policy},
};

/// No limit, in nanoseconds.
const OFF: u64 = u64::MAX;

/// Ends a call, or an attempt, that takes too long.
///
/// | | [`total`](Self::total) | [`attempt`](Self::attempt) |
/// |---|---|---|
/// | stands | outside the retry | innermost, inside the breaker |
/// | deadline of the request | narrowed, where the policy can write it | left as it is |
/// | refusal | [`Reason::Timeout`] with [`Scope::Total`] | [`Reason::Timeout`] with [`Scope::Attempt`] |
///
/// Both end at the nearer of their limit and the request's own deadline. Behind that deadline
/// nothing is sent: [`Reason::DeadlineTooNear`]. A timer is made only for an answer that is not
/// there at once; an attempt without a deadline is timed from the first look at its answer. The effect may have happened all the same: `Maybe`.
///
/// What is inside a total timeout keeps to the deadline that [`Policy::stamp`] wrote: no pause
/// begins that would end behind it, and every wait ends with it. [`ByHead`] writes it into our calls,
/// [`ByStatus`](crate::policy::ByStatus) into HTTP requests, a policy of closures by its
/// [`with_stamp`](crate::policy::Closures::with_stamp) alone. Give every layer the same policy.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use openclaw_core::{
///     Call, Context, Error, ErrorKind, Happened, TenantId, middleware::TimeoutLayer,
///     skill::{SkillAnswer, SkillManifest},
/// };
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::InvalidId> {
/// let silent = service_fn(|_call: Call<Arc<serde_json::Value>>| std::future::pending());
/// let service = ServiceBuilder::new()
///     .layer(TimeoutLayer::attempt("crm", Duration::from_secs(10)))
///     .service(silent);
/// let manifest = SkillManifest::new("crm.find".parse()?, "1.0.0");
/// let call = Call::skill(Context::new(TenantId::new("acme")?), &manifest, Arc::default());
/// let e: Error = service.oneshot(call).await.map(|_: SkillAnswer| ()).unwrap_err();
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutLayer<P = ByHead> {
    shared: Arc<Shared>,
    policy: P,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    scope: Scope,
    limit: AtomicU64,
}

impl Shared {
    fn limit(&self) -> Option<Duration> {
        let nanos = self.limit.load(Ordering::Relaxed);
        (nanos != OFF).then(|| Duration::from_nanos(nanos))
    }

    fn refusal(&self, reason: Reason) -> Refusal {
        let refusal = Refusal::new(reason, Arc::clone(&self.name));
        match (reason, self.limit()) {
            (Reason::Timeout(_), Some(limit)) => {
                refusal.with_detail(format!("limit_ms={}", limit.as_millis()))
            }
            _ => refusal,
        }
    }
}

impl TimeoutLayer {
    /// Ends the whole call, its retries and waits included.
    #[must_use]
    pub fn total(name: impl Into<Arc<str>>, limit: Duration) -> Self {
        Self::new(name.into(), Scope::Total, limit)
    }

    /// Ends one attempt.
    #[must_use]
    pub fn attempt(name: impl Into<Arc<str>>, limit: Duration) -> Self {
        Self::new(name.into(), Scope::Attempt, limit)
    }

    fn new(name: Arc<str>, scope: Scope, limit: Duration) -> Self {
        let shared = Shared { name, scope, limit: AtomicU64::new(nanos(limit)) };
        Self { shared: Arc::new(shared), policy: ByHead }
    }
}

impl<P> TimeoutLayer<P> {
    /// Reads requests by this policy.
    #[must_use]
    pub fn policy<Q>(self, policy: Q) -> TimeoutLayer<Q> {
        TimeoutLayer { shared: self.shared, policy }
    }

    /// The limit; `None` when there is none.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.shared.limit()
    }

    /// Changes the limit for calls that begin from now on; `None` takes it away.
    ///
    /// A request's own deadline holds all the same.
    pub fn set_limit(&self, limit: Option<Duration>) {
        self.shared.limit.store(limit.map_or(OFF, nanos), Ordering::Relaxed);
    }
}

fn nanos(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(OFF)
}

impl<S, P: Clone> Layer<S> for TimeoutLayer<P> {
    type Service = Timeout<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout { inner, shared: Arc::clone(&self.shared), policy: self.policy.clone() }
    }
}

/// A service whose calls end in time; made by [`TimeoutLayer`].
#[derive(Clone)]
pub struct Timeout<S, P = ByHead> {
    inner: S,
    shared: Arc<Shared>,
    policy: P,
}

impl<S: fmt::Debug, P> fmt::Debug for Timeout<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.shared.limit();
        f.debug_struct("Timeout").field("limit", &limit).field("inner", &self.inner).finish()
    }
}

impl<S, P, Req> Service<Req> for Timeout<S, P>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    P: Policy<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let head = self.policy.head(&request);
        let shared = Arc::clone(&self.shared);
        if head.deadline.is_none() && shared.scope == Scope::Attempt {
            // The clock is read when the answer is not there at once.
            let inner = Some(self.inner.call(request));
            return TimeoutFuture { inner, ends: Ends::Within { limit: shared.limit() }, shared };
        }
        let now = Instant::now();
        if head.deadline.is_some_and(|deadline| deadline <= now) {
            return TimeoutFuture { inner: None, ends: Ends::Never, shared };
        }
        // A limit beyond the end of time is none.
        let own = shared.limit().and_then(|limit| now.checked_add(limit));
        let deadline = match (own, head.deadline) {
            (Some(own), Some(given)) => Some(own.min(given)),
            (own, given) => own.or(given),
        };
        let request = match shared.scope {
            Scope::Total => self.policy.stamp(request, deadline, head.attempt),
            Scope::Attempt => request,
        };
        let ends = deadline.map_or(Ends::Never, |deadline| Ends::At { deadline });
        TimeoutFuture { inner: Some(self.inner.call(request)), ends, shared }
    }
}

pin_project! {
    /// The answer to come of a [`Timeout`].
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        ends: Ends,
        shared: Arc<Shared>,
    }
}

pin_project! {
    /// When a call ends at the latest; a timer only once it has to be waited for.
    #[derive(Debug)]
    #[project = EndsProjection]
    enum Ends {
        Never,
        Within { limit: Option<Duration> },
        At { deadline: Instant },
        Timed { #[pin] sleep: Sleep },
    }
}

impl<F, Res, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: From<Refusal>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(this.shared.refusal(Reason::DeadlineTooNear).into()));
        };
        if let Poll::Ready(outcome) = inner.poll(cx) {
            return Poll::Ready(outcome);
        }
        loop {
            let deadline = match this.ends.as_mut().project() {
                EndsProjection::Never => return Poll::Pending,
                EndsProjection::Timed { sleep } => {
                    let late = Reason::Timeout(this.shared.scope);
                    return sleep.poll(cx).map(|()| Err(this.shared.refusal(late).into()));
                }
                EndsProjection::At { deadline } => Some(*deadline),
                EndsProjection::Within { limit } => {
                    limit.and_then(|limit| Instant::now().checked_add(limit))
                }
            };
            let next = deadline.map_or(Ends::Never, |at| Ends::Timed { sleep: sleep_until(at) });
            this.ends.set(next);
        }
    }
}
