//! What a server says of its own rate limit, in the dialects there are.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::{
    fmt::{rfc2822, strtime},
    tz::TimeZone,
};

use crate::{Clock, Timestamp};

/// What a server says of its rate limit.
///
/// | header | read as |
/// |---|---|
/// | `RateLimit: "p";r=5;t=10` | 5 calls left for 10 s (draft-ietf-httpapi-ratelimit-headers-10) |
/// | `RateLimit-Policy: "p";q=9;w=60` | the time of a `p` that came without `t`; other units than calls don't count |
/// | `RateLimit: remaining=5, reset=10` | the same in draft 7 |
/// | `RateLimit-Remaining`, `-Reset` | its older drafts |
/// | `X-RateLimit-Remaining`, `-Reset`, `-Reset-After` | what most servers say; `X-Rate-Limit-…`, too |
/// | `X-RateLimit-Remaining-Requests`, `-Reset-Requests` | as model providers say it; `…-Tokens` when none is left |
/// | `anthropic-ratelimit-requests-remaining`, `-reset` | the same; `…-tokens-…` when none is left |
///
/// A reset is seconds from now, with a fraction or without; a date in seconds when over 1e9, in
/// milliseconds when over 1e12; `6m0s`; or an RFC 3339 date. Dates are measured from the
/// response's own `Date`, where there is one.
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

/// Pairs of headers, and whether they count calls.
const PAIRS: [(&str, &str, bool); 9] = [
    ("ratelimit-remaining", "ratelimit-reset", true),
    ("x-ratelimit-remaining", "x-ratelimit-reset-after", true),
    ("x-ratelimit-remaining", "x-ratelimit-reset", true),
    ("x-rate-limit-remaining", "x-rate-limit-reset", true),
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", true),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", false),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", true),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", false),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", false),
];

impl Advice {
    /// So many calls for so long.
    #[must_use]
    pub const fn new(remaining: u64, reset_in: Duration) -> Self {
        Self { remaining, reset_in }
    }

    /// Reads the headers of a response; of several, the one that leaves most time a call counts.
    ///
    /// What can't be read is nothing. A `Retry-After` is not advice: see [`retry_after`].
    #[must_use]
    pub fn read(headers: &HeaderMap, clock: &dyn Clock) -> Option<Self> {
        let pairs = PAIRS
            .iter()
            .filter_map(|(remaining, reset, calls)| {
                pair(headers, (remaining, reset), clock).filter(|a| *calls || a.remaining == 0)
            })
            .max_by_key(Self::tightness);
        [structured(headers), pairs].into_iter().flatten().max_by_key(Self::tightness)
    }

    fn tightness(&self) -> (u128, Duration) {
        let each = self.reset_in.as_nanos().checked_div(u128::from(self.remaining));
        (each.unwrap_or(u128::MAX), self.reset_in)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The items of a list: those of all lines of this name, in their order (RFC 9110, 5.3).
///
/// No more than [`ITEMS`] are looked at.
fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split(line, ',')).take(ITEMS)
}

fn now(headers: &HeaderMap, clock: &dyn Clock) -> Timestamp {
    text(headers, header::DATE.as_str()).and_then(date).unwrap_or_else(|| clock.now())
}

fn pair(
    headers: &HeaderMap,
    (remaining, reset): (&str, &str),
    clock: &dyn Clock,
) -> Option<Advice> {
    // Several policies in one field: the first is the nearest.
    let first =
        |name| text(headers, name).map(|value| value.split([',', ';']).next().unwrap_or("").trim());
    let remaining = first(remaining)?.parse::<u64>().ok()?;
    Some(Advice::new(remaining, reset_in(first(reset)?, || now(headers, clock))?))
}

fn reset_in(text: &str, now: impl Fn() -> Timestamp) -> Option<Duration> {
    const DATE: f64 = 1e9;
    const DATE_IN_MS: f64 = 1e12;
    let Ok(number) = text.parse::<f64>() else {
        return written(text)
            .or_else(|| Timestamp::parse_rfc3339(text).map(|date| date.since(now())));
    };
    if number < DATE {
        return Duration::try_from_secs_f64(number).ok();
    }
    let seconds = if number < DATE_IN_MS { number } else { number / 1_000.0 };
    let date = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = u64::try_from(date.as_millis()).ok()?;
    Some(Timestamp::from_millis(millis).since(now()))
}

/// `6m0s`, `1.5s`, `20ms`.
fn written(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, more) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = more.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(more.len());
        let (unit, more) = more.split_at(end);
        let seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        rest = more;
    }
    (!text.is_empty()).then_some(sum)
}

/// Splits where `at` stands outside of strings (`"…"`) and bytes (`:…:`).
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut within, mut escaped) = (None, false);
    text.split(move |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match within {
            Some('"') if c == '\\' => escaped = true,
            Some(end) if c == end => within = None,
            Some(_) => {}
            None if c == '"' || c == ':' => within = Some(c),
            None => return c == at,
        }
        false
    })
    .map(str::trim)
}

/// One item of a structured list: its value, and the numbers and words behind it.
struct Item<'a>(&'a str);

impl<'a> Item<'a> {
    fn name(&self) -> &'a str {
        split(self.0, ';').next().unwrap_or("").trim_matches('"')
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let mut parts = split(self.0, ';').skip(1).filter_map(|part| part.split_once('='));
        parts.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    fn counts_calls(&self) -> bool {
        self.text("qu").is_none_or(|unit| unit.trim_matches('"') == "requests")
    }
}

/// `RateLimit: "default";r=50;t=30, "daily";r=9`: each policy with what is left and for how long.
fn structured(headers: &HeaderMap) -> Option<Advice> {
    let read = |item: &str| {
        let item = Item(item);
        let policy = items(headers, "ratelimit-policy")
            .map(Item)
            .find(|policy| policy.name() == item.name());
        if !item.counts_calls() || policy.as_ref().is_some_and(|policy| !policy.counts_calls()) {
            return None;
        }
        let seconds = item.number("t").or_else(|| policy.and_then(|policy| policy.number("w")))?;
        Some(Advice::new(item.number("r")?, Duration::from_secs(seconds)))
    };
    let tightest = items(headers, "ratelimit").filter_map(read).max_by_key(Advice::tightness);
    tightest.or_else(|| dictionary(headers))
}

/// The most items that are looked at: no field is worth more time.
const ITEMS: usize = 16;

/// `RateLimit: limit=100, remaining=50, reset=30`.
fn dictionary(headers: &HeaderMap) -> Option<Advice> {
    let number = |name: &str| {
        let mut members = items(headers, "ratelimit").filter_map(|item| item.split_once('='));
        members.find(|(key, _)| key.trim() == name)?.1.trim().parse::<u64>().ok()
    };
    Some(Advice::new(number("remaining")?, Duration::from_secs(number("reset")?)))
}

/// How long a server asks us to wait, by `retry-after-ms` or `Retry-After`.
///
/// The first counts where it can be read. `Retry-After` is in seconds or a date (RFC 9110, 10.2.3),
/// in any of the three forms there (5.6.7). A date is measured from the
/// response's own `Date`, so that the two clocks need not agree; without one, from `clock`.
/// What can't be read, and a date that has passed, is `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let millis = text(headers, "retry-after-ms").and_then(|ms| ms.parse::<f64>().ok());
    if let Some(wait) = millis.and_then(|ms| Duration::try_from_secs_f64(ms / 1_000.0).ok()) {
        return Some(wait);
    }
    let value = text(headers, header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(value)?;
    Some(until.since(now(headers, clock))).filter(|wait| !wait.is_zero())
}

/// Reads an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`, or in the two forms of old.
fn date(text: &str) -> Option<Timestamp> {
    const RFC_850: &str = "%A, %d-%b-%y %H:%M:%S GMT";
    const ASCTIME: &str = "%a %b %e %H:%M:%S %Y";
    let in_utc = |format| {
        let date = strtime::parse(format, text).and_then(|parts| parts.to_datetime());
        date.and_then(|date| date.to_zoned(TimeZone::UTC))
    };
    let date = rfc2822::parse(text).or_else(|_| in_utc(RFC_850)).or_else(|_| in_utc(ASCTIME));
    let millis = date.ok()?.timestamp().as_millisecond();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}
