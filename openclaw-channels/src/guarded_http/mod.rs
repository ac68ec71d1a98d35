//! The only HTTP client there is: bounded in time, size and destination.

mod builder;
mod connect;
mod decode;
mod egress;
mod failure;
mod line;
mod redirect;
mod resolve;
mod response;
mod tls;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming as Raw;
use openclaw_core::{
    Call, Error, ErrorKind, Happened, OrFail, Result,
    http::{Body, Http},
};
use tokio::time::{self, Instant};
use url::Url;

#[cfg(feature = "http-client-tls")]
pub use self::tls::{ClientIdentity, Identity, Tls};
pub use self::{
    builder::GuardedHttpBuilder,
    egress::{EgressPolicy, HostRule, Network},
    resolve::Resolve,
};
use self::{
    builder::Limits,
    decode::Coding,
    egress::parsed,
    failure::late,
    line::{Line, Wiring},
    redirect::redirected,
    response::Incoming,
    tls::Trust,
};

/// The [`Http`] port over HTTP/1.1, with a guard and limits.
///
/// * A request goes where its [`EgressPolicy`] lets it: to public addresses by `https`, unless
///   it says otherwise. Names are looked up once, each address is judged, and the connection is
///   made to one of those that passed. A redirect is judged like a request.
/// * The whole exchange, body included, ends within the timeout, and before the call's deadline.
/// * A body over the limit is an error of the read that passes it, and so is one that grows
///   beyond measure when it is decompressed. gzip is asked for and taken apart, unless the
///   request names codings or a range of its own.
/// * Redirects are answers, unless some are allowed. Followed to another origin, a request
///   leaves all credentials behind, and one with a body isn't followed there.
/// * Proxies named in the environment are ignored: they would see, and resolve, every address.
/// * `https` needs the feature `http-client-tls`; without it the answer is `UNSUPPORTED`.
///
/// An error says `No` where nothing was sent for sure: refused, not resolved, not connected, no
/// handshake. Otherwise, and when the time is over, it says `Maybe`.
///
/// ```
/// use bytes::Bytes;
/// use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
/// use openclaw_core::{Call, Context, ErrorKind, Happened, TenantId, http::Http};
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpListener};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let shop = listener.local_addr()?;
/// # let serve = async {
/// #     let (mut stream, _) = listener.accept().await?;
/// #     stream.read(&mut [0; 1024]).await?;
/// #     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npaid").await
/// # };
/// let request = http::Request::get(format!("http://{shop}/orders/1042")).body(Bytes::new())?;
/// let call = Call::http(Context::new(TenantId::new("acme")?), request);
///
/// let guarded = GuardedHttp::builder().build()?;
/// let e = guarded.send(call.clone()).await.unwrap_err();
/// assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No));
///
/// let local = GuardedHttp::builder().policy(EgressPolicy::loopback()).build()?;
/// let answer = async { local.send(call).await?.into_body().collect(100).await };
/// # let (answer, served) = tokio::join!(answer, serve);
/// # served?;
/// # let answer = async { answer };
/// assert_eq!(answer.await?, "paid");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GuardedHttp(Arc<Client>);

#[derive(Debug)]
struct Client {
    limits: Limits,
    wiring: Wiring,
    trust: Trust,
    line: Mutex<Arc<Line>>,
}

impl GuardedHttp {
    /// Starts a client with settings of your own.
    pub fn builder() -> GuardedHttpBuilder {
        GuardedHttpBuilder::new()
    }

    /// Judges by this policy from now on, in all clones of the client.
    ///
    /// Connections that another policy allowed are not used again. What is under way ends as it
    /// began, except that a further redirect is judged by the new policy.
    ///
    /// # Errors
    /// The machine does not let a connection be prepared. The old policy stays.
    pub fn set_policy(&self, policy: EgressPolicy) -> Result<()> {
        let Client { wiring, trust, .. } = &*self.0;
        let line = wiring.line(Arc::new(policy), None, trust.handshake(None)?);
        *self.0.line() = Arc::new(line);
        Ok(())
    }

    /// Makes the request, and those it is sent on to.
    async fn follow(&self, request: Request<Bytes>) -> Result<Response<(Raw, Coding)>> {
        let mut response = self.0.once(&request).await?;
        let mut last = request;
        for _ in 0..self.0.limits.redirects {
            let Some(next) = redirected(&last, response.status(), response.headers()) else {
                break;
            };
            // The first server has read its request, whatever becomes of this one.
            response = self.0.once(&next).await.map_err(|e| e.with_happened(Happened::Maybe))?;
            last = next;
        }
        Ok(response)
    }
}

impl Client {
    fn line(&self) -> MutexGuard<'_, Arc<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections that may carry a request to this address.
    async fn line_to(&self, url: &Url) -> Result<Arc<Line>> {
        let line = Arc::clone(&self.line());
        line.policy.url(url)?;
        if url.scheme() != "https" {
            return Ok(line);
        }
        let shown = self.trust.shown_to(url.host_str().unwrap_or_default()).await?;
        let mut line = self.line();
        if shown.is_some() && shown != line.shown {
            let tls = self.trust.handshake(shown.as_ref())?;
            *line = Arc::new(self.wiring.line(Arc::clone(&line.policy), shown, tls));
        }
        // It may be another one by now.
        line.policy.url(url)?;
        Ok(Arc::clone(&line))
    }

    async fn once(&self, request: &Request<Bytes>) -> Result<Response<(Raw, Coding)>> {
        let url = parsed(&request.uri().to_string())?;
        let line = self.line_to(&url).await?;
        let mut headers = end_to_end(request.headers());
        let unpack =
            ![header::ACCEPT_ENCODING, header::RANGE].iter().any(|h| headers.contains_key(h));
        if unpack {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut out = Request::new(Full::new(request.body().clone()));
        out.method_mut().clone_from(request.method());
        // What was judged, letter by letter.
        *out.uri_mut() = url.as_str().parse().before_send(ErrorKind::ValidationError)?;
        *out.headers_mut() = headers;
        let mut response = line.client.request(out).await.map_err(failure::of_exchange)?;
        response.extensions_mut().clear();
        let Limits { max_response, max_ratio, .. } = self.limits;
        let coding = if unpack {
            Coding::of(response.headers_mut(), max_response, max_ratio)
        } else {
            Coding::Plain
        };
        Ok(response.map(|raw| (raw, coding)))
    }
}

#[async_trait]
impl Http for GuardedHttp {
    async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        let Limits { timeout, max_response, .. } = self.0.limits;
        let end = Instant::now() + timeout;
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
        Ok(answer.map(|(raw, coding)| Body::stream(Incoming::new(raw, coding, end, max_response))))
    }
}

/// The headers without those that frame a message. They are this client's business.
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
