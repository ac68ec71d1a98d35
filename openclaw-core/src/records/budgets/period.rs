//! Periods and their windows: fixed, in UTC, by the store's time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How long a limit counts before it begins anew.
///
/// Windows are fixed: they begin with the minute, hour, day or month in UTC, by the store's time.
///
/// ```
/// use openclaw_core::{Timestamp, records::Period};
///
/// let noon = Timestamp::parse_rfc3339("2026-02-28T12:00:00Z").expect("a date");
/// let window = Period::Month.window(noon);
/// assert_eq!(window.from.to_string(), "2026-02-01T00:00:00.000Z");
/// assert_eq!(window.until.to_string(), "2026-03-01T00:00:00.000Z");
/// assert_eq!(Period::Ever.window(noon).until, Timestamp::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Period {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
    /// For good: an absolute limit.
    Ever,
}

/// From when until when something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment behind it; [`Timestamp::MAX`] when it has no end.
    pub until: Timestamp,
}

impl Period {
    /// Every period there is.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Ever];

    /// The name, as it is configured.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The window that a moment lies in.
    #[must_use]
    pub fn window(self, now: Timestamp) -> Window {
        const MINUTE: u64 = 60_000;
        match self {
            Self::Minute => fixed(now, MINUTE),
            Self::Hour => fixed(now, 60 * MINUTE),
            Self::Day => fixed(now, 24 * 60 * MINUTE),
            // Behind the end of the calendar there are no months.
            Self::Month => month(now).unwrap_or(Window { from: now, until: Timestamp::MAX }),
            Self::Ever => Window { from: Timestamp::default(), until: Timestamp::MAX },
        }
    }
}

impl Window {
    /// Is it over by then?
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        self.until <= now
    }
}

fn fixed(now: Timestamp, length: u64) -> Window {
    let from = now.as_millis() - now.as_millis() % length;
    let until = Timestamp::from_millis(from.saturating_add(length));
    Window { from: Timestamp::from_millis(from), until }
}

fn month(now: Timestamp) -> Option<Window> {
    let ms = i64::try_from(now.as_millis()).ok()?;
    let utc = jiff::tz::TimeZone::UTC;
    let first =
        jiff::Timestamp::from_millisecond(ms).ok()?.to_zoned(utc.clone()).date().first_of_month();
    let next = first.last_of_month().tomorrow().ok()?;
    let stamp = |date: jiff::civil::Date| {
        let ms = date.to_zoned(utc.clone()).ok()?.timestamp().as_millisecond();
        u64::try_from(ms).ok().map(Timestamp::from_millis)
    };
    Some(Window { from: stamp(first)?, until: stamp(next)? })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_without_a_gap() {
        let days = [0, 31, 59, 365, 789, 20_000, 20_778];
        for period in Period::ALL.into_iter().filter(|period| *period != Period::Ever) {
            for day in days {
                for ms in [0, 1, 86_399_999] {
                    let now = Timestamp::from_millis(day * 86_400_000 + ms);
                    let here = period.window(now);
                    assert!(here.from <= now && now < here.until, "{period} {now}: {here:?}");
                    let next = period.window(here.until);
                    assert_eq!(next.from, here.until, "{period} {now}");
                    let last = Timestamp::from_millis(here.until.as_millis() - 1);
                    assert_eq!(period.window(last), here, "{period} {now}");
                    assert!(here.is_over(here.until) && !here.is_over(last));
                }
            }
        }
    }

    #[test]
    fn a_leap_year_has_a_day_more() {
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let leap = Period::Month.window(at("2028-02-10T00:00:00Z"));
        assert_eq!(leap.until, at("2028-03-01T00:00:00Z"));
        assert_eq!(leap.until.since(leap.from).as_secs(), 29 * 86_400);
    }
}
