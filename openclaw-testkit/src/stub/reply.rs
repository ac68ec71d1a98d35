//! What a stub answers: a status, headers, a body, and what goes wrong with them.

use std::time::Duration;

use bytes::Bytes;
use openclaw_core::Timestamp;
use serde_json::Value;

use super::{fault::Fault, retry_after::RetryAfter};

/// One answer of a [`StubServer`](super::StubServer).
///
/// With a 2xx status it counts as an effect where the method is not a safe one;
/// [`effect`](Self::effect) says otherwise.
#[derive(Clone, Debug)]
#[must_use = "a rule answers it: `.reply(…)`"]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) chunk: Option<usize>,
    pub(super) interim: Vec<(u16, Vec<(String, String)>)>,
    pub(super) delay: Duration,
    pub(super) fault: Option<Fault>,
    effect: Option<bool>,
}

/// An empty answer with this status.
pub const fn status(code: u16) -> Reply {
    Reply {
        status: code,
        headers: Vec::new(),
        body: Bytes::new(),
        chunk: None,
        interim: Vec::new(),
        delay: Duration::ZERO,
        fault: None,
        effect: None,
    }
}

/// A 200 with this JSON.
pub fn ok(json: impl Into<Value>) -> Reply {
    status(200).json(json)
}

/// A redirect: 301, 302, 303, 307 or 308, to wherever `location` says.
pub fn redirect(code: u16, location: impl Into<String>) -> Reply {
    status(code).header("location", location)
}

impl Reply {
    /// Adds a header; nothing is checked, and a name may come twice.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Answers with this JSON.
    pub fn json(self, json: impl Into<Value>) -> Self {
        self.header("content-type", "application/json").body(json.into().to_string())
    }

    /// Answers with this text.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Answers with these bytes.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks of this size, at least 1, without a `Content-Length`.
    pub fn chunked(mut self, bytes: usize) -> Self {
        self.chunk = Some(bytes.max(1));
        self
    }

    /// Waits before the answer; an effect is had before the wait.
    pub const fn delay(mut self, by: Duration) -> Self {
        self.delay = by;
        self
    }

    /// Says when to come back, in any form.
    pub fn retry_after(self, when: &RetryAfter) -> Self {
        let (name, value) = when.header();
        self.header(name, value)
    }

    /// `retry-after` in seconds.
    pub fn retry_after_secs(self, secs: u64) -> Self {
        self.retry_after(&RetryAfter::Secs(secs))
    }

    /// `retry-after` as an HTTP date.
    pub fn retry_after_date(self, at: Timestamp) -> Self {
        self.retry_after(&RetryAfter::Date(at))
    }

    /// `retry-after-ms` in milliseconds.
    pub fn retry_after_ms(self, ms: u64) -> Self {
        self.retry_after(&RetryAfter::Millis(ms))
    }

    /// `x-ratelimit-limit`, `-remaining` and `-reset`, the last in seconds from now.
    pub fn rate_limit(self, limit: u64, remaining: u64, reset_secs: u64) -> Self {
        self.header("x-ratelimit-limit", limit.to_string())
            .header("x-ratelimit-remaining", remaining.to_string())
            .header("x-ratelimit-reset", reset_secs.to_string())
    }

    /// Sends an interim answer with this status first, such as 102.
    pub fn interim(mut self, code: u16) -> Self {
        self.interim.push((code, Vec::new()));
        self
    }

    /// Sends a 103 with this `link` first.
    pub fn early_hints(mut self, link: impl Into<String>) -> Self {
        self.interim.push((103, vec![("link".to_owned(), link.into())]));
        self
    }

    /// Lets the answer go wrong.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Counts, or does not count, as an effect, whatever status and method say.
    pub const fn effect(mut self, had: bool) -> Self {
        self.effect = Some(had);
        self
    }

    /// Does a request that gets this answer have its effect?
    pub(super) fn has_effect(&self, method: &str) -> bool {
        let unsafe_method = !super::is_safe(method);
        self.effect.unwrap_or_else(|| unsafe_method && (200..300).contains(&self.status))
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        let had = (fault != Fault::LoseAnswer).then_some(false);
        Self { effect: had, ..status(200).fault(fault) }
    }
}
