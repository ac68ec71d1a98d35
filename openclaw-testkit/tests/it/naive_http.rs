//! An HTTP client without sockets, with one flaw at a time planted into it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use openclaw_core::{
    Call, Cancel, Error, ErrorKind, Happened, Result,
    http::{Body, BodyStream, Http},
};
use openclaw_testkit::conformance::http::{HttpHarness, HttpPeer, Meets};
use tokio::time::Instant;

/// Something that an HTTP client does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    BeginsUnpolled,
    BodiesAreCut,
    BreaksAreEnds,
    BreaksDidNotHappen,
    DiesWithItsConnection,
    ErrorsQuoteTheAddress,
    ErrorsQuoteTheBody,
    FollowsRedirects,
    FollowsWithCredentials,
    HangUpsDidNotHappen,
    HeadersComeOnce,
    IgnoresCancels,
    IgnoresDeadlines,
    IgnoresItsLimit,
    LateCallsAreSent,
    LosesTheQuery,
    MixesAnswers,
    OneAtATime,
    ReadsOnePiece,
    RepeatsWhenDropped,
    ResponseHeadersComeOnce,
    RetriesHangUps,
    RetriesStatuses,
    StatusesAreErrors,
    TheLimitFailsTheSend,
    UnreachableIsMaybe,
    WaitsForTheBody,
}

pub(crate) const LIMIT: usize = 30_000;

/// Makes naive clients with this flaw.
pub(crate) struct Naive(pub(crate) Flaw);

#[derive(Debug, Default)]
struct Hub {
    heard: Mutex<Vec<Request<Bytes>>>,
    script: Mutex<VecDeque<Meets>>,
}

#[derive(Debug)]
struct NaiveHttp {
    flaw: Flaw,
    hub: Arc<Hub>,
    dead: AtomicBool,
    slot: Mutex<Option<Request<Bytes>>>,
    one: tokio::sync::Mutex<()>,
}

#[async_trait::async_trait]
impl HttpHarness for Naive {
    async fn fresh(&self) -> (Box<dyn Http>, Box<dyn HttpPeer>) {
        let hub = Arc::<Hub>::default();
        let client = NaiveHttp {
            flaw: self.0,
            hub: Arc::clone(&hub),
            dead: AtomicBool::new(false),
            slot: Mutex::default(),
            one: tokio::sync::Mutex::default(),
        };
        (Box::new(client), Box::new(Peer(hub)))
    }

    fn max_response(&self) -> Option<usize> {
        Some(LIMIT)
    }

    fn follows_redirects(&self) -> bool {
        self.0 == Flaw::FollowsWithCredentials
    }

    fn real_time(&self) -> bool {
        false
    }
}

struct Peer(Arc<Hub>);

#[async_trait::async_trait]
impl HttpPeer for Peer {
    fn origin(&self) -> String {
        "http://law.test".to_owned()
    }

    fn elsewhere(&self) -> Option<String> {
        Some("http://elsewhere.test".to_owned())
    }

    fn nobody(&self) -> Option<String> {
        Some("http://nobody.test".to_owned())
    }

    async fn script(&self, next: Meets) {
        self.0.script.lock().unwrap().push_back(next);
    }

    async fn heard(&self) -> Vec<Request<Bytes>> {
        self.0.heard.lock().unwrap().clone()
    }
}

impl Hub {
    fn take(&self, request: Request<Bytes>) -> Meets {
        let path = request.uri().path_and_query().unwrap().to_string();
        self.heard.lock().unwrap().push(request);
        let echo = || Meets::Answer(Response::new(path.into()));
        self.script.lock().unwrap().pop_front().unwrap_or_else(echo)
    }
}

/// What is left of a body: pieces, and how it ends.
#[derive(Debug)]
struct Pieces(Flaw, VecDeque<Bytes>, End, usize);

#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    Never,
    Breaks,
}

#[async_trait::async_trait]
impl BodyStream for Pieces {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(piece) = self.1.pop_front() {
            self.3 += piece.len();
            if self.0 == Flaw::ReadsOnePiece {
                self.1.clear();
            }
            if self.3 > LIMIT && self.0 != Flaw::IgnoresItsLimit {
                return Err(maybe(ErrorKind::ValidationError, "the body is too long"));
            }
            return Ok(Some(piece));
        }
        match self.2 {
            End::Never => std::future::pending().await,
            End::Breaks if self.0 == Flaw::BreaksAreEnds => Ok(None),
            End::Breaks => {
                let e = maybe(ErrorKind::Unavailable, "the body broke off");
                let no = self.0 == Flaw::BreaksDidNotHappen;
                Err(if no { e.with_happened(Happened::No) } else { e })
            }
            End::Whole => Ok(None),
        }
    }
}

fn maybe(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, message).with_happened(Happened::Maybe)
}

impl NaiveHttp {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// The request as this client puts it on the wire.
    fn written(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        match self.flaw {
            Flaw::LosesTheQuery => {
                let path = request.uri().path().to_owned();
                *request.uri_mut() = format!("http://law.test{path}").parse().unwrap();
            }
            Flaw::HeadersComeOnce => {
                let last = request.headers().get_all("x-law").iter().next_back().cloned();
                if let Some(last) = last {
                    request.headers_mut().insert("x-law", last);
                }
            }
            Flaw::BodiesAreCut => request.body_mut().truncate(1_000),
            _ => {}
        }
        request
    }

    fn error(&self, message: &'static str, request: &Request<Bytes>) -> Error {
        let e = maybe(ErrorKind::Unavailable, message);
        match self.flaw {
            Flaw::HangUpsDidNotHappen => e.with_happened(Happened::No),
            Flaw::ErrorsQuoteTheAddress => e.with("address", request.uri()),
            Flaw::ErrorsQuoteTheBody => {
                e.with("body", String::from_utf8_lossy(request.body()).into_owned())
            }
            _ => e,
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Body>> {
        if request.uri().host() != Some("law.test") {
            let happened = match self.is(Flaw::UnreachableIsMaybe) {
                true => Happened::Maybe,
                false => Happened::No,
            };
            return Err(self.error("no connection", &request).with_happened(happened));
        }
        if self.dead.load(Ordering::SeqCst) {
            return Err(self.error("the connection is broken", &request));
        }
        let method = request.method().clone();
        *self.slot.lock().unwrap() = Some(request.clone());
        tokio::task::yield_now().await;
        let request = match self.is(Flaw::MixesAnswers) {
            true => self.slot.lock().unwrap().clone().unwrap(),
            false => request,
        };
        let meets = self.hub.take(self.written(request.clone()));
        self.answer(meets, method, request).await
    }

    async fn answer(
        &self,
        meets: Meets,
        method: Method,
        request: Request<Bytes>,
    ) -> Result<Response<Body>> {
        let stream = |pieces: Vec<Bytes>, end| {
            Response::new(Body::stream(Pieces(self.flaw, pieces.into(), end, 0)))
        };
        Ok(match meets {
            Meets::Answer(response) => {
                let again = response.status() == StatusCode::SERVICE_UNAVAILABLE
                    && self.is(Flaw::RetriesStatuses);
                let follows =
                    self.is(Flaw::FollowsRedirects) || self.is(Flaw::FollowsWithCredentials);
                let redirect = response.status().is_redirection() && follows;
                if again || redirect {
                    let echo = self.hub.take(request);
                    drop(echo);
                }
                self.read(&method, response)?
            }
            Meets::Pieces(pieces) => stream(pieces, End::Whole),
            Meets::Stall(_) if self.is(Flaw::WaitsForTheBody) => std::future::pending().await,
            Meets::Stall(begin) => stream(vec![begin], End::Never),
            Meets::Break(begin) => {
                self.dead.store(self.is(Flaw::DiesWithItsConnection), Ordering::SeqCst);
                stream(vec![begin], End::Breaks)
            }
            Meets::HangUp => {
                self.dead.store(self.is(Flaw::DiesWithItsConnection), Ordering::SeqCst);
                if self.is(Flaw::RetriesHangUps) {
                    drop(self.hub.take(request.clone()));
                }
                return Err(self.error("the connection broke", &request));
            }
            _ => std::future::pending().await,
        })
    }

    fn read(&self, method: &Method, mut response: Response<Bytes>) -> Result<Response<Body>> {
        let status = response.status();
        if self.is(Flaw::StatusesAreErrors) && status.is_server_error() {
            return Err(Error::new(ErrorKind::ServerError, "the server failed"));
        }
        if self.is(Flaw::TheLimitFailsTheSend) && response.body().len() > LIMIT {
            return Err(maybe(ErrorKind::ValidationError, "the body is too long"));
        }
        if self.is(Flaw::ResponseHeadersComeOnce) {
            let last = response.headers().get_all("set-cookie").iter().next_back().cloned();
            if let Some(last) = last {
                response.headers_mut().insert("set-cookie", last);
            }
        }
        let bodiless = *method == Method::HEAD || status == StatusCode::NO_CONTENT;
        let flaw = self.flaw;
        Ok(response.map(|body| {
            let pieces = if bodiless {
                vec![]
            } else {
                body.chunks(10_000).map(Bytes::copy_from_slice).collect()
            };
            Body::stream(Pieces(flaw, VecDeque::from(pieces), End::Whole, 0))
        }))
    }

    async fn go(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        let _one = match self.is(Flaw::OneAtATime) {
            true => Some(self.one.lock().await),
            false => None,
        };
        let late = || Error::new(ErrorKind::Timeout, "no answer in time");
        let end = call.context().deadline();
        if end.is_some_and(|end| end <= Instant::now()) && !self.is(Flaw::LateCallsAreSent) {
            return Err(late().with_happened(Happened::No));
        }
        let cancel = call.context().cancel().cloned();
        let mut again = Again(
            self.is(Flaw::RepeatsWhenDropped)
                .then(|| (Arc::clone(&self.hub), call.payload().clone())),
        );
        let exchange = self.exchange(call.into_payload());
        let answer = tokio::select! {
            biased;
            () = gone(cancel), if !self.is(Flaw::IgnoresCancels) => {
                Err(maybe(ErrorKind::Cancelled, "the caller gave up"))
            }
            answer = exchange => answer,
            () = over(end), if !self.is(Flaw::IgnoresDeadlines) => Err(late()),
        };
        again.0 = None;
        answer
    }
}

async fn gone(cancel: Option<Cancel>) {
    match cancel {
        Some(cancel) => cancel.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn over(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Sends twice when it is dropped armed.
struct Again(Option<(Arc<Hub>, Request<Bytes>)>);

impl Drop for Again {
    fn drop(&mut self) {
        if let Some((hub, request)) = self.0.take() {
            drop(hub.take(request.clone()));
            drop(hub.take(request));
        }
    }
}

impl Http for NaiveHttp {
    fn send<'s, 'a>(
        &'s self,
        call: Call<Request<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        if self.is(Flaw::BeginsUnpolled) {
            drop(self.hub.take(call.payload().clone()));
        }
        Box::pin(self.go(call))
    }
}
