//! One error for the whole gateway: what happened, and whether the effect did.

use std::{error::Error as StdError, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A `Result` whose error is [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The other side asked for fewer requests.
    RateLimited,
    /// The thing that was named does not exist.
    NotFound,
    /// The credentials are missing or wrong.
    AuthenticationFailed,
    /// The caller is known, and not allowed.
    PermissionDenied,
    /// The input breaks its contract.
    ValidationError,
    /// The request contradicts the present state.
    Conflict,
    /// No answer came in time.
    Timeout,
    /// The other side could not be reached, or said it can't serve now.
    Unavailable,
    /// The other side failed.
    ServerError,
    /// A circuit breaker refused the call.
    CircuitOpen,
    /// A bound of this process is reached.
    Overloaded,
    /// A person has to approve first.
    ApprovalRequired,
    /// The same request was seen before.
    Duplicate,
    /// The caller gave up.
    Cancelled,
    /// This implementation does not offer the operation.
    Unsupported,
    /// Nothing better is known.
    Unclassified,
}

impl ErrorKind {
    /// The stable code, for machines: `RATE_LIMITED`, `NOT_FOUND`, …
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RateLimited => "RATE_LIMITED",
            Self::NotFound => "NOT_FOUND",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::Conflict => "CONFLICT",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::ServerError => "SERVER_ERROR",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::Overloaded => "OVERLOADED",
            Self::ApprovalRequired => "APPROVAL_REQUIRED",
            Self::Duplicate => "DUPLICATE",
            Self::Cancelled => "CANCELLED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unclassified => "UNCLASSIFIED",
        }
    }

    /// What a stranger may be told when no public message was set.
    const fn public_default(self) -> &'static str {
        match self {
            Self::RateLimited => "too many requests",
            Self::NotFound => "not found",
            Self::AuthenticationFailed => "authentication failed",
            Self::PermissionDenied => "not allowed",
            Self::ValidationError => "the request is not valid",
            Self::Conflict => "the request contradicts the present state",
            Self::Timeout => "no answer in time",
            Self::Unavailable => "not available now",
            Self::CircuitOpen | Self::Overloaded => "overloaded, try again later",
            Self::ApprovalRequired => "an approval is required",
            Self::Duplicate => "already seen",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "not supported",
            Self::ServerError | Self::Unclassified => "internal error",
        }
    }

    /// May the same request do better later?
    ///
    /// Whether it is *safe* to repeat is another question: ask [`Error::happened`].
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Timeout
                | Self::Unavailable
                | Self::ServerError
                | Self::CircuitOpen
                | Self::Overloaded
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Did the side effect happen?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a host must handle all three answers")]
pub enum Happened {
    /// Surely not: the call may be repeated.
    No,
    /// Surely: the call must not be repeated.
    Yes,
    /// Nobody knows: reconcile or park, never guess.
    Maybe,
}

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
    message: String,
    public: Option<String>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message is for operators.
    ///
    /// `happened` starts as the careful default of the kind: `No` where the kind itself
    /// says that nothing was sent (refusals, validation, not found), otherwise `Maybe`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let happened = match kind {
            ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::ServerError
            | ErrorKind::Cancelled
            | ErrorKind::Unclassified => Happened::Maybe,
            _ => Happened::No,
        };
        Self(Box::new(Inner {
            kind,
            happened,
            exhausted: false,
            retry_after: None,
            message: message.into(),
            public: None,
            context: Vec::new(),
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

    /// Marks the attempts as spent.
    #[must_use]
    pub fn exhausted(mut self) -> Self {
        self.0.exhausted = true;
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
        write!(f, "{}: {}", self.0.kind, self.0.message)?;
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
