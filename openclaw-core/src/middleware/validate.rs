//! Refuses what breaks its contract.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Reason, Refusal,
    policy::{Validator, Violation},
};

/// Refuses requests that break their contract, and tells of answers that do.
///
/// A request is refused before anything is recorded or sent: [`Reason::Invalid`], with the place.
/// An answer that breaks the contract comes behind the effect: the caller gets
/// [`Reason::InvalidAnswer`], which says `Yes` and is never tried again, an event of level error
/// is told, and [`broken_answers`](Self::broken_answers) counts it. It stands outside the
/// ledger: what happened is recorded as done.
///
/// ```
/// use openclaw_core::{Error, ErrorKind, middleware::ValidateLayer, policy::{Validator, Violation}};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// #[derive(Clone)]
/// struct Positive;
///
/// impl Validator<i32, i32> for Positive {
///     fn request(&self, n: &i32) -> Result<(), Violation> {
///         if *n > 0 { Ok(()) } else { Err(Violation::new("/amount", "it is positive")) }
///     }
///     fn answer(&self, _: &i32) -> Result<(), Violation> {
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(ValidateLayer::new("refund", Positive))
///     .service(service_fn(async |n: i32| Ok::<_, Error>(n)));
/// let e = service.oneshot(-1).await.unwrap_err();
/// assert_eq!(e.kind(), ErrorKind::ValidationError);
/// assert!(e.to_string().contains("/amount"));
/// # }
/// ```
#[derive(Clone)]
pub struct ValidateLayer<V> {
    shared: Arc<Shared>,
    validator: V,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    broken: AtomicU64,
}

impl<V> ValidateLayer<V> {
    /// Holds requests and answers to this contract.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, validator: V) -> Self {
        let shared = Shared { name: name.into(), broken: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), validator }
    }

    /// How many answers broke the contract.
    #[must_use]
    pub fn broken_answers(&self) -> u64 {
        self.shared.broken.load(Ordering::Relaxed)
    }
}

impl<V> fmt::Debug for ValidateLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidateLayer").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Shared {
    fn refusal(&self, reason: Reason, violation: &Violation) -> Refusal {
        Refusal::new(reason, Arc::clone(&self.name)).with_detail(violation.to_string())
    }

    fn broken(&self, violation: &Violation) -> Refusal {
        self.broken.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            name = &*self.name,
            place = &*violation.place,
            rule = &*violation.rule,
            "an answer breaks its contract"
        );
        self.refusal(Reason::InvalidAnswer, violation)
    }
}

impl<S, V: Clone> Layer<S> for ValidateLayer<V> {
    type Service = Validate<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        let (shared, validator) = (Arc::clone(&self.shared), self.validator.clone());
        Validate { inner, shared, validator }
    }
}

/// A service whose contract is kept; made by [`ValidateLayer`].
#[derive(Clone)]
pub struct Validate<S, V> {
    inner: S,
    shared: Arc<Shared>,
    validator: V,
}

impl<S: fmt::Debug, V> fmt::Debug for Validate<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validate").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, V, Req> Service<Req> for Validate<S, V>
where
    S: Service<Req>,
    S::Error: From<Refusal>,
    V: Validator<Req, S::Response>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ValidateFuture<S::Future, V, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (shared, validator) = (Arc::clone(&self.shared), self.validator.clone());
        let (inner, refusal) = match self.validator.request(&request) {
            Ok(()) => (Some(self.inner.call(request)), None),
            Err(violation) => (None, Some(shared.refusal(Reason::Invalid, &violation))),
        };
        ValidateFuture { inner, refusal, shared, validator, of: PhantomData }
    }
}

pin_project! {
    /// The answer to come of a [`Validate`].
    pub struct ValidateFuture<F, V, Req> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Refusal>,
        shared: Arc<Shared>,
        validator: V,
        of: PhantomData<fn(Req)>,
    }
}

impl<F, V, Req> fmt::Debug for ValidateFuture<F, V, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidateFuture").finish_non_exhaustive()
    }
}

impl<F, V, Req, Res, E> Future for ValidateFuture<F, V, Req>
where
    F: Future<Output = Result<Res, E>>,
    E: From<Refusal>,
    V: Validator<Req, Res>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(refusal) = this.refusal.take() {
            return Poll::Ready(Err(refusal.into()));
        }
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let answer = ready!(inner.poll(cx))?;
        Poll::Ready(match this.validator.answer(&answer) {
            Ok(()) => Ok(answer),
            Err(violation) => Err(this.shared.broken(&violation).into()),
        })
    }
}
