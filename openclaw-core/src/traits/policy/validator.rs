//! `Validator`: says whether a request and its answer keep their contract.

use std::sync::Arc;

/// Says whether a request and its answer keep their contract.
///
/// A port: `openclaw-skills` has one over JSON Schema. It acts on nothing, and is asked on every
/// call: what can be compiled is compiled before.
pub trait Validator<Req, Res>: Clone + Send + Sync + 'static {
    /// Looks at a request before anything is recorded or sent.
    ///
    /// # Errors
    /// The first place where it breaks the contract.
    fn request(&self, request: &Req) -> Result<(), Violation>;

    /// Looks at the answer to a request.
    ///
    /// # Errors
    /// The first place where it breaks the contract.
    fn answer(&self, answer: &Res) -> Result<(), Violation>;
}

/// Where a contract is broken, and how. Neither quotes the value that is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} at {place:?}")]
#[non_exhaustive]
pub struct Violation {
    /// The place, as a JSON pointer (RFC 6901); empty is the whole.
    pub place: Arc<str>,
    /// The rule that is broken.
    pub rule: Arc<str>,
}

impl Violation {
    /// This rule is broken at this place.
    #[must_use]
    pub fn new(place: impl Into<Arc<str>>, rule: impl Into<Arc<str>>) -> Self {
        Self { place: place.into(), rule: rule.into() }
    }
}
