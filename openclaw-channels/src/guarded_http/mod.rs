//! The only HTTP client there is: bounded in time, in size, and in where it goes.

mod redirect;
mod response;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, Uri, header, uri::Scheme};
use openclaw_core::{
    Call, Error, ErrorKind, Happened, Result,
    http::{Body, Http},
};
use tokio::time::{self, Instant};

use self::{redirect::redirected, response::Incoming};

/// The [`Http`] port over plain HTTP/1.1, with limits.
///
/// * The whole exchange, body included, ends within the timeout, and before the call's deadline.
/// * A body over the limit is an error of the read that passes it.
/// * Redirects are answers, unless some are allowed. Followed to another origin, a request
///   leaves all credentials behind, and one with a body isn't followed there.
/// * Proxies named in the environment are ignored: they would see, and resolve, every address.
/// * `https` answers `UNSUPPORTED`: this build has no TLS.
///
/// An error says `No` when no connection was made, otherwise `Maybe`.
///
/// ```
/// use bytes::Bytes;
/// use openclaw_channels::guarded_http::GuardedHttp;
/// use openclaw_core::{Call, Context, ErrorKind, Happened, TenantId, http::Http};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = GuardedHttp::builder().timeout(std::time::Duration::from_secs(5)).build()?;
/// let request = http::Request::get("https://shop.test/orders/1042").body(Bytes::new())?;
/// let call = Call::http(Context::new(TenantId::new("acme")?), request);
/// let e = client.send(call).await.unwrap_err();
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::Unsupported, Happened::No));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GuardedHttp {
    client: reqwest::Client,
    rules: GuardedHttpBuilder,
}

/// Makes a [`GuardedHttp`].
#[derive(Clone, Debug)]
#[must_use]
pub struct GuardedHttpBuilder {
    timeout: Duration,
    connect_timeout: Duration,
    max_response: usize,
    redirects: usize,
}

impl GuardedHttpBuilder {
    /// The longest an exchange may take, body included. 30 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest a connection may take to come about. 5 s.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The longest response body, in bytes. 4 MiB.
    pub const fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = bytes;
        self
    }

    /// How many redirects are followed. None.
    pub const fn redirects(mut self, redirects: usize) -> Self {
        self.redirects = redirects;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// The machine does not let a client be made.
    pub fn build(self) -> Result<GuardedHttp> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .build()
            .map_err(lifted)?;
        Ok(GuardedHttp { client, rules: self })
    }
}

impl GuardedHttp {
    /// Starts a client with settings of your own.
    pub const fn builder() -> GuardedHttpBuilder {
        GuardedHttpBuilder {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_response: 4 << 20,
            redirects: 0,
        }
    }

    /// Makes the request, and those it is sent on to.
    async fn follow(&self, request: Request<Bytes>) -> Result<reqwest::Response> {
        let mut response = self.once(&request).await?;
        let mut last = request;
        for _ in 0..self.rules.redirects {
            let Some(next) = redirected(&last, response.status(), response.headers()) else {
                break;
            };
            // The first server has read its request, whatever becomes of this one.
            response = self.once(&next).await.map_err(|e| e.with_happened(Happened::Maybe))?;
            last = next;
        }
        Ok(response)
    }

    async fn once(&self, request: &Request<Bytes>) -> Result<reqwest::Response> {
        allowed(request.uri())?;
        let built = self
            .client
            .request(request.method().clone(), request.uri().to_string())
            .headers(end_to_end(request.headers()))
            .body(request.body().clone())
            .build()
            .map_err(lifted)?;
        self.client.execute(built).await.map_err(lifted)
    }
}

#[async_trait]
impl Http for GuardedHttp {
    async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        let end = Instant::now() + self.rules.timeout;
        let end = call.context().deadline().map_or(end, |deadline| deadline.min(end));
        if end <= Instant::now() {
            return Err(Error::new(ErrorKind::Timeout, "the deadline has passed before the call")
                .with_happened(Happened::No));
        }
        let cancel = call.context().cancel().cloned();
        let cancelled = async {
            match &cancel {
                Some(cancel) => cancel.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            () = cancelled => Err(Error::new(ErrorKind::Cancelled, "the caller gave up")),
            answer = time::timeout_at(end, self.follow(call.into_payload())) => {
                answer.unwrap_or_else(|_late| Err(late()))
            }
        }?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = Body::stream(Incoming::new(answer, end, self.rules.max_response));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "no answer in time")
}

/// Only plain HTTP, and no credentials in the address: addresses end up in logs.
fn allowed(uri: &Uri) -> Result<()> {
    let invalid = |message: &'static str| Err(Error::new(ErrorKind::ValidationError, message));
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(scheme) if *scheme == Scheme::HTTPS => {
            let message =
                "https needs TLS, and this build has none: use http, or a client of your own";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        _ => return invalid("the address must begin with http://"),
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            invalid("the address must not hold credentials: use a header")
        }
        Some(_) => Ok(()),
        None => invalid("the address names no host"),
    }
}

/// The headers without those that say how a message is framed: they are this client's business.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const FRAMING: [HeaderName; 8] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHORIZATION,
    ];
    let mut headers = headers.clone();
    for name in FRAMING {
        headers.remove(name);
    }
    headers
}

/// What is known of a failed request. The address is left out: it may hold a secret.
fn lifted(e: reqwest::Error) -> Error {
    let e = e.without_url();
    let (kind, message, happened) = if e.is_builder() {
        (ErrorKind::ValidationError, "the request can't be sent", Happened::No)
    } else if e.is_connect() && e.is_timeout() {
        (ErrorKind::Timeout, "no connection in time", Happened::No)
    } else if e.is_connect() {
        (ErrorKind::Unavailable, "no connection", Happened::No)
    } else if e.is_timeout() {
        (ErrorKind::Timeout, "no answer in time", Happened::Maybe)
    } else {
        (ErrorKind::Unavailable, "the connection broke before the answer", Happened::Maybe)
    };
    Error::new(kind, message).with_happened(happened).with_source(e)
}
