//! What a client reads when something is wrong: one JSON shape for every refusal.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use openclaw_core::{Error, ErrorKind, json::JsonError};
use serde_json::{Value, json};

/// A refusal: `{"error":{"code","message","pointer"?}}` with its status.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    pointer: Option<String>,
    retry_after: Option<u64>,
    challenge: bool,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        let (code, message) = (kind.code(), message.into());
        Self { status, code, message, pointer: None, retry_after, challenge: false }
    }

    /// The request is wrong at this place of its body.
    pub(super) fn invalid(pointer: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(message).at(pointer)
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorKind::ValidationError, message)
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    pub(super) fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthenticationFailed, message)
    }

    /// The API key is missing or wrong.
    pub(super) fn no_key() -> Self {
        let message = "send a valid key as `Authorization: Bearer …`";
        Self { challenge: true, ..Self::unauthorized(message) }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body is longer than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::ValidationError, message)
    }

    pub(super) fn overloaded(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Overloaded, message)
    }

    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable, message)
    }

    /// Points to a place of the body (RFC 6901).
    pub(super) fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }

    /// The message is refused for good.
    pub(super) fn refused(reason: &Error) -> Self {
        let status = match reason.kind() {
            ErrorKind::Conflict => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AuthenticationFailed => StatusCode::UNAUTHORIZED,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::ValidationError | ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
            kind if kind.is_transient() => return Self::later(reason, Duration::ZERO),
            _ => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Self::new(status, ErrorKind::ServerError, "internal error");
            }
        };
        Self::new(status, reason.kind(), reason.public().to_owned())
    }

    /// The message is not taken now.
    pub(super) fn later(error: &Error, after: Duration) -> Self {
        let mut problem = match error.kind() {
            kind @ ErrorKind::RateLimited => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, kind, error.public().to_owned())
            }
            kind @ (ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Timeout) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, error.public().to_owned())
            }
            // What else failed here is nobody else's business.
            _ => Self::unavailable("not available now"),
        };
        let after = error.retry_after().unwrap_or_default().max(after);
        problem.retry_after = Some(whole_seconds(after));
        problem
    }
}

/// Rounded up, one at least: a client that waits shorter comes too early.
fn whole_seconds(after: Duration) -> u64 {
    let up = u64::from(after.subsec_nanos() > 0);
    after.as_secs().saturating_add(up).clamp(1, 3600)
}

impl From<JsonError> for Problem {
    fn from(e: JsonError) -> Self {
        Self::invalid(&e.pointer, e.reason)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(pointer), Some(fields)) = (self.pointer, error.as_object_mut()) {
            fields.insert("pointer".to_owned(), Value::from(pointer));
        }
        let mut response = answer(self.status, &json!({ "error": error }));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.challenge {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A JSON answer that nobody may keep or guess another type for.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let table = [
            (ErrorKind::Conflict, 422),
            (ErrorKind::NotFound, 404),
            (ErrorKind::AuthenticationFailed, 401),
            (ErrorKind::PermissionDenied, 403),
            (ErrorKind::ValidationError, 400),
            (ErrorKind::RateLimited, 429),
            (ErrorKind::Overloaded, 503),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::ServerError, 503),
            (ErrorKind::Unclassified, 500),
        ];
        for (kind, status) in table {
            let problem = Problem::refused(&Error::new(kind, "inner words"));
            assert_eq!(problem.status.as_u16(), status, "{kind}");
            assert!(!problem.message.contains("inner"), "{kind}");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_one_at_least() {
        let table = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (u64::MAX, 3600)];
        for (ms, seconds) in table {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }
}
