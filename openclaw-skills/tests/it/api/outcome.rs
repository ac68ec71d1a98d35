//! The table of statuses, row by row.

use bytes::Bytes;
use http::Response;
use openclaw_core::{
    Effect, Error, ErrorKind, Happened,
    policy::{ByStatus, Policy},
};
use openclaw_skills::api::outcome;

fn read(
    effect: Effect,
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Option<Error> {
    let response =
        headers.iter().fold(Response::builder().status(status), |r, (n, v)| r.header(*n, *v));
    outcome(effect, &response.body(Bytes::from_static(body.as_bytes())).unwrap()).err()
}

#[test]
fn every_status_has_a_kind_and_says_whether_it_happened() {
    use ErrorKind as Kind;
    use Happened::{Maybe, No};
    for (status, kind, happened) in [
        (300, Kind::Unsupported, Maybe),
        (301, Kind::Unsupported, Maybe),
        (302, Kind::Unsupported, Maybe),
        (303, Kind::Unsupported, Maybe),
        (304, Kind::Unsupported, Maybe),
        (307, Kind::Unsupported, No),
        (308, Kind::Unsupported, No),
        (400, Kind::ValidationError, No),
        (401, Kind::AuthenticationFailed, No),
        (402, Kind::ValidationError, No),
        (403, Kind::PermissionDenied, No),
        (404, Kind::NotFound, No),
        (405, Kind::ValidationError, No),
        (408, Kind::Timeout, Maybe),
        (409, Kind::Conflict, No),
        (410, Kind::NotFound, No),
        (412, Kind::Conflict, No),
        (415, Kind::ValidationError, No),
        (422, Kind::ValidationError, No),
        (425, Kind::RateLimited, No),
        (428, Kind::ValidationError, No),
        (429, Kind::RateLimited, No),
        (500, Kind::ServerError, Maybe),
        (501, Kind::Unsupported, No),
        (502, Kind::Unavailable, Maybe),
        (503, Kind::Unavailable, Maybe),
        (504, Kind::Timeout, Maybe),
        (505, Kind::Unsupported, No),
        (599, Kind::ServerError, Maybe),
        (999, Kind::ServerError, Maybe),
    ] {
        let write = read(Effect::AtMostOnce, status, &[], "").unwrap();
        assert_eq!((write.kind(), write.happened()), (kind, happened), "{status}");
        assert!(write.context().any(|(key, value)| key == "status" && value == status.to_string()));
        let reads = read(Effect::Pure, status, &[], "").unwrap();
        assert_eq!((reads.kind(), reads.happened()), (kind, No), "{status}, reading");
        assert!(!write.public().is_empty() && !write.message().is_empty());
    }
    for status in [200, 201, 202, 204, 206] {
        assert!(read(Effect::AtMostOnce, status, &[], "").is_none(), "{status}");
    }
}

#[test]
fn what_the_service_says_of_the_wait_is_bounded() {
    let after = |status, headers: &[(&str, &str)]| {
        read(Effect::Pure, status, headers, "").unwrap().retry_after().map(|d| d.as_secs_f64())
    };
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(after(429, &[("retry-after", "7")]), Some(7.0));
    assert_eq!(after(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date]), Some(30.0));
    assert_eq!(after(429, &[("retry-after-ms", "1500")]), Some(1.5));
    assert_eq!(after(429, &[("retry-after", "1000000000")]), Some(86_400.0), "a day at most");
    assert_eq!(after(429, &[("retry-after", "-5")]), None);
    assert_eq!(after(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), date]), None);
    assert_eq!(after(429, &[("retry-after", "soon")]), None);
    assert_eq!(after(404, &[("retry-after", "7")]), None, "it will not be there later");
}

#[test]
fn a_403_of_a_rate_limit_is_one() {
    let kind = |headers: &[(&str, &str)]| {
        let e = read(Effect::AtMostOnce, 403, headers, "").unwrap();
        (e.kind(), e.happened(), e.retry_after().map(|d| d.as_secs()))
    };
    assert_eq!(kind(&[]), (ErrorKind::PermissionDenied, Happened::No, None));
    assert_eq!(kind(&[("retry-after", "60")]), (ErrorKind::RateLimited, Happened::No, Some(60)));
    let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")];
    assert_eq!(kind(&spent), (ErrorKind::RateLimited, Happened::No, Some(30)));
    let left = [("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "30")];
    assert_eq!(kind(&left), (ErrorKind::PermissionDenied, Happened::No, None));
}

#[test]
fn a_code_is_named_and_nothing_else_of_the_body() {
    let body = r#"{"type":"https://pay.test/probs/card-declined","title":"Card 4111 declined",
                   "detail":"Ann Smith, 4111111111111111","instance":"/payments/77"}"#;
    let e = read(Effect::AtMostOnce, 422, &[("content-type", "application/problem+json")], body)
        .unwrap();
    assert!(e.context().any(|pair| pair == ("code", "card-declined")), "{e}");
    let told = format!("{e} {e:?} {} {}", e.public(), e.message());
    for quoted in ["Ann", "4111", "declined\"", "/payments"] {
        assert!(!told.contains(quoted), "{told}");
    }
    let html =
        read(Effect::AtMostOnce, 502, &[("content-type", "text/html")], "<h1>code</h1>").unwrap();
    assert!(!html.context().any(|(key, _)| key == "code"));
}

#[test]
fn an_answer_behind_a_try_in_doubt_does_not_undo_it() {
    for status in [300, 304, 307, 308, 403, 404, 501] {
        let answer = Response::builder().status(status).body(Bytes::new()).unwrap();
        let doubted: Result<_, Error> =
            Policy::<http::Request<()>, _, _>::in_doubt(&ByStatus, Ok(answer));
        let e = outcome(Effect::AtLeastOnce, &doubted.unwrap()).unwrap_err();
        assert_eq!(e.happened(), Happened::Maybe, "{status}");
    }
    let busy = Response::builder().status(403).header("retry-after", "1");
    let busy: Result<_, Error> = Policy::<http::Request<()>, _, _>::in_doubt(
        &ByStatus,
        Ok(busy.body(Bytes::new()).unwrap()),
    );
    let busy = busy.unwrap();
    let e = outcome(Effect::AtLeastOnce, &busy).unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::Maybe));
    assert_eq!(outcome(Effect::Pure, &busy).unwrap_err().happened(), Happened::No);
}
