//! An HTTP client that signs what it sends, for one origin.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use openclaw_core::{
    Call, Error, ErrorKind, Happened, Result,
    http::{Body, Http},
};

use crate::{
    address::for_credentials,
    api::{Authorize, Signed},
};

/// The [`Http`] port with credentials, for one origin.
///
/// A request to any other origin is refused, so that no address that somebody else wrote can
/// carry the credentials away; don't let the client below follow redirects. An answer of 401 says
/// that the request was not served: the credentials are read anew, and when they are others the
/// request is made once more. A second 401 is the answer. Where effects are withheld, nothing is
/// sent.
///
/// ```
/// use bytes::Bytes;
/// use openclaw_core::{Call, Context, ErrorKind, Result, TenantId, http::{Body, Http}};
/// use openclaw_skills::{auth::{ApiKey, Authorized}, secrets::{EnvSecrets, SecretRef, SecretSource, Secrets}};
///
/// #[derive(Debug)]
/// struct Shop;
///
/// #[async_trait::async_trait]
/// impl Http for Shop {
///     async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<http::Response<Body>> {
///         assert_eq!(call.payload().headers()["authorization"], "Bearer s3cret");
///         Ok(http::Response::new(Body::full("42")))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let env = EnvSecrets::of(|_name| Some("s3cret".to_owned()));
/// let secrets = Secrets::builder().provider(SecretSource::Env, "default", env).build()?;
/// let key = ApiKey::bearer(secrets, SecretRef::env("SHOP_KEY")?);
/// let shop = Authorized::new(Shop, key, "https://shop.test")?;
///
/// let cx = Context::new(TenantId::new("acme")?);
/// let get = |uri| http::Request::get(uri).body(Bytes::new());
/// let answer = shop.send(Call::http(cx.clone(), get("https://shop.test/orders")?)).await?;
/// assert_eq!(answer.into_body().collect(10).await?, "42");
///
/// let elsewhere = shop.send(Call::http(cx, get("https://shop.test.evil.test/")?)).await;
/// assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::PermissionDenied);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Authorized {
    signed: Signed,
    origin: Uri,
}

impl Authorized {
    /// Signs what goes to this origin (`https://host` or `https://host:port`) by this client.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when this is no origin, or plain HTTP to another machine.
    pub fn new(http: impl Http, auth: impl Authorize, origin: &str) -> Result<Self> {
        let origin = for_credentials(origin, "the origin")?;
        Ok(Self { signed: Signed::new(Arc::new(http), Arc::new(auth)), origin })
    }

    fn is_ours(&self, uri: &Uri) -> bool {
        let port = |uri: &Uri| uri.port_u16().or_else(|| default_port(uri.scheme_str()?));
        let same = |a: Option<&str>, b: Option<&str>| {
            a.zip(b).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain
            && same(uri.scheme_str(), self.origin.scheme_str())
            && same(uri.host(), self.origin.host())
            && port(uri) == port(&self.origin)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[async_trait]
impl Http for Authorized {
    async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        if !self.is_ours(call.payload().uri()) {
            let message = "these credentials are for another origin";
            return Err(Error::new(ErrorKind::PermissionDenied, message)
                .with("origin", &self.origin)
                .with_happened(Happened::No));
        }
        self.signed.send(call).await
    }
}
