//! A request as it came.

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

/// A request that a [`StubServer`](super::StubServer) has read whole.
#[derive(Clone, Debug)]
pub struct Received {
    pub(super) connection: u64,
    pub(super) at: Instant,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) rule: Option<usize>,
    pub(super) effect: bool,
}

impl Received {
    /// The method, as it was written.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, still percent-encoded, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// What stands behind the first `?`, still percent-encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The headers in order. Names are as they were written; other bytes than UTF-8 show as `�`.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body, put together if it came in chunks.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as JSON; `None` when it is none.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// On which connection it came; the first is 1.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// When its last byte was read.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Did a rule fit it?
    #[must_use]
    pub const fn is_matched(&self) -> bool {
        self.rule.is_some()
    }

    /// Did it have an effect?
    #[must_use]
    pub const fn had_effect(&self) -> bool {
        self.effect
    }
}
