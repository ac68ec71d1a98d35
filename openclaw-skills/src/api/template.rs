//! `Template`: a request with places for the fields of a typed input.

use std::{borrow::Cow, collections::BTreeSet};

use http::{HeaderName, Method};
use openclaw_core::{Error, ErrorKind, OrFail, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    path::Path,
    request::{Request, header_value},
};

/// A request with places for a typed input's fields. Checked once, filled for each call.
///
/// A field goes where its name stands: into the path, a header, or the query. The rest becomes
/// the query of a `GET`, `HEAD` or `DELETE`, and the JSON body of everything else. No value leaves its place:
/// everything but letters, digits and `-._~` is percent-encoded, and what would lead to
/// another path (`..`, `%2e%2e`) or end a header (CR, LF) is refused.
///
/// ```
/// use openclaw_core::ErrorKind;
/// use openclaw_skills::api::Template;
///
/// #[derive(serde::Serialize)]
/// struct Refund<'a> {
///     order: &'a str,
///     amount_cents: u32,
///     reason: Option<&'a str>,
/// }
///
/// let refund = Template::post("/orders/{order}/refunds")?.query("reason");
/// let request = refund.fill(&Refund { order: "a/7?", amount_cents: 500, reason: Some("late & cold") })?;
/// assert_eq!(request.path(), "/orders/a%2F7%3F/refunds");
/// assert_eq!(request.query_text(), "reason=late%20%26%20cold");
/// assert_eq!(request.body(), Some(&serde_json::json!({ "amount_cents": 500 })));
///
/// let out = refund.fill(&Refund { order: "../admin", amount_cents: 500, reason: None });
/// assert_eq!(out.unwrap_err().kind(), ErrorKind::ValidationError);
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    method: Method,
    path: Path,
    query: BTreeSet<Box<str>>,
    headers: Vec<(HeaderName, Box<str>)>,
    reads: bool,
}

impl Template {
    /// A `GET` of this path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn get(path: &str) -> Result<Self> {
        Self::new(Method::GET, path)
    }

    /// A `POST` to this path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn post(path: &str) -> Result<Self> {
        Self::new(Method::POST, path)
    }

    /// A `PUT` to this path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn put(path: &str) -> Result<Self> {
        Self::new(Method::PUT, path)
    }

    /// A `PATCH` of this path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn patch(path: &str) -> Result<Self> {
        Self::new(Method::PATCH, path)
    }

    /// A `DELETE` of this path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn delete(path: &str) -> Result<Self> {
        Self::new(Method::DELETE, path)
    }

    /// Any method on this path: `/orders/{order}` has one place.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: the path holds what may not stand in one.
    pub fn new(method: Method, path: &str) -> Result<Self> {
        let path = Path::parse(path)?;
        Ok(Self { method, path, query: BTreeSet::new(), headers: Vec::new(), reads: false })
    }

    /// Puts this field into the query, also where the rest is the body.
    #[must_use]
    pub fn query(mut self, field: &str) -> Self {
        self.query.insert(field.into());
        self
    }

    /// Puts this field into a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, field: &str) -> Self {
        self.headers.push((name, field.into()));
        self
    }

    /// Says that it only reads, whatever its method: a search by `POST`.
    #[must_use]
    pub const fn reads(mut self) -> Self {
        self.reads = true;
        self
    }

    /// The request for this input, which serde writes as an object, or as nothing.
    ///
    /// What is `null` is left out of query and headers.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, and nothing was sent: a place has no value, or one that can't stand
    /// there. The error names the field.
    pub fn fill(&self, input: &(impl Serialize + ?Sized)) -> Result<Request> {
        let written = serde_json::to_value(input).before_send(ErrorKind::ValidationError)?;
        let mut fields = match written {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => return Err(unfit("", "the input of a request is an object")),
        };
        let path = self.path.fill(|name| match fields.get(name) {
            Some(value) => text(name, value),
            None => Err(unfit(name, "the path needs it, and the input has none")),
        })?;
        let mut request = Request::new(self.method.clone(), path);
        for (name, field) in &self.headers {
            let value = fields.get(&**field).filter(|value| !value.is_null());
            if let Some(value) = value {
                let value =
                    header_value(&text(field, value)?).map_err(|e| e.with("field", field))?;
                request = request.with_header(name.clone(), value);
            }
        }
        self.places().for_each(|name| drop(fields.remove(name)));
        let bodiless = matches!(self.method, Method::GET | Method::HEAD | Method::DELETE);
        let mut body = Map::new();
        for (name, value) in fields {
            if bodiless || self.query.contains(&*name) {
                request = asked(request, &name, &value)?;
            } else {
                body.insert(name, value);
            }
        }
        let body = (!body.is_empty()).then_some(Value::Object(body));
        Ok(request.with_body(body).marked(self.reads))
    }

    fn places(&self) -> impl Iterator<Item = &str> {
        self.path.places().chain(self.headers.iter().map(|(_, field)| &**field))
    }
}

/// The request with this field in its query. A list is one pair for each of its items.
fn asked(request: Request, name: &str, value: &Value) -> Result<Request> {
    match value {
        Value::Null => Ok(request),
        Value::Array(items) => items
            .iter()
            .try_fold(request, |request, item| Ok(request.query(name, &text(name, item)?))),
        value => Ok(request.query(name, &text(name, value)?)),
    }
}

/// A text, a number or a truth value, as an address holds it.
fn text<'v>(name: &str, value: &'v Value) -> Result<Cow<'v, str>> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(flag) => Ok(flag.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(unfit(name, "only a text, a number or a truth value can stand there"))
        }
    }
}

fn unfit(name: &str, why: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, why).with("field", name)
}
