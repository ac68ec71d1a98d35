//! `Http`: HTTP as a port. Core speaks HTTP types, never HTTP bytes.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{Call, Context, Effect, Error, ErrorKind, Happened, Result};

/// The header that carries an idempotency key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long a remote is taken to remember an `Idempotency-Key`.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// What a request of this method may do to the world.
pub(crate) fn effect_of(method: &::http::Method, keyed: bool) -> Effect {
    match method {
        m if m.is_safe() => Effect::Pure,
        m if m.is_idempotent() => Effect::AtLeastOnce,
        _ if keyed => Effect::Keyed { retention: RETENTION },
        _ => Effect::AtMostOnce,
    }
}

/// A response body, read in pieces.
#[async_trait]
pub trait BodyStream: Send + fmt::Debug + 'static {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or a limit was passed.
    async fn chunk(&mut self) -> Result<Option<Bytes>>;
}

/// A response body.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    Full(Bytes),
    Stream(Box<dyn BodyStream>),
}

impl Body {
    /// A body that is here already.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Full(bytes.into()))
    }

    /// A body that comes in pieces.
    #[must_use]
    pub fn stream(stream: impl BodyStream) -> Self {
        Self(Inner::Stream(Box::new(stream)))
    }

    /// Reads it whole, at most `limit` bytes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is longer; the effect happened all the same.
    pub async fn collect(self, limit: usize) -> Result<Bytes> {
        let too_long = || {
            Error::new(ErrorKind::ValidationError, "the response is longer than the limit")
                .with("limit", limit)
                .with_happened(Happened::Maybe)
        };
        let mut stream = match self.0 {
            Inner::Full(bytes) if bytes.len() > limit => return Err(too_long()),
            Inner::Full(bytes) => return Ok(bytes),
            Inner::Stream(stream) => stream,
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = stream.chunk().await? {
            if whole.len() + piece.len() > limit {
                return Err(too_long());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl Call<::http::Request<Bytes>> {
    /// A request, its effect stamped by method and key.
    ///
    /// Safe methods (RFC 9110, 9.2.1) are `Pure`, idempotent ones (9.2.2) `AtLeastOnce`, one
    /// with an `Idempotency-Key` header is `Keyed` for a day, the rest `AtMostOnce`.
    #[must_use]
    pub fn http(context: Context, request: ::http::Request<Bytes>) -> Self {
        let keyed = request.headers().contains_key(IDEMPOTENCY_KEY);
        let effect = effect_of(request.method(), keyed);
        Self::http_declared(context, request, effect)
    }

    /// A request whose effect an API's description declares, as a manifest does for a skill.
    ///
    /// For whoever holds that description: a search by `POST` is `Pure`, and a key may have
    /// another header, or be remembered for less than a day.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use openclaw_core::{Call, Context, Effect, TenantId};
    ///
    /// let context = Context::new(TenantId::new("acme")?);
    /// let search = || http::Request::post("http://crm.test/search").body(Bytes::new());
    /// assert_eq!(Call::http(context.clone(), search()?).effect(), Effect::AtMostOnce);
    /// let declared = Call::http_declared(context, search()?, Effect::Pure);
    /// assert_eq!((declared.effect(), declared.target()), (Effect::Pure, "crm.test"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn http_declared(
        context: Context,
        request: ::http::Request<Bytes>,
        effect: Effect,
    ) -> Self {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Self::stamped(context, host, effect, request)
    }
}

/// HTTP as a port: the seam that limits, breakers and cassettes sit on.
///
/// Each sentence is a law in `openclaw_testkit::conformance::http`:
///
/// * `send` makes one request, as it was given, and returns once the head of the response is
///   here. It repeats nothing by itself.
/// * A status of 4xx or 5xx is an answer, not an error. So is a redirect, unless the client is
///   told to follow it; then another origin is told neither credentials nor body.
/// * A body is read whole, or its read is an error.
/// * `send` ends at the deadline of its context, and when its caller cancels. Behind the
///   deadline nothing is sent.
/// * An error says `No` only when nobody has read the request, and quotes nothing of it.
/// * Sends side by side neither wait for each other nor mix up their answers.
#[async_trait]
pub trait Http: Send + Sync + fmt::Debug + 'static {
    /// Makes one request.
    ///
    /// # Errors
    /// No head came back; [`Error::happened`] says whether the request may have been read.
    async fn send(&self, call: Call<::http::Request<Bytes>>) -> Result<::http::Response<Body>>;
}
