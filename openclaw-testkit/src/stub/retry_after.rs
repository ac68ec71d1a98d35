//! The forms in which servers say when to come back, sound ones and unsound ones.

use std::time::{Duration, UNIX_EPOCH};

use openclaw_core::Timestamp;

/// What a server says about when to come back.
///
/// ```
/// use openclaw_testkit::{env::EPOCH, stub::RetryAfter};
///
/// let (name, value) = RetryAfter::Date(EPOCH).header();
/// assert_eq!((name, value.as_str()), ("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT"));
/// assert_eq!(RetryAfter::Millis(1_500).header().0, "retry-after-ms");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAfter {
    /// `retry-after: 120`.
    Secs(u64),
    /// `retry-after: Thu, 01 Jan 2026 00:00:00 GMT`, in whole seconds; up to the year 9999.
    Date(Timestamp),
    /// `retry-after-ms: 1500`, as some model providers send it.
    Millis(u64),
    /// `retry-after: -5`.
    Negative,
    /// More seconds than fit into 64 bits.
    Huge,
    /// A date that was long ago.
    Past,
    /// Neither a number nor a date.
    Malformed,
    /// `retry-after` with this value.
    Raw(String),
}

impl RetryAfter {
    /// The name and the value of the header.
    #[must_use]
    pub fn header(&self) -> (&'static str, String) {
        const NAME: &str = "retry-after";
        match self {
            Self::Secs(secs) => (NAME, secs.to_string()),
            Self::Date(at) => (NAME, date(*at)),
            Self::Millis(ms) => ("retry-after-ms", ms.to_string()),
            Self::Negative => (NAME, "-5".to_owned()),
            Self::Huge => (NAME, "99999999999999999999999".to_owned()),
            Self::Past => (NAME, "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
            Self::Malformed => (NAME, "soon, we hope".to_owned()),
            Self::Raw(value) => (NAME, value.clone()),
        }
    }
}

fn date(at: Timestamp) -> String {
    // 9999-12-31T23:59:59Z, behind which there is no form for it.
    const LAST: u64 = 253_402_300_799_000;
    let ms = Duration::from_millis(at.as_millis().min(LAST));
    httpdate::fmt_http_date(UNIX_EPOCH + ms)
}
