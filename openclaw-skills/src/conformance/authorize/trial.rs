//! A way to sign and its remote, and the steps that laws are made of.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use openclaw_core::{Context, Result, TenantId};
use tokio::time::timeout;

use super::{AuthorizeHarness, AuthorizePeer};
use crate::api::{Authorize, Credential};

/// Where the requests of these laws go.
pub(super) const ADDRESS: &str = "https://api.law.test:8443/a%20b/c?x=1&x=2&y=%26";

/// A way to sign under trial, with the remote that reads the signatures.
pub struct Trial<'a> {
    harness: &'a dyn AuthorizeHarness,
    auth: Box<dyn Authorize>,
    peer: Box<dyn AuthorizePeer>,
    /// How long something may take that must come.
    soon: Duration,
    /// How long it is quiet between two troubles: who sees many at once may rather fail than loop.
    calm: Duration,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial({:?})", self.auth)
    }
}

/// What a law needs.
#[derive(Clone, Copy)]
pub(super) enum Need {
    Nothing,
    Counted,
    Empty,
    Hidden,
    Silent,
    Stranger,
}

impl<'a> Trial<'a> {
    /// Puts a new one of this harness on trial.
    pub async fn new(harness: &'a dyn AuthorizeHarness) -> Self {
        let (auth, peer) = harness.fresh().await;
        let (soon, calm) = match harness.real_time() {
            true => (Duration::from_secs(20), Duration::ZERO),
            false => (Duration::from_secs(3_600), Duration::from_secs(60)),
        };
        Self { harness, auth, peer, soon, calm }
    }

    pub(super) fn missing(&self, need: Need) -> Option<&'static str> {
        let (met, what) = match need {
            Need::Nothing => (true, ""),
            Need::Counted => (self.peer.asked().is_some(), "questions that are counted"),
            Need::Empty => (self.peer.can_be_empty(), "a lack of credentials"),
            Need::Hidden => (!self.harness.in_the_query(), "credentials outside the query"),
            Need::Silent => (self.peer.can_be_silent(), "silence"),
            Need::Stranger => (self.harness.stranger().is_some(), "a tenant of its own"),
        };
        (!met).then_some(what)
    }

    pub(super) fn auth(&self) -> &dyn Authorize {
        &*self.auth
    }

    pub(super) fn peer(&self) -> &dyn AuthorizePeer {
        &*self.peer
    }

    pub(super) fn stranger(&self) -> TenantId {
        self.harness.stranger().expect("a stranger")
    }

    pub(super) fn asked(&self) -> u64 {
        self.peer.asked().expect("questions are counted")
    }

    pub(super) const fn soon(&self) -> Duration {
        self.soon
    }

    pub(super) fn context(&self) -> Context {
        Context::new(self.harness.tenant())
    }

    /// Signs this request for a call of its own tenant.
    pub(super) async fn sign(
        &self,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        self.sign_for(&self.context(), request, refused).await
    }

    pub(super) async fn sign_for(
        &self,
        context: &Context,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        let signed = self.auth.authorize(context, request, refused);
        timeout(self.soon, signed).await.expect("`authorize` does not answer")
    }

    /// A signed request, and the name of its credential.
    pub(super) async fn signed(&self, refused: Option<Credential>) -> (Request<Bytes>, Credential) {
        let mut request = request();
        let credential = self.sign(&mut request, refused).await.expect("credentials");
        (request, credential)
    }

    /// A request that the remote takes, and the name of its credential.
    pub(super) async fn accepted(&self, refused: Option<Credential>) -> Credential {
        let (request, credential) = self.signed(refused).await;
        assert!(self.peer.accepts(&request), "the remote refuses the request, refused={refused:?}");
        credential
    }

    /// Lets some quiet time pass.
    pub(super) async fn calm(&self) {
        tokio::time::sleep(self.calm).await;
    }

    /// A credential that is refused from now on.
    pub(super) async fn rotated(&self) -> Credential {
        let old = self.accepted(None).await;
        self.peer.rotate().await;
        old
    }
}

/// A request with something in every place.
pub(super) fn request() -> Request<Bytes> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(ADDRESS)
        .version(http::Version::HTTP_11)
        .header(CONTENT_TYPE, "application/json")
        .header("x-law", "one")
        .header("x-law", "two")
        .extension(1042_u32);
    request.body(Bytes::from_static(b"{\"qty\":1}")).expect("a request")
}
