//! What a status and its headers mean: which error, and whether it happened.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use openclaw_core::{
    Effect, Error, ErrorKind, Happened, Result, SystemClock,
    policy::{Advice, Assessment, ByStatus, InDoubt, Policy, retry_after},
};

use super::code::code;

/// The longest pause that a service may ask for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a response means for the call that asked: nothing wrong, or an error.
///
/// | status | kind | happened, unless it only reads |
/// |---|---|---|
/// | 2xx | none | yes |
/// | 301, 302, 303 and other 3xx | `UNSUPPORTED`: it isn't followed | maybe |
/// | 307, 308 | `UNSUPPORTED` | no |
/// | 401 | `AUTHENTICATION_FAILED` | no |
/// | 403 | `PERMISSION_DENIED` | no |
/// | 403 with `Retry-After`, or with nothing left of a rate limit | `RATE_LIMITED` | no |
/// | 404, 410 | `NOT_FOUND` | no |
/// | 408 | `TIMEOUT` | maybe |
/// | 409, 412 | `CONFLICT` | no |
/// | 425, 429 | `RATE_LIMITED` | no |
/// | 400, 422, other 4xx | `VALIDATION_ERROR` | no |
/// | 500, other 5xx | `SERVER_ERROR` | maybe |
/// | 501, 505 | `UNSUPPORTED` | no |
/// | 502, 503 | `UNAVAILABLE` | maybe |
/// | 504 | `TIMEOUT` | maybe |
///
/// The statuses from 400 on are read by core's [`ByStatus`], as in every stack. What only reads
/// ([`Effect::Pure`]) has surely done nothing. Behind a try that may have happened ([`InDoubt`]),
/// every "no" is a "maybe". `retry_after` is what the service said, a day at
/// most. The error names the status, and the code in the body where it looks like one; nothing
/// else of the body is quoted.
///
/// # Errors
/// As the table says.
///
/// ```
/// use bytes::Bytes;
/// use openclaw_core::{Effect, ErrorKind, Happened};
/// use openclaw_skills::api::outcome;
///
/// let body = Bytes::from_static(br#"{"error":{"code":"rate_limit","message":"Ann, slow down"}}"#);
/// let busy = http::Response::builder().status(429).header("retry-after", "2").body(body)?;
/// let e = outcome(Effect::AtMostOnce, &busy).unwrap_err();
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No));
/// assert_eq!(e.retry_after().map(|d| d.as_secs()), Some(2));
/// assert!(e.context().any(|pair| pair == ("code", "rate_limit")));
/// assert!(!format!("{e:?} {}", e.public()).contains("Ann"));
///
/// let down = http::Response::builder().status(503).body(Bytes::new())?;
/// assert_eq!(outcome(Effect::AtMostOnce, &down).unwrap_err().happened(), Happened::Maybe);
/// assert_eq!(outcome(Effect::Pure, &down).unwrap_err().happened(), Happened::No);
/// # Ok::<(), http::Error>(())
/// ```
pub fn outcome(effect: Effect, response: &Response<Bytes>) -> Result<()> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let means = assess(response);
    let kind = means.fault.unwrap_or(ErrorKind::Unclassified);
    let happened = if effect == Effect::Pure { Happened::No } else { means.happened };
    let mut error = Error::new(kind, operators(status, kind))
        .with_happened(happened)
        .with_public(public(kind))
        .with("status", status.as_u16());
    if let Some(code) = code(response.headers(), response.body()) {
        error = error.with("code", code);
    }
    if let Some(after) = means.retry_after {
        error = error.with_retry_after(after.min(LONGEST));
    }
    Err(if means.exhausted { error.exhausted() } else { error })
}

fn assess(response: &Response<Bytes>) -> Assessment {
    let by =
        |response| Policy::<http::Request<()>, Response<Bytes>, Error>::assess(&ByStatus, response);
    let means = by(Ok(response));
    let (status, headers) = (response.status(), response.headers());
    if status == StatusCode::FORBIDDEN && is_throttled(headers) {
        let busy = Assessment::fault(ErrorKind::RateLimited).with_exhausted(means.exhausted);
        let after = retry_after(headers, &SystemClock::default());
        let left = Advice::read(headers, &SystemClock::default()).map(|advice| advice.reset_in);
        return busy.with_happened(means.happened).with_retry_after(after.or(left));
    }
    if means.fault.is_some() {
        return means;
    }
    let moved = Assessment::fault(ErrorKind::Unsupported);
    let means = match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => moved,
        status if status.is_redirection() => moved.with_happened(Happened::Maybe),
        _ => Assessment::fault(ErrorKind::Unclassified),
    };
    // Statuses below 400 are no faults to core, so that it does not read their marks either.
    let doubt = response.extensions().get::<InDoubt>().is_some();
    if doubt { means.in_doubt() } else { means }
}

/// Says "not allowed", and means "not now"?
fn is_throttled(headers: &HeaderMap) -> bool {
    let spent = Advice::read(headers, &SystemClock::default()).is_some_and(|a| a.remaining == 0);
    headers.contains_key(header::RETRY_AFTER) || spent
}

fn operators(status: StatusCode, kind: ErrorKind) -> &'static str {
    if status.is_redirection() {
        return "the service answers from another address: use that one as the API's base";
    }
    match kind {
        ErrorKind::RateLimited => "the service asks for fewer requests",
        ErrorKind::NotFound => "the service has nothing there",
        ErrorKind::AuthenticationFailed => "the service does not accept the credentials",
        ErrorKind::PermissionDenied => "the service does not allow it to these credentials",
        ErrorKind::ValidationError => "the service does not accept the request",
        ErrorKind::Conflict => "the service says that the present state contradicts the request",
        ErrorKind::Timeout => "the service did not get it done in time",
        ErrorKind::Unavailable => "the service can't serve now",
        ErrorKind::ServerError => "the service failed",
        ErrorKind::Unsupported => "the service does not offer this",
        _ => "the service answers in a way that is not understood",
    }
}

/// What a model or a person may read, and act on.
const fn public(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RateLimited => "the service asks for fewer requests: try again later",
        ErrorKind::NotFound => "the service has nothing under this name",
        ErrorKind::AuthenticationFailed => "the service does not accept our credentials",
        ErrorKind::PermissionDenied => "the service does not allow this",
        ErrorKind::ValidationError => "the service does not accept this request",
        ErrorKind::Conflict => "it changed meanwhile, or is there already: read it again",
        ErrorKind::Timeout => "the service did not answer in time",
        ErrorKind::Unavailable => "the service is not available now",
        ErrorKind::ServerError => "the service failed",
        ErrorKind::Unsupported => "the service does not offer this",
        _ => "the service answered in an unknown way",
    }
}
