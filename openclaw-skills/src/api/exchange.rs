//! `Exchange`: the requests of one skill call.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use openclaw_core::{
    Call, Context, Digest, Effect, Error, ErrorKind, Happened, IdempotencyKey, OrFail, Result,
};
use serde::de::DeserializeOwned;

use super::{
    answer::Answer,
    authorize::check_live,
    base::Base,
    client::Api,
    graphql::{Operation, Reply, judged, reply},
    outcome::outcome,
    pages::{PageLimits, Pages, Paging},
    request::{Place, Request, header_value},
    wire::Graphql,
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The requests of one skill call, with its tenant, deadline, trace and key.
///
/// It knows whether something was done already, or is on its way: the error of another request
/// never says that nothing happened then.
///
/// What only reads has surely done nothing when it fails. Where effects are withheld, nothing is
/// sent at all: a shadow costs the remote no request, no token and no place within its limits.
///
/// At an API that honours keys, one key is for one request: it may be sent again, but another one
/// under the same key is refused, because the answer would be that of the first. Name the
/// [`step`](Request::step) of each write where there are several.
#[derive(Debug)]
pub struct Exchange {
    api: Api,
    context: Context,
    key: Option<IdempotencyKey>,
    /// Requests that did something, or may have, or still may.
    acts: AtomicUsize,
    /// What was sent under each key.
    sent: Mutex<BTreeMap<IdempotencyKey, Digest>>,
}

impl Exchange {
    pub(super) const fn new(api: Api, context: Context, key: Option<IdempotencyKey>) -> Self {
        Self { api, context, key, acts: AtomicUsize::new(0), sent: Mutex::new(BTreeMap::new()) }
    }

    /// Makes one request; the answer is a 2xx.
    ///
    /// # Errors
    /// Those of [`outcome`], of the port, of the stack, and of whoever signs. `UNSUPPORTED`:
    /// effects are withheld. `VALIDATION_ERROR`: another request was sent under its key. All of
    /// them name the system.
    pub async fn send(&self, request: Request) -> Result<Answer> {
        self.noted(&request, self.exchanged(&request)).await
    }

    /// Makes one request, and reads its answer as this type.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) and of [`Answer::read`].
    pub async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let answer = self.send(request).await?;
        answer.read().map_err(|e| e.with("system", self.api.system()))
    }

    /// The records of a list that comes in pages.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the request does not only read.
    pub fn pages<T: DeserializeOwned>(
        &self,
        request: Request,
        paging: Paging,
        limits: PageLimits,
    ) -> Result<Pages<'_, T>> {
        Pages::new(self, request, paging, limits)
    }

    /// Has a GraphQL operation run.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); those that a [`GraphqlFault`](super::GraphqlFault) lists,
    /// when no data came with them. A mutation that was run and has errors may have happened.
    pub async fn graphql<T: DeserializeOwned>(&self, operation: &Operation) -> Result<Reply<T>> {
        let request = operation.request()?;
        let drifted = |e: Error| match e.kind() {
            ErrorKind::ValidationError if operation.mutates() => e.with_happened(Happened::Yes),
            _ => e,
        };
        let replied = async {
            let value = self.exchanged(&request).await?.value()?;
            let judged = judged(&value, operation.mutates())?;
            let judged = judged.map(|(errors, e)| (errors, self.behind(e, operation.mutates())));
            reply(&value, judged).map_err(drifted)
        };
        self.noted(&request, replied).await
    }

    pub(super) fn base(&self) -> &Base {
        self.api.base()
    }

    /// An error, behind everything that was done before.
    pub(super) fn told(&self, e: Error) -> Error {
        self.behind(e, false)
    }

    /// The same, where one of the acts is the error's own.
    fn behind(&self, e: Error, own: bool) -> Error {
        if self.acts.load(Ordering::Relaxed) > usize::from(own) { e.in_doubt() } else { e }
    }

    /// Remembers whether this request may have done something, even if its caller gives up.
    async fn noted<T>(
        &self,
        request: &Request,
        outcome: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let acts = request.effect(None) != Effect::Pure;
        self.acts.fetch_add(usize::from(acts), Ordering::Relaxed);
        let outcome = outcome.await;
        if acts && outcome.as_ref().is_err_and(|e| e.happened() == Happened::No) {
            self.acts.fetch_sub(1, Ordering::Relaxed);
        }
        outcome.map_err(|e| self.told(e).with("system", self.api.system()))
    }

    async fn exchanged(&self, request: &Request) -> Result<Answer> {
        check_live(&self.context)?;
        let effect = self.effect(request);
        let built = self.built(request)?;
        let address = built.uri().clone();
        let mut call = Call::http_declared(self.context.clone(), built, effect);
        if let Some(key) = self.key_of(request)? {
            self.check_key(&key, request, call.payload())?;
            call = call.with_key(key);
        }
        let response = self.whole(call, effect).await?;
        let acted = self.acts.load(Ordering::Relaxed) > 0;
        Ok(Answer::new(response, effect, address, acted))
    }

    /// Sends it, reads the whole answer, and says what it means.
    async fn whole(
        &self,
        call: Call<http::Request<Bytes>>,
        effect: Effect,
    ) -> Result<Response<Bytes>> {
        let reads = |e: Error| {
            if effect == Effect::Pure { e.with_happened(Happened::No) } else { e }
        };
        let (head, body) = self.api.http().send(call).await.map_err(reads)?.into_parts();
        // It is whole already.
        let body = body.collect(usize::MAX).await.map_err(reads)?;
        let response = Response::from_parts(head, body);
        outcome(effect, &response)?;
        Ok(response)
    }

    /// What the request may do.
    fn effect(&self, request: &Request) -> Effect {
        let keyed = self.key.as_ref().and(self.api.keys()).map(|(_, retention)| *retention);
        request.effect(keyed)
    }

    /// The key of the call, or of this step of it. None for what only reads.
    fn key_of(&self, request: &Request) -> Result<Option<IdempotencyKey>> {
        let Some(key) = self.key.as_ref().filter(|_| request.effect(None) != Effect::Pure) else {
            return Ok(None);
        };
        let Some(step) = request.step_name() else { return Ok(Some(key.clone())) };
        let made = IdempotencyKey::builder("step").part(key.as_str()).part(&**step).build();
        made.map(Some).before_send(ErrorKind::ValidationError)
    }

    /// Notes what is sent under this key: a remote would answer another request as it did the first.
    fn check_key(
        &self,
        key: &IdempotencyKey,
        request: &Request,
        built: &http::Request<Bytes>,
    ) -> Result<()> {
        if self.api.keys().is_none() {
            return Ok(());
        }
        let now = fingerprint(request, built);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if *sent.entry(key.clone()).or_insert(now) == now {
            return Ok(());
        }
        let message = "another request of this call was sent under the same key: name its step";
        Err(Error::new(ErrorKind::ValidationError, message).with_happened(Happened::No))
    }

    fn built(&self, request: &Request) -> Result<http::Request<Bytes>> {
        let uri = match request.place() {
            Place::Path(path) => self.base().uri(path, request.query_text())?,
            Place::Link(uri) => uri.clone(),
        };
        let mut headers = self.api.headers().clone();
        let body = match request.body() {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                serde_json::to_vec(body).before_send(ErrorKind::ValidationError)?
            }
            None => Vec::new(),
        };
        for (name, value) in request.headers() {
            headers.insert(name.clone(), value.clone());
        }
        if let (Some((name, _)), Some(key)) = (self.api.keys(), self.key_of(request)?) {
            headers.insert(name.clone(), header_value(key.as_str())?);
        }
        if let Some(trace) = self.context.trace() {
            headers.insert(TRACEPARENT, header_value(&trace.to_string())?);
        }
        let mut built = http::Request::new(Bytes::from(body));
        *built.method_mut() = request.method().clone();
        *built.uri_mut() = uri;
        *built.headers_mut() = headers;
        if request.is_graphql() {
            built.extensions_mut().insert(Graphql);
        }
        Ok(built)
    }
}

/// What makes two requests the same: method, address, body, and the headers of their own.
fn fingerprint(request: &Request, built: &http::Request<Bytes>) -> Digest {
    let uri = built.uri().to_string();
    let headers = request.headers().iter();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.sort_unstable();
    let mut parts: Vec<&[u8]> =
        vec![built.method().as_str().as_bytes(), uri.as_bytes(), built.body().as_ref()];
    parts.extend(headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]));
    Digest::of("openclaw.exchange.request", parts)
}
