//! The types of the crate `backoff`, for hosts that have it: its pauses, its errors.

use std::time::Duration;

use super::Delays;
use crate::{
    Error, ErrorKind,
    policy::{Fault, Head},
};

impl Delays {
    /// The pauses of a `backoff::backoff::Backoff`, one made for each call.
    ///
    /// Each is at most 32 s unless [`Delays::cap`] says otherwise, for its own jitter exceeds its
    /// own cap; and the deadline ends the retrying. Its `max_elapsed_time` runs on a clock that
    /// tests can't pause: prefer [`RetryLayer::within`](super::RetryLayer::within).
    ///
    /// ```
    /// use std::time::Duration;
    /// use backoff::ExponentialBackoff;
    /// use openclaw_core::middleware::{Delays, RetryLayer};
    ///
    /// let delays = Delays::backoff(ExponentialBackoff::default).cap(Duration::from_secs(5));
    /// let layer = RetryLayer::new(delays);
    /// # drop(layer);
    /// ```
    #[must_use]
    pub fn backoff<B>(make: impl Fn() -> B + Send + Sync + 'static) -> Self
    where
        B: backoff::backoff::Backoff + Send + 'static,
    {
        Self::source(Source(make))
    }
}

struct Source<F>(F);

impl<F, B> super::DelaySource for Source<F>
where
    F: Fn() -> B + Send + Sync + 'static,
    B: backoff::backoff::Backoff + Send + 'static,
{
    fn begin(&self) -> Box<dyn FnMut() -> Option<Duration> + Send> {
        let mut backoff = (self.0)();
        backoff.reset();
        Box::new(move || backoff.next_backoff())
    }
}

impl Head {
    /// Says in the words of `backoff` whether this call may be tried again behind this error.
    ///
    /// `Transient`, with the Retry-After, where [`RetryLayer`](super::RetryLayer) would try
    /// again; else `Permanent`. A refusal of our own layers is `Permanent`, as it is there.
    ///
    /// ```
    /// use openclaw_core::{Effect, Error, ErrorKind, policy::Head};
    ///
    /// let timeout = || Error::new(ErrorKind::Timeout, "no answer");
    /// let read = Head::new(Effect::Pure).backoff(timeout());
    /// assert!(matches!(read, backoff::Error::Transient { .. }));
    /// let pay = Head::new(Effect::AtMostOnce).backoff(timeout());
    /// assert!(matches!(pay, backoff::Error::Permanent(_)), "it may have happened");
    /// ```
    pub fn backoff<E: Fault>(&self, error: E) -> backoff::Error<E> {
        let means = error.assess();
        if super::decide::would_repeat(self, &means) {
            backoff::Error::Transient { err: error, retry_after: means.retry_after }
        } else {
            backoff::Error::Permanent(error)
        }
    }
}

/// `Permanent` is marked exhausted, so that nobody tries again; `Transient` keeps its Retry-After.
///
/// A `Transient` error of a kind that nobody would repeat, such as `NOT_FOUND`, becomes the
/// source of an `UNAVAILABLE` one: whoever said `Transient` knew better. Whether the effect
/// happened stays what the error says: `backoff` knows nothing of it.
impl<E: Into<Self>> From<backoff::Error<E>> for Error {
    fn from(error: backoff::Error<E>) -> Self {
        match error {
            backoff::Error::Permanent(e) => e.into().exhausted(),
            backoff::Error::Transient { err, retry_after } => {
                let e = transient(err.into());
                match retry_after.or(e.retry_after()) {
                    Some(after) => e.with_retry_after(after),
                    None => e,
                }
            }
        }
    }
}

fn transient(e: Error) -> Error {
    if e.kind().is_transient() {
        return e;
    }
    let happened = e.happened();
    Error::new(ErrorKind::Unavailable, "it may go better later")
        .with_happened(happened)
        .with_source(e)
}
