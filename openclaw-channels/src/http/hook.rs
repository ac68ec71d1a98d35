//! One source of signed hooks.

use hmac::Hmac;
use openclaw_core::{Error, ErrorKind, Result, Secret};
use sha2::Sha256;

use super::{problem::Problem, secrets, signature};

/// A sender of signed requests to `POST /hooks/{source}`.
///
/// There is one scheme, and no unsigned one: see [`sign`](super::sign). Give the new secret with
/// [`Hook::also`] while senders move over, then take the old one out.
///
/// ```
/// use openclaw_channels::http::Hook;
/// use openclaw_core::Secret;
///
/// let hook = Hook::new("shop", Secret::new("correct horse battery staple"))
///     .also(Secret::new("the next secret, while both are in use"))
///     .event_id("/id");
/// assert_eq!(hook.source(), "shop");
/// ```
#[derive(Clone, Debug)]
pub struct Hook {
    source: String,
    secrets: Vec<Secret>,
    event_id: Option<String>,
}

impl Hook {
    /// A source that signs with this secret, at least 24 random bytes.
    #[must_use]
    pub fn new(source: impl Into<String>, secret: Secret) -> Self {
        Self { source: source.into(), secrets: vec![secret], event_id: None }
    }

    /// A further secret that is accepted: for rotation.
    #[must_use]
    pub fn also(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Where the body tells the event's own id, as a JSON pointer: `"/id"`.
    ///
    /// A sender that repeats an event signs it anew, under a new nonce. With the id the
    /// repeat is known as one; without it every signed request is a new message.
    #[must_use]
    pub fn event_id(mut self, pointer: impl Into<String>) -> Self {
        self.event_id = Some(pointer.into());
        self
    }

    /// The last part of its path.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn role(&self) -> String {
        format!("hook {}", self.source)
    }

    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The hook, ready to verify.
    pub(super) fn check(&self) -> Result<CheckedHook> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let invalid = |message: &'static str| Error::new(ErrorKind::ValidationError, message);
        if !(1..=64).contains(&self.source.len()) || !self.source.bytes().all(fits) {
            return Err(invalid("a hook's source has 1 to 64 characters of A-Z a-z 0-9 . _ -"));
        }
        if self.event_id.as_ref().is_some_and(|pointer| !pointer.starts_with('/')) {
            return Err(
                invalid("an event id's JSON pointer begins with /").with("hook", &self.source)
            );
        }
        for secret in &self.secrets {
            secrets::check(&self.role(), secret)?;
        }
        let keys: Vec<_> = self.secrets.iter().filter_map(signature::key).collect();
        Ok(CheckedHook {
            source: self.source.as_str().into(),
            keys,
            event_id: self.event_id.clone(),
        })
    }
}

/// A hook whose settings are good.
#[derive(Debug)]
pub(super) struct CheckedHook {
    pub(super) source: std::sync::Arc<str>,
    keys: Vec<Hmac<Sha256>>,
    event_id: Option<String>,
}

impl CheckedHook {
    /// Was this body signed by the source?
    pub(super) fn verify(
        &self,
        presented: &signature::Presented,
        body: &[u8],
    ) -> Result<(), Problem> {
        if presented.fits(&self.keys, body) {
            Ok(())
        } else {
            Err(Problem::unauthorized("the signature does not fit"))
        }
    }

    /// The event's own id, when the source tells one.
    pub(super) fn event_id_of(&self, body: &serde_json::Value) -> Result<Option<String>, Problem> {
        let Some(pointer) = &self.event_id else { return Ok(None) };
        let id = match body.pointer(pointer) {
            Some(serde_json::Value::String(id)) => id.clone(),
            Some(serde_json::Value::Number(id)) => id.to_string(),
            _ => return Err(Problem::invalid(pointer, "the event's id must be here")),
        };
        let visible = id.bytes().all(|b| b.is_ascii_graphic());
        if visible && (1..=255).contains(&id.len()) {
            Ok(Some(id))
        } else {
            Err(Problem::invalid(pointer, "an id has 1 to 255 visible characters"))
        }
    }
}
