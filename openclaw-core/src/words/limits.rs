//! Every bound of what comes in, in one place.

use std::time::Duration;

/// What one message may cost before anything looks at its meaning.
///
/// Each bound is inclusive: a value at the limit passes, one above is refused.
///
/// ```
/// use openclaw_core::Limits;
///
/// let limits = Limits::default();
/// assert_eq!(limits.body, 1 << 20);
/// assert_eq!(limits.json_depth, 64);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request body, before it is read. 1 MiB.
    pub body: usize,
    /// Levels of nested arrays and objects. 64.
    pub json_depth: usize,
    /// Values in one JSON document, containers counted. 100,000.
    pub json_nodes: usize,
    /// Bytes of one string in a document. 256 KiB.
    pub string: usize,
    /// Headers (metadata entries) of a message. 64.
    pub headers: usize,
    /// Bytes of a header's name and value together. 8 KiB.
    pub header: usize,
    /// Time a client has to send its body. 30 s.
    pub read: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            json_depth: 64,
            json_nodes: 100_000,
            string: 256 << 10,
            headers: 64,
            header: 8 << 10,
            read: Duration::from_secs(30),
        }
    }
}
