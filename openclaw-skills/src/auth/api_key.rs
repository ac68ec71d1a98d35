//! Credentials that are one secret: API keys, Basic, Bearer.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header::AUTHORIZATION, uri::PathAndQuery};
use openclaw_core::{Context, Error, ErrorKind, Happened, Result, Secret};

use super::{base64, within};
use crate::{
    api::{Authorize, Credential},
    percent,
    secrets::{SecretRef, Secrets},
};

/// A secret that goes with each request: in a header, or in the query.
///
/// It is read at each use, so that a new key is taken up without a restart, and dropped at a 401.
///
/// ```
/// use bytes::Bytes;
/// use openclaw_core::{Context, TenantId};
/// use openclaw_skills::{api::Authorize, auth::ApiKey, secrets::{EnvSecrets, SecretRef, SecretSource, Secrets}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openclaw_core::Result<()> {
/// let env = EnvSecrets::of(|_name| Some("s3cret".to_owned()));
/// let secrets = Secrets::builder().provider(SecretSource::Env, "default", env).build()?;
/// let key = ApiKey::header(secrets, SecretRef::env("CRM_KEY")?, "x-api-key")?;
///
/// let mut request = http::Request::new(Bytes::new());
/// let context = Context::new(TenantId::new("acme").expect("a name"));
/// key.authorize(&context, &mut request, None).await?;
/// assert_eq!(request.headers()["x-api-key"], "s3cret");
/// assert!(!format!("{request:?}").contains("s3cret"), "the header is marked as sensitive");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ApiKey {
    secrets: Secrets,
    reference: SecretRef,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Header(HeaderName),
    Query(String),
    Basic { user: String },
    Bearer,
}

impl ApiKey {
    /// The secret as the value of this header.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when this is no header's name.
    pub fn header(secrets: Secrets, reference: SecretRef, name: &str) -> Result<Self> {
        let name = HeaderName::try_from(name)
            .map_err(|_odd| refuse("the header of an API key has no such name"))?;
        Ok(Self { secrets, reference, place: Place::Header(name) })
    }

    /// The secret as `Authorization: Bearer …`.
    #[must_use]
    pub const fn bearer(secrets: Secrets, reference: SecretRef) -> Self {
        Self { secrets, reference, place: Place::Bearer }
    }

    /// User and secret as `Authorization: Basic …` (RFC 7617).
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the user's name holds a colon or a control character.
    pub fn basic(secrets: Secrets, user: &str, password: SecretRef) -> Result<Self> {
        if user.contains(|c: char| c == ':' || c.is_control()) {
            return Err(refuse("the user's name holds a colon or a control character"));
        }
        let place = Place::Basic { user: user.to_owned() };
        Ok(Self { secrets, reference: password, place })
    }

    /// The secret in the query of the address. It will leak; say that you know.
    ///
    /// Addresses end up in the logs of proxies, servers and clients, in the history of browsers
    /// and in `Referer`. Take it only where the other side has no other way.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` unless `leaks` is [`Leaks::Accepted`].
    pub fn query(secrets: Secrets, reference: SecretRef, name: &str, leaks: Leaks) -> Result<Self> {
        if leaks != Leaks::Accepted {
            let message = "an API key in the query ends up in logs: use a header";
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(Self { secrets, reference, place: Place::Query(name.to_owned()) })
    }

    fn set(&self, request: &mut Request<Bytes>, secret: &Secret) -> Result<()> {
        let secret = secret.expose();
        let (name, text) = match &self.place {
            Place::Query(name) => return in_query(request, name, secret),
            Place::Header(name) => (name.clone(), Secret::new(secret)),
            Place::Bearer => (AUTHORIZATION, Secret::new(format!("Bearer {secret}"))),
            Place::Basic { user } => {
                let pair = Secret::new(format!("{user}:{secret}"));
                let text = format!("Basic {}", base64::standard(pair.expose().as_bytes()));
                (AUTHORIZATION, Secret::new(text))
            }
        };
        request.headers_mut().insert(name, sensitive(&text)?);
        Ok(())
    }
}

/// May a key be put where it is sure to leak?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a question with two answers")]
pub enum Leaks {
    /// No.
    #[default]
    Refused,
    /// Yes: the other side has no other way.
    Accepted,
}

/// A header's value that `Debug` does not show.
pub(super) fn sensitive(text: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text.expose())
        .map_err(|_quoting| refuse("the secret can't be a header: it holds a control character"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The request's address with one more pair; an earlier one of this name goes.
fn in_query(request: &mut Request<Bytes>, name: &str, secret: &str) -> Result<()> {
    let uri = request.uri();
    let name = percent::encoded(name);
    let is_it = |pair: &&str| pair.split('=').next() == Some(name.as_str());
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut query: Vec<&str> = pairs.filter(|pair| !pair.is_empty() && !is_it(pair)).collect();
    let own = format!("{name}={}", percent::encoded(secret));
    query.push(&own);
    let whole = format!("{}?{}", uri.path(), query.join("&"));
    let mut parts = uri.clone().into_parts();
    let odd = || refuse("the address can't hold the key");
    parts.path_and_query = Some(PathAndQuery::try_from(whole).map_err(|_quoting| odd())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_quoting| odd())?;
    Ok(())
}

fn refuse(message: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, message).with_happened(Happened::No)
}

#[async_trait]
impl Authorize for ApiKey {
    async fn authorize(
        &self,
        context: &Context,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        let current = async {
            let secret = self.secrets.get(&self.reference).await?;
            if refused != Some(Credential::of(&secret)) {
                return Ok(secret);
            }
            self.secrets.invalidate(&self.reference, Credential::of(&secret));
            self.secrets.get(&self.reference).await
        };
        let secret = within(context, current).await?;
        self.set(request, &secret).map_err(|e| e.with("secret", &self.reference))?;
        Ok(Credential::of(&secret))
    }
}
