//! One error for the whole gateway.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use super::{
    kind::{ErrorKind, Happened},
    refusal::Refusal,
};

/// A `Result` whose error is [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every seam: boxed, classified, free of payloads and secrets.
///
/// `Display` is one line for operators. [`Error::public`] is what a stranger may read. `Debug`
/// names a foreign cause without quoting it; `source()` gives it. None of them may hold a payload, a token or a header value: that is the duty of whoever
/// writes the message.
///
/// ```
/// use openclaw_core::{Error, ErrorKind, Happened};
///
/// let e = Error::new(ErrorKind::Timeout, "no answer from the shop").with("order", "1042");
/// assert_eq!(e.kind().code(), "TIMEOUT");
/// assert_eq!(e.happened(), Happened::Maybe, "a timeout never proves anything");
/// assert_eq!(e.to_string(), "TIMEOUT: no answer from the shop (order=1042)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    happened: Happened,
    exhausted: bool,
    retry_after: Option<Duration>,
    message: Cow<'static, str>,
    public: Option<String>,
    context: Vec<(&'static str, String)>,
    refusal: Option<Refusal>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message is for operators.
    ///
    /// `happened` starts as the careful default of the kind: `No` where the kind itself
    /// says that nothing was sent (refusals, validation, not found), otherwise `Maybe`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            happened: kind.usually_happened(),
            exhausted: false,
            retry_after: None,
            message: message.into(),
            public: None,
            context: Vec::new(),
            refusal: None,
            source: None,
        }))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the side effect happened.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.0.happened
    }

    /// The earliest time a repeat makes sense, from now.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// True when an inner layer has spent its attempts: outer layers must not retry.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.0.exhausted
    }

    /// The operator's message, without kind and context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What a stranger may read: the public message, or the kind in plain words.
    #[must_use]
    pub fn public(&self) -> &str {
        self.0.public.as_deref().unwrap_or_else(|| self.0.kind.public_default())
    }

    /// The refusal, when a layer of this process answered the call itself.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_ref()
    }

    /// The context pairs, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(k, v)| (*k, v.as_str()))
    }

    /// Adds a context pair; never a payload or a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Says whether the effect happened.
    #[must_use]
    pub fn with_happened(mut self, happened: Happened) -> Self {
        self.0.happened = happened;
        self
    }

    /// Says when a repeat makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Sets what a stranger may read.
    #[must_use]
    pub fn with_public(mut self, message: impl Into<String>) -> Self {
        self.0.public = Some(message.into());
        self
    }

    /// Names the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error for somebody else who waits for it; its cause stays here.
    pub(crate) fn duplicate(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner {
            kind: inner.kind,
            happened: inner.happened,
            exhausted: inner.exhausted,
            retry_after: inner.retry_after,
            message: inner.message.clone(),
            public: inner.public.clone(),
            context: inner.context.clone(),
            refusal: inner.refusal.clone(),
            source: None,
        }))
    }

    /// Marks the attempts as spent.
    #[must_use]
    pub fn exhausted(mut self) -> Self {
        self.0.exhausted = true;
        self
    }

    /// Says that an earlier try of the same call may have happened.
    ///
    /// A surely happened effect stays so.
    #[must_use]
    pub fn in_doubt(mut self) -> Self {
        if self.0.happened == Happened::No {
            self.0.happened = Happened::Maybe;
        }
        self.0.refusal = self.0.refusal.map(Refusal::in_doubt);
        self
    }

    /// May a caller repeat this call without knowing more about it?
    ///
    /// True when the kind is transient, nothing happened, and no inner layer gave up.
    #[must_use]
    pub fn is_safe_to_retry(&self) -> bool {
        self.0.kind.is_transient() && self.0.happened == Happened::No && !self.0.exhausted
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.kind)?;
        match &self.0.refusal {
            Some(refusal) => write!(f, "{refusal}")?,
            None => f.write_str(&self.0.message)?,
        }
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            let open = if i == 0 { " (" } else { ", " };
            write!(f, "{open}{key}={value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [happened={:?}", self.0.happened)?;
        if let Some(after) = self.0.retry_after {
            write!(f, ", retry_after={after:?}")?;
        }
        if self.0.exhausted {
            f.write_str(", exhausted")?;
        }
        f.write_str("]")?;
        match self.source() {
            None => Ok(()),
            Some(source) => match source.downcast_ref::<Self>() {
                Some(ours) => write!(f, "\n  caused by: {ours:?}"),
                // A foreign text may quote a payload: whoever wants it asks for `source()`.
                None => f.write_str("\n  caused by: a foreign error"),
            },
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.reason();
        let mut e = Self::new(reason.kind(), reason.text()).with_happened(refusal.happened());
        e.0.retry_after = refusal.retry_after();
        e.0.exhausted = refusal.is_exhausted();
        e.0.refusal = Some(refusal);
        e
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|e| &**e as &(dyn StdError + 'static))
    }
}

/// Turns a foreign error into [`Error`] at the `?`, saying what is known of the effect.
///
/// ```
/// use openclaw_core::{ErrorKind, Happened, OrFail};
///
/// fn connect() -> openclaw_core::Result<()> {
///     Err(std::io::Error::other("refused")).before_send(ErrorKind::Unavailable)
/// }
/// assert_eq!(connect().unwrap_err().happened(), Happened::No);
/// ```
pub trait OrFail<T> {
    /// The call may have reached the other side: `happened` is `Maybe`.
    ///
    /// # Errors
    /// The foreign error, as the source of an [`Error`] of this kind.
    fn or_fail(self, kind: ErrorKind) -> Result<T>;

    /// The call surely did not reach the other side: `happened` is `No`.
    ///
    /// # Errors
    /// The foreign error, as the source of an [`Error`] of this kind.
    fn before_send(self, kind: ErrorKind) -> Result<T>;
}

impl<T, E> OrFail<T> for std::result::Result<T, E>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn or_fail(self, kind: ErrorKind) -> Result<T> {
        self.map_err(|e| lift(kind, e.into()).with_happened(Happened::Maybe))
    }

    fn before_send(self, kind: ErrorKind) -> Result<T> {
        self.map_err(|e| lift(kind, e.into()).with_happened(Happened::No))
    }
}

fn lift(kind: ErrorKind, source: Box<dyn StdError + Send + Sync>) -> Error {
    // The foreign text stays in the source chain: it may quote a payload.
    Error::new(kind, kind.public_default()).with_source(source)
}
