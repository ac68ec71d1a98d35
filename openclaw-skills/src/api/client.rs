//! `Api`: an HTTP API at one address, in one version.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use openclaw_core::{
    Error, ErrorKind, Result,
    http::{Http, IDEMPOTENCY_KEY},
    middleware::stack::Resilience,
    skill::SkillManifest,
};

use super::{
    authorize::Authorize, base::Base, etag::ETags, exchange::Exchange, request::header_value,
    resilient::Resilient, signed::Signed, wire::Wire,
};
use crate::{SkillCx, address::for_credentials};

/// Where an API wants to read its version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionIn {
    /// In this header.
    Header(HeaderName),
    /// As the first segment of every path.
    Path,
    /// Nowhere: it has one version, which is only named.
    Nowhere,
}

/// An HTTP API at one address, in one version. Cheap to clone.
///
/// Everything goes through the [`Http`] port it is given, which has the sockets, the TLS and the
/// egress rules. From the outside in, a request passes the host's stack, the credentials, the
/// conditional read, and the port.
///
/// | setting | unless said otherwise |
/// |---|---|
/// | [`authorize`](ApiBuilder::authorize) | no credentials |
/// | [`resilience`](ApiBuilder::resilience) | one try, no limits |
/// | [`keyed`](ApiBuilder::keyed) | no idempotency key is sent: a `POST` is never repeated in doubt |
/// | [`pinned_by`](ApiBuilder::pinned_by), [`version`](ApiBuilder::version) | no version is asked for |
/// | [`remember`](ApiBuilder::remember) | nothing is read conditionally |
/// | [`anonymous`](ApiBuilder::anonymous) | without known credentials nothing is remembered |
/// | [`max_response`](ApiBuilder::max_response) | 4 MiB |
///
/// ```
/// use std::time::Duration;
/// use openclaw_core::{SkillId, skill::SkillManifest};
/// use openclaw_skills::api::{Api, VersionIn};
/// # use openclaw_core::{Call, Result, http::{Body, Http}};
/// # #[derive(Debug)]
/// # struct Port;
/// # #[async_trait::async_trait]
/// # impl Http for Port {
/// #     async fn send(&self, _: Call<http::Request<bytes::Bytes>>) -> Result<http::Response<Body>> {
/// #         Ok(http::Response::new(Body::full("")))
/// #     }
/// # }
///
/// let manifest = SkillManifest::new(SkillId::new("refund.create")?, "1.0.0").api("shop", "2026-07");
/// let place = VersionIn::Header(http::HeaderName::from_static("x-api-version"));
/// let api = Api::builder("shop", "https://shop.test/api")?
///     .pinned_by(&manifest, place.clone())?
///     .keyed(Duration::from_secs(24 * 60 * 60))
///     .build(Port)?;
/// assert_eq!((api.system(), api.version()), ("shop", Some("2026-07")));
///
/// let other = Api::builder("crm", "https://crm.test")?.pinned_by(&manifest, place);
/// assert!(other.unwrap_err().to_string().contains("refund.create"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    system: Arc<str>,
    base: Base,
    version: Option<Arc<str>>,
    headers: HeaderMap,
    keys: Option<(HeaderName, Duration)>,
    http: Arc<dyn Http>,
}

/// Makes an [`Api`].
#[derive(Clone, Debug)]
#[must_use = "end it with `build`"]
pub struct ApiBuilder {
    system: Arc<str>,
    base: Base,
    version: Option<(Arc<str>, VersionIn)>,
    headers: HeaderMap,
    keys: Option<(HeaderName, Duration)>,
    authorize: Option<Arc<dyn Authorize>>,
    resilience: Option<Resilience>,
    remembered: usize,
    anonymous: bool,
    max_response: usize,
}

impl Api {
    /// Starts the API of this system at this address: `https://crm.example/api`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the address is none, or holds credentials, a query or dots.
    pub fn builder(system: impl Into<Arc<str>>, base: &str) -> Result<ApiBuilder> {
        Ok(ApiBuilder {
            system: system.into(),
            base: Base::parse(base)?,
            version: None,
            headers: HeaderMap::new(),
            keys: None,
            authorize: None,
            resilience: None,
            remembered: 0,
            anonymous: false,
            max_response: 4 << 20,
        })
    }

    /// Begins the requests of one skill call.
    #[must_use]
    pub fn exchange(&self, cx: &SkillCx) -> Exchange {
        Exchange::new(self.clone(), cx.context().clone(), cx.key().cloned())
    }

    /// The name of the system behind it.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.0.system
    }

    /// The version that is asked for.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    pub(super) fn base(&self) -> &Base {
        &self.0.base
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The header of idempotency keys, and how long they are remembered there.
    pub(super) fn keys(&self) -> Option<&(HeaderName, Duration)> {
        self.0.keys.as_ref()
    }

    pub(super) fn http(&self) -> &Arc<dyn Http> {
        &self.0.http
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("system", &self.0.system)
            .field("version", &self.0.version)
            .finish_non_exhaustive()
    }
}

impl ApiBuilder {
    /// Asks for the version that a skill's manifest pins, here.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: it pins none of this system.
    pub fn pinned_by(self, manifest: &SkillManifest, place: VersionIn) -> Result<Self> {
        let pinned = manifest.api.as_ref().filter(|api| api.system == self.system);
        let missing = || {
            let message = "the skill's manifest pins no version of this system's API: use `api`";
            let error = Error::new(ErrorKind::ValidationError, message);
            error.with("skill", &manifest.id).with("system", &self.system)
        };
        let version = Arc::clone(&pinned.ok_or_else(missing)?.version);
        Ok(self.version(version, place))
    }

    /// Asks for this version, here.
    pub fn version(mut self, version: impl Into<Arc<str>>, place: VersionIn) -> Self {
        self.version = Some((version.into(), place));
        self
    }

    /// Sets a header of every request, such as `user-agent`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the value can't stand in a header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self> {
        self.headers.insert(name, header_value(value)?);
        Ok(self)
    }

    /// Says that it honours the `Idempotency-Key` header, and how long it remembers a key.
    ///
    /// Only then keys are sent, and a `POST` is repeated after a doubt.
    pub fn keyed(self, retention: Duration) -> Self {
        self.keyed_by(HeaderName::from_static(IDEMPOTENCY_KEY), retention)
    }

    /// As [`keyed`](Self::keyed), with a header of another name.
    pub fn keyed_by(mut self, header: HeaderName, retention: Duration) -> Self {
        self.keys = Some((header, retention));
        self
    }

    /// Has every request signed, right before it is sent.
    ///
    /// Credentials go over `https`, or stay on this machine: [`build`](Self::build) refuses an
    /// address where they would be read on their way.
    pub fn authorize(mut self, authorize: impl Authorize) -> Self {
        self.authorize = Some(Arc::new(authorize));
        self
    }

    /// Sends through the stack of its host: timeouts, retry, rate limit, breaker.
    ///
    /// The rate limit learns what the API says of its own: by `Retry-After`, `RateLimit` and
    /// `X-RateLimit-*` headers, and by the throttling of GraphQL answers.
    pub fn resilience(mut self, resilience: Resilience) -> Self {
        self.resilience = Some(resilience);
        self
    }

    /// Remembers answers with an `ETag`, so many bytes of them. It asks whether they changed.
    ///
    /// What is remembered belongs to one tenant and one credential. So nothing is where no
    /// credential is known: neither by [`authorize`](Self::authorize), nor because the API is
    /// [`anonymous`](Self::anonymous). A port that signs by itself does not count: who it signs
    /// for is not seen here.
    pub const fn remember(mut self, bytes: usize) -> Self {
        self.remembered = bytes;
        self
    }

    /// Says that the API answers everybody of a tenant the same: nobody signs, the port neither.
    ///
    /// Without credentials, only then answers are [remembered](Self::remember).
    pub const fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// The longest answer, in bytes.
    pub const fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = bytes;
        self
    }

    /// The API, behind this port.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the version can't stand in a header, or in a path (`..` would lead to
    /// another), or requests are signed and the address is plain HTTP to another machine.
    pub fn build(self, http: impl Http) -> Result<Api> {
        let mut http: Arc<dyn Http> = Arc::new(Wire::new(Arc::new(http), self.max_response));
        if self.remembered > 0 {
            http = Arc::new(ETags::new(http, self.remembered, self.anonymous));
        }
        if let Some(authorize) = self.authorize {
            for_credentials(self.base.origin(), "the API")?;
            http = Arc::new(Signed::new(http, authorize));
        }
        if let Some(resilience) = self.resilience {
            http = Arc::new(Resilient::new(http, resilience));
        }
        let (mut base, mut headers) = (self.base, self.headers);
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        match &self.version {
            Some((version, VersionIn::Header(name))) => {
                headers.insert(name.clone(), header_value(version)?);
            }
            Some((version, VersionIn::Path)) => {
                base = base.within(version).map_err(|e| e.with("system", &self.system))?;
            }
            Some((_, VersionIn::Nowhere)) | None => {}
        }
        let version = self.version.map(|(version, _)| version);
        Ok(Api(Arc::new(Inner {
            system: self.system,
            base,
            version,
            headers,
            keys: self.keys,
            http,
        })))
    }
}
