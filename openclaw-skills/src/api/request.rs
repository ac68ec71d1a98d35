//! `Request`: what is asked of an API, before address, key and credentials.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use openclaw_core::{Effect, Error, ErrorKind, Result};
use serde_json::Value;

use crate::percent::encode;

/// One request to an API; made by a [`Template`](super::Template).
///
/// Address, version, key, trace and credentials are added when it is sent.
#[derive(Clone)]
#[must_use = "an `Exchange` sends it"]
pub struct Request {
    method: Method,
    path: Place,
    query: String,
    headers: HeaderMap,
    body: Option<Value>,
    reads: bool,
    graphql: bool,
    step: Option<Arc<str>>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A path of the API, encoded.
    Path(String),
    /// An address that the API gave, and that was found to be its own.
    Link(http::Uri),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids, headers and body are somebody's data.
        write!(f, "Request({})", self.method)
    }
}

impl Request {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path: Place::Path(path),
            query: String::new(),
            headers: HeaderMap::new(),
            body: None,
            reads: false,
            graphql: false,
            step: None,
        }
    }

    /// Adds a pair to the query; both sides are percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        encode(name, &mut self.query);
        self.query.push('=');
        encode(value, &mut self.query);
        self
    }

    /// Sets a header.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the value can't stand in a header.
    pub fn header(self, name: HeaderName, value: &str) -> Result<Self> {
        let value = header_value(value)?;
        Ok(self.with_header(name, value))
    }

    /// Lets a write happen only to the version that this tag was read with.
    ///
    /// Somebody else's change in between is a `CONFLICT`, and nothing happened.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the tag is none.
    pub fn if_match(self, etag: &str) -> Result<Self> {
        self.header(header::IF_MATCH, etag)
    }

    /// Names the step, where one skill call writes more than once.
    ///
    /// Each step has an idempotency key of its own, made of the call's key and this name.
    pub fn step(mut self, name: impl Into<Arc<str>>) -> Self {
        self.step = Some(name.into());
        self
    }

    /// Its method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Its path below the API's address, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.path {
            Place::Path(path) => path,
            Place::Link(uri) => uri.path(),
        }
    }

    /// Its query, percent-encoded.
    #[must_use]
    pub fn query_text(&self) -> &str {
        match &self.path {
            Place::Path(_) => &self.query,
            Place::Link(uri) => uri.query().unwrap_or_default(),
        }
    }

    /// Its JSON body.
    #[must_use]
    pub const fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// What it may do, at an API that honours keys so long, or never.
    pub(super) fn effect(&self, keyed: Option<std::time::Duration>) -> Effect {
        if self.reads || self.method.is_safe() {
            return Effect::Pure;
        }
        match keyed {
            _ if self.method.is_idempotent() => Effect::AtLeastOnce,
            Some(retention) => Effect::Keyed { retention },
            None => Effect::AtMostOnce,
        }
    }

    pub(super) const fn place(&self) -> &Place {
        &self.path
    }

    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) const fn is_graphql(&self) -> bool {
        self.graphql
    }

    pub(super) const fn step_name(&self) -> Option<&Arc<str>> {
        self.step.as_ref()
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn with_body(mut self, body: Option<Value>) -> Self {
        self.body = body;
        self
    }

    pub(super) const fn marked(mut self, reads: bool) -> Self {
        self.reads = reads;
        self
    }

    pub(super) const fn in_graphql(mut self) -> Self {
        self.graphql = true;
        self
    }

    /// The same request to an address that the API gave.
    pub(super) fn at(mut self, uri: http::Uri) -> Self {
        self.path = Place::Link(uri);
        self
    }

    /// The same request with one value of its query replaced.
    pub(super) fn with_query(mut self, name: &str, value: &str) -> Self {
        let mut key = String::new();
        encode(name, &mut key);
        let others = self.query.split('&').filter(|pair| {
            !pair.is_empty() && pair.split_once('=').is_none_or(|(name, _)| name != key)
        });
        self.query = others.collect::<Vec<_>>().join("&");
        self.query(name, value)
    }

    pub(super) const fn body_mut(&mut self) -> &mut Option<Value> {
        &mut self.body
    }
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue> {
    let odd = |e| {
        Error::new(ErrorKind::ValidationError, "the value can't stand in a header").with_source(e)
    };
    HeaderValue::from_str(text).map_err(odd)
}
