//! `Answer`: what an API answered, read strictly.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use openclaw_core::{Effect, Error, ErrorKind, Happened, Limits, Result, json};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{code::is_json, etag::Revalidated};
use crate::problem::{Problem, refusal};

/// Values in one answer: a page of ten thousand records of a hundred fields.
const MAX_NODES: usize = 1_000_000;

/// What an API answered: a 2xx, its headers, its whole body.
#[derive(Clone)]
pub struct Answer {
    response: Response<Bytes>,
    effect: Effect,
    address: http::Uri,
    /// Something was done before, in the same call.
    acted: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status(), self.body().len())
    }
}

impl Answer {
    pub(super) const fn new(
        response: Response<Bytes>,
        effect: Effect,
        address: http::Uri,
        acted: bool,
    ) -> Self {
        Self { response, effect, address, acted }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Its body, as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// The tag of what was read, for [`Request::if_match`](super::Request::if_match).
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.headers().get(header::ETAG)?.to_str().ok()
    }

    /// Did the service say that it is what we had read before?
    #[must_use]
    pub fn is_revalidated(&self) -> bool {
        self.response.extensions().get::<Revalidated>().is_some()
    }

    pub(super) const fn address(&self) -> &http::Uri {
        &self.address
    }

    /// The body as JSON; nothing is `null`.
    ///
    /// # Errors
    /// `SERVER_ERROR`: it has another content type, is no JSON, or holds a key twice. What only
    /// reads has done nothing; else it may have happened.
    pub fn value(&self) -> Result<Value> {
        if self.body().is_empty() {
            return Ok(Value::Null);
        }
        let broken = |message| {
            Error::new(ErrorKind::ServerError, message)
                .with_public("the service answered in an unknown way")
                .with_happened(self.unless_pure(Happened::Maybe))
        };
        if !is_json(self.headers()) {
            return Err(broken("the service's answer is no JSON by its content type"));
        }
        let mut limits = Limits::default();
        (limits.json_nodes, limits.string) = (MAX_NODES, self.body().len());
        json::parse(self.body(), &limits).map_err(|e| {
            let place = Problem::new(&e.pointer, "", &e.reason);
            broken("the service's answer can't be read as JSON")
                .with("pointer", &place.pointer)
                .with("problem", &place.text)
        })
    }

    /// The body as this type.
    ///
    /// # Errors
    /// Those of [`value`](Self::value), or `VALIDATION_ERROR` when the answer has another shape
    /// than expected: it names the place, and never quotes the value. What was asked for has
    /// happened then, and to ask again brings the same answer.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let value = self.value()?;
        typed(&value).map_err(|e| e.with_happened(self.unless_pure(Happened::Yes)))
    }

    /// What reads does nothing. But an error of it undoes nothing that was done before.
    pub(super) fn unless_pure(&self, happened: Happened) -> Happened {
        match (self.effect, self.acted) {
            (Effect::Pure, false) => Happened::No,
            (Effect::Pure, true) => Happened::Maybe,
            _ => happened,
        }
    }
}

/// The value as this type.
pub(super) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    read(value).map_err(|problem| refusal("service's answer", &[problem]))
}

/// The value as this type, or the place where it is not.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    if let Ok(read) = T::deserialize(value) {
        return Ok(read);
    }
    // Read a second time, slowly, to learn the place.
    serde_path_to_error::deserialize(value)
        .map_err(|e| Problem::of_serde(value, e.path(), e.inner()))
}
