//! What servers say of their rate limits, read.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use openclaw_core::{
    SystemClock, Timestamp,
    policy::{Advice, retry_after},
};
use openclaw_testkit::env::ManualClock;
use proptest::prelude::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let read = |(name, value): &(&str, &str)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    pairs.iter().filter_map(read).collect()
}

/// Calls that are left, and milliseconds to the reset.
fn read(pairs: &[(&str, &str)]) -> Option<(u64, u128)> {
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    Advice::read(&headers(pairs), &clock).map(|a| (a.remaining, a.reset_in.as_millis()))
}

fn x(remaining: &str, reset: &str) -> Option<(u64, u128)> {
    read(&[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)])
}

#[test]
fn a_reset_is_seconds_or_a_date() {
    assert_eq!(x("7", "30"), Some((7, 30_000)), "seconds from now");
    assert_eq!(x("7", "0.25"), Some((7, 250)));
    assert_eq!(x("7", "1700000060"), Some((7, 60_000)), "a date");
    assert_eq!(x("7", "1700000060.5"), Some((7, 60_500)), "a date with a fraction");
    assert_eq!(x("7", "1700000060500"), Some((7, 60_500)), "a date in milliseconds");
    assert_eq!(x("7", "1600000000"), Some((7, 0)), "a date that has passed");
    assert_eq!(x("7", "2023-11-14T22:14:20Z"), Some((7, 60_000)), "a date in words");
    assert_eq!(x("7, 90", "30;w=60"), Some((7, 30_000)), "the first of several policies");
}

#[test]
fn a_reset_is_written_with_units() {
    for (text, ms) in [("6m0s", 360_000), ("1s", 1_000), ("17ms", 17), ("1h2m3.5s", 3_723_500)] {
        assert_eq!(x("7", text), Some((7, ms)), "{text}");
    }
    for text in ["", "s", "1", "1x", "1s1", "-1s", "1e400s", "1s 2"] {
        assert!(x("7", text).is_none_or(|_| text == "1"), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_nothing() {
    for (remaining, reset) in [("-1", "30"), ("7", "soon"), ("7", "NaN"), ("7", "-5"), ("7", "inf")]
    {
        assert_eq!(x(remaining, reset), None, "{remaining} {reset}");
    }
    assert_eq!(x("7", "1e300"), None);
    assert_eq!(read(&[("x-ratelimit-remaining", "7")]), None);
    assert_eq!(read(&[]), None);
}

#[test]
fn a_date_is_measured_from_the_date_of_the_response() {
    let date = ("date", "Tue, 14 Nov 2023 22:12:20 GMT");
    let pairs = [("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1700000000"), date];
    assert_eq!(read(&pairs), Some((7, 60_000)), "its clock is a minute behind ours");
}

#[test]
fn the_fields_of_the_draft_are_read() {
    let field = |text| read(&[("ratelimit", text)]);
    assert_eq!(field(r#""default";r=50;t=30"#), Some((50, 30_000)));
    assert_eq!(
        field(r#""burst";r=50;t=30;pk=:x,;r=1:, "day" ; r=2 ; t=3600"#),
        Some((2, 3_600_000))
    );
    assert_eq!(field(r#""a, b;r=0";r=4;t=8"#), Some((4, 8_000)), "a name may hold anything");
    assert_eq!(field(r#""a\",;r=0";r=4;t=8"#), Some((4, 8_000)), "even quotes");
    assert_eq!(field(r#""a";r=9;t=9, "b";r=0;t=5, "c";r=0;t=2"#), Some((0, 5_000)));
    assert_eq!(field(r#""burst";t=30"#), None);
    assert_eq!(field(r#""burst";r=5"#), None, "for how long?");
    assert_eq!(field("limit=100, remaining=50, reset=30"), Some((50, 30_000)), "draft 7");
    assert_eq!(read(&[("ratelimit-remaining", "3"), ("ratelimit-reset", "4")]), Some((3, 4_000)));
}

/// RFC 9110, 5.3: lines of one name are one list.
#[test]
fn lines_of_one_name_are_one_list() {
    let lines = [("ratelimit", r#""burst";r=50;t=1"#), ("ratelimit", r#""day";r=0;t=3600"#)];
    assert_eq!(read(&lines), Some((0, 3_600_000)));
    let lines = [
        ("ratelimit", r#""day";r=5"#),
        ("ratelimit-policy", r#""hour";q=9;w=3600"#),
        ("ratelimit-policy", r#""day";q=99;w=86400"#),
    ];
    assert_eq!(read(&lines), Some((5, 86_400_000)));
    let lines = [("ratelimit", "limit=100, remaining=50"), ("ratelimit", "reset=30")];
    assert_eq!(read(&lines), Some((50, 30_000)), "draft 7");
    let lines = [("ratelimit", r#""broken"#), ("ratelimit", r#""day";r=0;t=9"#)];
    assert_eq!(read(&lines), Some((0, 9_000)), "what can't be read hides nothing");
}

#[test]
fn a_policy_says_its_time_and_its_unit() {
    let field = |field, policy| read(&[("ratelimit", field), ("ratelimit-policy", policy)]);
    assert_eq!(
        field(r#""day";r=5"#, r#""hour";q=9;w=3600,"day";q=99;w=86400"#),
        Some((5, 86_400_000))
    );
    assert_eq!(field(r#""b";r=0;t=9"#, r#""b";q=9;w=60;qu="content-bytes""#), None, "not calls");
    assert_eq!(field(r#""b";r=0;t=9"#, r#""b";q=9;w=60;qu="requests""#), Some((0, 9_000)));
}

#[test]
fn the_dialects_of_providers_are_read() {
    let discord = [
        ("x-ratelimit-remaining", "1"),
        ("x-ratelimit-reset", "1700000060"),
        ("x-ratelimit-reset-after", "64.57"),
    ];
    assert_eq!(read(&discord), Some((1, 64_570)));
    let twitter = [("x-rate-limit-remaining", "1"), ("x-rate-limit-reset", "1700000009")];
    assert_eq!(read(&twitter), Some((1, 9_000)));
    let tokens = |left| {
        read(&[
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", left),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ])
    };
    assert_eq!(tokens("149984"), Some((59, 1_000)), "tokens are no calls");
    assert_eq!(tokens("0"), Some((0, 360_000)), "but without any there is no call");
    let anthropic = [
        ("anthropic-ratelimit-requests-remaining", "3"),
        ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:25Z"),
    ];
    assert_eq!(read(&anthropic), Some((3, 5_000)));
}

#[test]
fn the_advice_with_most_time_a_call_counts() {
    let both = [
        ("ratelimit", r#""a";r=100;t=10"#),
        ("x-ratelimit-remaining", "4000"),
        ("x-ratelimit-reset", "3600"),
    ];
    assert_eq!(read(&both), Some((4_000, 3_600_000)));
}

const NAMES: [&str; 12] = [
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset-requests",
    "retry-after",
    "retry-after-ms",
    "date",
    "anthropic-ratelimit-tokens-reset",
];

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic(
        fields in prop::collection::vec(
            (prop::sample::select(&NAMES), prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                "[\"a-c\\\\;:,=rtw0-9.emsh -]{0,60}".prop_map(String::into_bytes),
                any::<u64>().prop_map(|n| n.to_string().into_bytes()),
                any::<f64>().prop_map(|n| n.to_string().into_bytes()),
            ]),
            0..8,
        ),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(name, value);
            }
        }
        let clock = SystemClock::default();
        prop_assert!(retry_after(&map, &clock).is_none_or(|wait| wait <= Duration::MAX));
        let advice = Advice::read(&map, &clock);
        prop_assert!(advice.is_none_or(|advice| advice.reset_in <= Duration::MAX));
    }

    #[test]
    fn what_is_written_by_the_draft_is_read(left in any::<u64>(), reset in 0..u64::MAX / 2) {
        let text = format!(r#""p";r={left};t={reset}"#);
        let advice = Advice::read(&headers(&[("ratelimit", &text)]), &SystemClock::default());
        prop_assert_eq!(advice.map(|a| (a.remaining, a.reset_in.as_secs())), Some((left, reset)));
    }
}
