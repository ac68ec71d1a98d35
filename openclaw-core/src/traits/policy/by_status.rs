//! The policy of HTTP services: method and status say everything.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{
    Advice, Assessment, Dated, Fault, Head, Policy, advice::retry_after, dated::ByDate, nearer,
};
use crate::{
    Clock, ErrorKind, SystemClock,
    traits::http::{IDEMPOTENCY_KEY, effect_of},
};

/// Reads method, key and status of an HTTP call, whatever its body and error types are.
///
/// Safe methods are `Pure`, idempotent ones `AtLeastOnce` (RFC 9110, 9.2), others `Keyed` for
/// a day when they carry an `Idempotency-Key`, else `AtMostOnce`. gRPC answers that come
/// without a body are judged by their `grpc-status`.
///
/// Deadline and attempt travel among the extensions of the request, which never leave this
/// process: a retry and every wait inside a total timeout keep to its deadline. They cost
/// allocations, on calls that have a deadline and on later tries.
///
/// | status | means | happened |
/// |---|---|---|
/// | 1xx to 3xx, 2xx | success | yes |
/// | 401 | `AUTHENTICATION_FAILED` | no |
/// | 403 | `PERMISSION_DENIED` | no |
/// | 404, 410 | `NOT_FOUND` | no |
/// | 408 | `TIMEOUT` | maybe |
/// | 409, 412 | `CONFLICT` | no |
/// | 425, 429 | `RATE_LIMITED` | no |
/// | other 4xx | `VALIDATION_ERROR` | no |
/// | 500 and other 5xx | `SERVER_ERROR` | maybe |
/// | 501, 505 | `UNSUPPORTED` | no |
/// | 502, 503 | `UNAVAILABLE` | maybe |
/// | 504 | `TIMEOUT` | maybe |
///
/// ```
/// use http::{Method, Request, Response};
/// use openclaw_core::{Effect, ErrorKind, policy::{ByStatus, Failure, Policy}};
///
/// type Outcome = Failure<std::convert::Infallible>;
/// let get = Request::get("/orders/7").body(())?;
/// let head = Policy::<_, Response<()>, Outcome>::head(&ByStatus, &get);
/// assert_eq!(head.effect, Effect::Pure);
///
/// let busy = Response::builder().status(503).header("retry-after", "7").body(())?;
/// let means = Policy::<Request<()>, _, Outcome>::assess(&ByStatus, Ok(&busy));
/// assert_eq!(means.fault, Some(ErrorKind::Unavailable));
/// assert_eq!(means.retry_after.map(|d| d.as_secs()), Some(7));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to grow")]
pub struct ByStatus;

impl ByStatus {
    /// The same, by this clock instead of the machine's.
    ///
    /// It counts for dates in responses that have no `Date` of their own.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use http::{Request, Response};
    /// use openclaw_core::{Clock, Timestamp, policy::{ByStatus, Failure, Policy}};
    ///
    /// #[derive(Debug)]
    /// struct Noon;
    ///
    /// impl Clock for Noon {
    ///     fn now(&self) -> Timestamp {
    ///         Timestamp::from_millis(784_123_200_000)
    ///     }
    /// }
    ///
    /// let date = "Sun, 06 Nov 1994 12:00:07 GMT";
    /// let busy = Response::builder().status(503).header("retry-after", date).body(())?;
    /// let policy = ByStatus.with_clock(Arc::new(Noon));
    /// let means =
    ///     Policy::<Request<()>, _, Failure<std::convert::Infallible>>::assess(&policy, Ok(&busy));
    /// assert_eq!(means.retry_after, Some(Duration::from_secs(7)));
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub const fn with_clock(self, clock: Arc<dyn Clock>) -> Dated<Self> {
        Dated::new(self, clock)
    }
}

/// Marks a response whose attempts are spent, among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exhausted;

/// Marks a response behind an earlier try that may have happened, among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InDoubt;

/// Deadline and attempt of a request, among its extensions.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    deadline: Option<Instant>,
    attempt: u32,
}

impl Stamp {
    /// What was stamped last; else a first attempt without a deadline.
    fn of<B>(request: &Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or(Self { deadline: None, attempt: 1 })
    }
}

impl<B, R, Err: Fault> Policy<Request<B>, Response<R>, Err> for ByStatus {
    fn head(&self, request: &Request<B>) -> Head {
        let keyed = request.headers().contains_key(IDEMPOTENCY_KEY);
        let Stamp { deadline, attempt } = Stamp::of(request);
        Head { effect: effect_of(request.method(), keyed), keyed, deadline, attempt }
    }

    fn assess(&self, outcome: Result<&Response<R>, &Err>) -> Assessment {
        ByDate::<Request<B>, Response<R>, Err>::assess_by(self, &SystemClock, outcome)
    }

    fn advice(&self, outcome: Result<&Response<R>, &Err>) -> Option<Advice> {
        ByDate::<Request<B>, Response<R>, Err>::advice_by(self, &SystemClock, outcome)
    }

    fn stamp(
        &self,
        mut request: Request<B>,
        deadline: Option<Instant>,
        attempt: u32,
    ) -> Request<B> {
        let old = Stamp::of(&request);
        let new = Stamp { deadline: nearer(old.deadline, deadline), attempt };
        if new != old {
            request.extensions_mut().insert(new);
        }
        request
    }

    fn exhausted(&self, outcome: Result<Response<R>, Err>) -> Result<Response<R>, Err> {
        let mut outcome = outcome.map_err(Fault::into_exhausted);
        if let Ok(response) = &mut outcome {
            response.extensions_mut().insert(Exhausted);
        }
        outcome
    }

    fn in_doubt(&self, outcome: Result<Response<R>, Err>) -> Result<Response<R>, Err> {
        let mut outcome = outcome.map_err(Fault::in_doubt);
        if let Ok(response) = &mut outcome {
            response.extensions_mut().insert(InDoubt);
        }
        outcome
    }
}

impl<B, R, Err: Fault> ByDate<Request<B>, Response<R>, Err> for ByStatus {
    fn assess_by(&self, clock: &dyn Clock, outcome: Result<&Response<R>, &Err>) -> Assessment {
        match outcome {
            Ok(response) => assess(response, clock),
            Err(e) => e.assess(),
        }
    }

    fn advice_by(&self, clock: &dyn Clock, outcome: Result<&Response<R>, &Err>) -> Option<Advice> {
        Advice::read(outcome.ok()?.headers(), clock)
    }
}

pub(super) fn assess<R>(response: &Response<R>, clock: &dyn Clock) -> Assessment {
    let (headers, marks) = (response.headers(), response.extensions());
    let Some(kind) = fault(response.status()).or_else(|| grpc(headers)) else {
        return Assessment::SUCCESS;
    };
    let means = Assessment::fault(kind).with_exhausted(marks.get::<Exhausted>().is_some());
    let means = if marks.get::<InDoubt>().is_some() { means.in_doubt() } else { means };
    if !kind.is_transient() {
        return means;
    }
    means.with_retry_after(retry_after(headers, clock))
}

fn fault(status: StatusCode) -> Option<ErrorKind> {
    Some(match status.as_u16() {
        ..400 => return None,
        401 => ErrorKind::AuthenticationFailed,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        409 | 412 => ErrorKind::Conflict,
        425 | 429 => ErrorKind::RateLimited,
        501 | 505 => ErrorKind::Unsupported,
        502 | 503 => ErrorKind::Unavailable,
        400..500 => ErrorKind::ValidationError,
        500.. => ErrorKind::ServerError,
    })
}

/// The codes of gRPC's status page, where an answer without a body has them in its head.
fn grpc(headers: &HeaderMap) -> Option<ErrorKind> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse::<u8>().ok()?;
    Some(match code {
        0 => return None,
        1 => ErrorKind::Cancelled,
        3 | 11 => ErrorKind::ValidationError,
        4 => ErrorKind::Timeout,
        5 => ErrorKind::NotFound,
        6 | 9 | 10 => ErrorKind::Conflict,
        7 => ErrorKind::PermissionDenied,
        8 => ErrorKind::RateLimited,
        12 => ErrorKind::Unsupported,
        13 | 15 => ErrorKind::ServerError,
        14 => ErrorKind::Unavailable,
        16 => ErrorKind::AuthenticationFailed,
        _ => ErrorKind::Unclassified,
    })
}

impl Assessment {
    /// What an HTTP status means, by the table of [`ByStatus`].
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        fault(status).map_or(Self::SUCCESS, Self::fault)
    }
}
