//! GraphQL: an operation with variables, and an answer that may be partial.

mod document;
mod fault;

use std::{fmt, sync::Arc};

use http::Method;
use openclaw_core::{Error, ErrorKind, OrFail, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use self::document::Document;
pub use self::fault::GraphqlFault;
pub(super) use self::fault::{judged, throttled};
use super::{answer::typed, request::Request};

/// A GraphQL operation with its variables.
///
/// Whether it is a query or a mutation is read from the document, so that a mutation is never
/// taken for something that only reads.
///
/// ```
/// use openclaw_skills::api::Operation;
/// use serde_json::json;
///
/// let find = Operation::new("query Find($email: String!) { customer(email: $email) { id } }")?
///     .variables(&json!({ "email": "ann@crm.test" }))?;
/// assert!(!find.mutates());
/// assert!(Operation::new("mutation { rename(id: 7) { id } }")?.mutates());
///
/// let two = "query A { a } mutation B { b }";
/// assert!(Operation::new(two).is_err(), "which one?");
/// assert!(Operation::named(two, "B")?.mutates());
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    path: Arc<str>,
    document: Arc<str>,
    name: Option<Arc<str>>,
    variables: Value,
    mutates: bool,
    step: Option<Arc<str>>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variables are somebody's data.
        f.debug_struct("Operation")
            .field("name", &self.name)
            .field("mutates", &self.mutates)
            .finish_non_exhaustive()
    }
}

impl Operation {
    /// The only operation of this document.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: it is no executable document, or has several operations.
    /// `UNSUPPORTED`: a subscription.
    pub fn new(document: impl Into<Arc<str>>) -> Result<Self> {
        Self::of(document.into(), None)
    }

    /// The operation of this name, where a document has several.
    ///
    /// # Errors
    /// As [`new`](Self::new); or there is none of this name.
    pub fn named(document: impl Into<Arc<str>>, name: &str) -> Result<Self> {
        Self::of(document.into(), Some(name))
    }

    fn of(document: Arc<str>, name: Option<&str>) -> Result<Self> {
        let found = Document::read(&document)?.operation(name)?;
        let (name, mutates) = (found.name.map(Into::into), found.mutates);
        let variables = Value::Object(Map::new());
        Ok(Self { path: "/graphql".into(), document, name, variables, mutates, step: None })
    }

    /// Sets the variables, which serde writes as an object.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: they are no object.
    pub fn variables(mut self, variables: &(impl Serialize + ?Sized)) -> Result<Self> {
        let variables = serde_json::to_value(variables).before_send(ErrorKind::ValidationError)?;
        if !variables.is_object() {
            let message = "the variables of an operation are an object";
            return Err(Error::new(ErrorKind::ValidationError, message));
        }
        self.variables = variables;
        Ok(self)
    }

    /// Sends it to this path of the API instead of `/graphql`.
    #[must_use]
    pub fn at(mut self, path: impl Into<Arc<str>>) -> Self {
        self.path = path.into();
        self
    }

    /// Names the step, where one skill call writes more than once: as [`Request::step`].
    #[must_use]
    pub fn step(mut self, name: impl Into<Arc<str>>) -> Self {
        self.step = Some(name.into());
        self
    }

    /// Is it a mutation?
    #[must_use]
    pub const fn mutates(&self) -> bool {
        self.mutates
    }

    /// The request for it, for [`Exchange::pages`](super::Exchange::pages).
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: its path can't be one.
    pub fn request(&self) -> Result<Request> {
        let path = super::path::Path::parse(&self.path)?;
        let path = path.fill(|_| {
            let message = "the path of an operation has no places";
            Err(Error::new(ErrorKind::ValidationError, message))
        })?;
        let mut body = Map::new();
        body.insert("query".to_owned(), (*self.document).into());
        body.insert("variables".to_owned(), self.variables.clone());
        if let Some(name) = &self.name {
            body.insert("operationName".to_owned(), (**name).into());
        }
        let request = Request::new(Method::POST, path).with_body(Some(Value::Object(body)));
        let request = request.marked(!self.mutates).in_graphql();
        Ok(match &self.step {
            Some(step) => request.step(Arc::clone(step)),
            None => request,
        })
    }
}

/// What an operation answered: all of it, or a part.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle both")]
pub enum Reply<T> {
    /// Everything that was asked for.
    Whole(T),
    /// Some of it; the rest failed.
    Partial {
        /// What came, with `null` where something failed.
        data: Value,
        /// What failed.
        errors: Vec<GraphqlFault>,
        /// The same as one error, which says whether the operation may have happened.
        error: Error,
    },
}

impl<T> Reply<T> {
    /// Everything, or an error.
    ///
    /// # Errors
    /// That of a partial answer: a mutation may have happened.
    pub fn whole(self) -> Result<T> {
        match self {
            Self::Whole(data) => Ok(data),
            Self::Partial { error, .. } => Err(error),
        }
    }
}

/// The answer to an operation that was judged, read.
pub(super) fn reply<T: DeserializeOwned>(
    answer: &Value,
    judged: Option<(Vec<GraphqlFault>, Error)>,
) -> Result<Reply<T>> {
    let data = answer.get("data").cloned().unwrap_or_default();
    match judged {
        None => typed(&data).map(Reply::Whole),
        Some((errors, error)) => Ok(Reply::Partial { data, errors, error }),
    }
}
