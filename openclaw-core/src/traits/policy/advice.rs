//! What a server says of its own rate limit, in the dialects there are.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::{Clock, Timestamp};

/// What a server says of its rate limit.
///
/// | header | read as |
/// |---|---|
/// | `RateLimit: "p";r=5;t=10` | 5 calls left for 10 s (draft-ietf-httpapi-ratelimit-headers) |
/// | `RateLimit-Remaining`, `RateLimit-Reset` | its older drafts; seconds from now |
/// | `X-RateLimit-Remaining`, `X-RateLimit-Reset` | seconds from now, or a date when over 1e9 |
/// | `Retry-After`, `retry-after-ms` | nothing left until then |
///
/// ```
/// use std::time::Duration;
/// use http::HeaderMap;
/// use openclaw_core::{SystemClock, policy::Advice};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("ratelimit", r#""default";r=5;t=10"#.parse()?);
/// let advice = Advice::read(&headers, &SystemClock::default());
/// assert_eq!(advice, Some(Advice::new(5, Duration::from_secs(10))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// Calls that are left.
    pub remaining: u64,
    /// For how long they have to do.
    pub reset_in: Duration,
}

impl Advice {
    /// So many calls for so long.
    #[must_use]
    pub const fn new(remaining: u64, reset_in: Duration) -> Self {
        Self { remaining, reset_in }
    }

    /// Reads the headers of a response; the tightest advice counts.
    ///
    /// What can't be read is nothing.
    #[must_use]
    pub fn read(headers: &HeaderMap, clock: &dyn Clock) -> Option<Self> {
        let waits = retry_after(headers, clock).map(|wait| Self::new(0, wait));
        let pair = |remaining, reset| pair(headers, remaining, reset, clock);
        [
            waits,
            structured(headers),
            pair("ratelimit-remaining", "ratelimit-reset"),
            pair("x-ratelimit-remaining", "x-ratelimit-reset"),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|advice| (advice.remaining, std::cmp::Reverse(advice.reset_in)))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn pair(headers: &HeaderMap, remaining: &str, reset: &str, clock: &dyn Clock) -> Option<Advice> {
    // Several policies in one field: the first is the nearest.
    let first =
        |name| text(headers, name).map(|value| value.split([',', ';']).next().unwrap_or(""));
    let remaining = first(remaining)?.trim().parse::<u64>().ok()?;
    let reset = first(reset)?.trim().parse::<f64>().ok()?;
    Some(Advice::new(remaining, reset_in(reset, clock)?))
}

/// Seconds from now, or a date in seconds, or in milliseconds.
fn reset_in(reset: f64, clock: &dyn Clock) -> Option<Duration> {
    const DATE: f64 = 1e9;
    const DATE_IN_MS: f64 = 1e12;
    if reset < DATE {
        return Duration::try_from_secs_f64(reset).ok();
    }
    let seconds = if reset < DATE_IN_MS { reset } else { reset / 1_000.0 };
    let date = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = u64::try_from(date.as_millis()).ok()?;
    Some(Timestamp::from_millis(millis).since(clock.now()))
}

/// `RateLimit: "default";r=50;t=30, "daily";r=9`: each policy with what is left and for how long.
fn structured(headers: &HeaderMap) -> Option<Advice> {
    let parameter = |policy: &str, name: &str| {
        let mut parts = policy.split(';').skip(1).filter_map(|part| part.split_once('='));
        parts.find(|(key, _)| key.trim() == name).and_then(|(_, v)| v.trim().parse::<u64>().ok())
    };
    let read = |policy: &str| {
        let (r, t) = (parameter(policy, "r")?, parameter(policy, "t")?);
        Some(Advice::new(r, Duration::from_secs(t)))
    };
    text(headers, "ratelimit")?
        .split(',')
        .filter_map(read)
        .min_by_key(|advice| (advice.remaining, std::cmp::Reverse(advice.reset_in)))
}

/// How long a server asks us to wait, by `retry-after-ms` or `Retry-After`.
///
/// `Retry-After` is in seconds or a date (RFC 9110, 10.2.3). A date is measured from the
/// response's own `Date`, so that the two clocks need not agree; without one, from `clock`.
/// What can't be read, and a date that has passed, is `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1_000.0).ok();
    }
    let value = text(header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(value)?;
    let now = text(header::DATE.as_str()).and_then(date).unwrap_or_else(|| clock.now());
    Some(until.since(now)).filter(|wait| !wait.is_zero())
}

/// Reads an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    u64::try_from(date.as_millisecond()).ok().map(Timestamp::from_millis)
}
