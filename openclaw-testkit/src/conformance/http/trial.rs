//! A client and its server, and the steps that laws are made of.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use openclaw_core::{
    Call, Context, Result, TenantId,
    http::{Body, Http},
};
use tokio::time::timeout;

use super::{HttpHarness, HttpPeer, Meets};

/// An HTTP client under trial, with a server.
pub struct Trial<'a> {
    harness: &'a dyn HttpHarness,
    client: Box<dyn Http>,
    peer: Box<dyn HttpPeer>,
    soon: Duration,
    quiet: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.client)
    }
}

/// What a client must declare, or its harness offer, for a law to apply.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    AnswersRedirects,
    FollowsRedirects,
    MaxResponse,
    Unreachable,
}

impl<'a> Trial<'a> {
    /// Puts a new client of this harness on trial.
    pub async fn new(harness: &'a dyn HttpHarness) -> Self {
        let (client, peer) = harness.fresh().await;
        let (soon, quiet) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::from_millis(200)),
            false => (Duration::from_secs(3_600), Duration::from_secs(60)),
        };
        Self { harness, client, peer, soon, quiet }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::AnswersRedirects => (!self.harness.follows_redirects(), "redirects as answers"),
            Need::FollowsRedirects => {
                let follows = self.harness.follows_redirects();
                (follows && self.peer.elsewhere().is_some(), "redirects to another origin")
            }
            Need::MaxResponse => (self.harness.max_response().is_some(), "a longest response"),
            Need::Unreachable => (self.peer.nobody().is_some(), "a place where nobody listens"),
        };
        (!met).then_some(what)
    }

    pub(super) fn client(&self) -> &dyn Http {
        &*self.client
    }

    pub(super) fn max_response(&self) -> usize {
        self.harness.max_response().expect("a longest response")
    }

    pub(super) fn unreachable(&self) -> Option<String> {
        self.peer.nobody()
    }

    pub(super) fn elsewhere(&self) -> String {
        self.peer.elsewhere().expect("another origin")
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    pub(super) async fn quiet(&self) {
        tokio::time::sleep(self.quiet).await;
    }

    pub(super) async fn meets(&self, next: Meets) {
        self.peer.script(next).await;
    }

    pub(super) async fn heard(&self) -> Vec<Request<Bytes>> {
        self.peer.heard().await
    }

    /// The only request that was read.
    pub(super) async fn only(&self) -> Request<Bytes> {
        let mut heard = self.heard().await;
        assert_eq!(heard.len(), 1, "requests of one send");
        heard.remove(0)
    }

    /// A call of this path on the server.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Call<Request<Bytes>> {
        Self::call_at(&self.peer.origin(), method, path, body)
    }

    pub(super) fn call_at(
        origin: &str,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Call<Request<Bytes>> {
        let request = Request::builder().method(method).uri(format!("{origin}{path}"));
        let context = Context::new(TenantId::new("law").expect("a tenant"));
        Call::http(context, request.body(body.into()).expect("a request"))
    }

    pub(super) async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        timeout(self.soon, self.client.send(call)).await.expect("`send` does not answer")
    }

    pub(super) async fn get(&self, path: &str) -> Result<Response<Body>> {
        self.send(self.call(Method::GET, path, "")).await
    }

    /// Sends, and reads the whole body.
    pub(super) async fn read(&self, call: Call<Request<Bytes>>) -> Result<Bytes> {
        let response = self.send(call).await?;
        self.collect(response.into_body()).await
    }

    pub(super) async fn collect(&self, body: Body) -> Result<Bytes> {
        timeout(self.soon, body.collect(1 << 24)).await.expect("the body does not end")
    }
}
