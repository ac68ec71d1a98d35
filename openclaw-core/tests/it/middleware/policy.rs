//! How requests and outcomes are read.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use openclaw_core::{
    Call, Context, Effect, Error, ErrorKind, Happened, Reason, Refusal, Scope, SystemClock,
    TenantId, Timestamp,
    http::Body,
    policy::{Advice, Assessment, ByHead, ByStatus, Failure, Policy, retry_after},
    skill::{SkillAnswer, SkillManifest},
};
use openclaw_testkit::env::ManualClock;
use tokio::time::Instant;

type Foreign = Failure<std::io::Error>;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect()
}

#[test]
fn retry_after_is_read_in_every_form() {
    let clock = ManualClock::new(Timestamp::parse_rfc3339("1994-11-06T08:49:37Z").unwrap());
    let wait = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), &clock);
    let s = Duration::from_secs;
    assert_eq!(wait(&[]), None);
    assert_eq!(wait(&[("retry-after", "120")]), Some(s(120)));
    assert_eq!(wait(&[("retry-after", " 0 ")]), Some(s(0)));
    assert_eq!(wait(&[("retry-after", "-1")]), None);
    assert_eq!(wait(&[("retry-after", "soon")]), None);
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), Some(s(30)));
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), None, "it has passed");
    let dated = [
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
        ("date", "Sun, 06 Nov 1994 08:50:00 GMT"),
    ];
    assert_eq!(wait(&dated), Some(s(7)), "by the server's own clock");
    let both = [("retry-after", "9"), ("retry-after-ms", "1500")];
    assert_eq!(wait(&both), Some(Duration::from_millis(1_500)), "the finer one counts");
    assert_eq!(wait(&[("retry-after-ms", "-5"), ("retry-after", "9")]), Some(s(9)), "no time");
    assert_eq!(wait(&[("retry-after-ms", "soon"), ("retry-after", "9")]), Some(s(9)));
    assert_eq!(wait(&[("retry-after-ms", "1e300")]), None);
}

/// RFC 9110, 5.6.7: who receives a date must take all three.
#[test]
fn a_date_is_read_in_the_three_forms_of_http() {
    let clock = ManualClock::new(Timestamp::parse_rfc3339("1994-11-06T08:49:07Z").unwrap());
    let forms = [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ];
    for form in forms {
        let wait = retry_after(&headers(&[("retry-after", form)]), &clock);
        assert_eq!(wait, Some(Duration::from_secs(30)), "{form}");
        let dated = [("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), ("date", form)];
        assert_eq!(retry_after(&headers(&dated), &clock), Some(Duration::from_secs(30)), "{form}");
    }
    for no in ["Sunday, 06-Nov-94 08:49:37 CET", "Nov  6 08:49:37 1994", "Sun Nov 31 08:49:37 1994"]
    {
        assert_eq!(retry_after(&headers(&[("retry-after", no)]), &clock), None, "{no}");
    }
}

#[test]
fn an_http_request_is_read_by_method_and_key() {
    let effect = |method: &str, key: Option<&str>| {
        let mut request = Request::builder().method(method).uri("/");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let head = Policy::<_, Response<()>, Foreign>::head(&ByStatus, &request.body(()).unwrap());
        (head.effect, head.keyed)
    };
    assert_eq!(effect("GET", None).0, Effect::Pure);
    assert_eq!(effect("PUT", None).0, Effect::AtLeastOnce);
    assert_eq!(effect("DELETE", None).0, Effect::AtLeastOnce);
    assert_eq!(effect("POST", None), (Effect::AtMostOnce, false));
    assert!(matches!(effect("POST", Some("k")), (Effect::Keyed { .. }, true)));
    assert!(matches!(effect("PATCH", Some("k")), (Effect::Keyed { .. }, true)));
}

#[test]
fn an_answer_is_judged_by_its_status() {
    let assess = |status: u16, pairs: &[(&'static str, &str)]| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = headers(pairs);
        Policy::<Request<()>, _, Foreign>::assess(&ByStatus, Ok(&response))
    };
    for ok in [200, 201, 204, 302, 304] {
        assert!(assess(ok, &[]).is_success(), "{ok}");
    }
    let cases = [
        (400, ErrorKind::ValidationError, Happened::No),
        (401, ErrorKind::AuthenticationFailed, Happened::No),
        (403, ErrorKind::PermissionDenied, Happened::No),
        (404, ErrorKind::NotFound, Happened::No),
        (408, ErrorKind::Timeout, Happened::Maybe),
        (409, ErrorKind::Conflict, Happened::No),
        (422, ErrorKind::ValidationError, Happened::No),
        (429, ErrorKind::RateLimited, Happened::No),
        (500, ErrorKind::ServerError, Happened::Maybe),
        (501, ErrorKind::Unsupported, Happened::No),
        (502, ErrorKind::Unavailable, Happened::Maybe),
        (503, ErrorKind::Unavailable, Happened::Maybe),
        (504, ErrorKind::Timeout, Happened::Maybe),
        (599, ErrorKind::ServerError, Happened::Maybe),
    ];
    for (status, kind, happened) in cases {
        let means = assess(status, &[("retry-after", "5")]);
        assert_eq!((means.fault, means.happened), (Some(kind), happened), "{status}");
        let told = kind.is_transient().then_some(Duration::from_secs(5));
        assert_eq!(means.retry_after, told, "{status}");
    }
    assert_eq!(assess(200, &[("grpc-status", "14")]).fault, Some(ErrorKind::Unavailable));
    assert!(assess(200, &[("grpc-status", "0")]).is_success());
}

#[test]
fn the_answer_of_our_http_port_is_judged_by_its_status_too() {
    let context = Context::new(TenantId::new("acme").unwrap());
    let request = Request::get("http://shop.test/").body(bytes::Bytes::new()).unwrap();
    let call = Call::http(context, request);
    let mut response = Response::new(Body::full("busy"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let by = |outcome: &Result<Response<Body>, Error>| {
        Policy::<Call<Request<bytes::Bytes>>, _, Error>::assess(&ByHead, outcome.as_ref())
    };
    let outcome = Ok(response);
    assert_eq!(by(&outcome).fault, Some(ErrorKind::Unavailable));
    assert!(!by(&outcome).exhausted);
    let spent = Policy::<Call<Request<bytes::Bytes>>, _, Error>::exhausted(&ByHead, outcome);
    assert!(by(&spent).exhausted, "an outer retry sees it on the response");
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn a_stamp_never_widens_the_deadline() {
    let manifest = SkillManifest::new("refund".parse().unwrap(), "1.0.0");
    let near = Instant::now() + Duration::from_secs(1);
    let context = Context::new(TenantId::new("acme").unwrap()).with_deadline(near);
    let call = Call::skill(context, &manifest, Arc::default());
    let by = ByHead;
    let stamped =
        Policy::<_, SkillAnswer, Error>::stamp(&by, call, Some(near + Duration::from_secs(9)), 3);
    let head = Policy::<_, SkillAnswer, Error>::head(&by, &stamped);
    assert_eq!((head.deadline, head.attempt), (Some(near), 3));
}

#[tokio::test(start_paused = true)]
async fn a_stamp_of_an_http_request_never_widens_the_deadline() {
    let (near, far) = (Instant::now(), Instant::now() + Duration::from_secs(9));
    let stamp = |request, deadline, attempt| {
        Policy::<_, Response<()>, Foreign>::stamp(&ByStatus, request, deadline, attempt)
    };
    let head = |request: &Request<()>| {
        let head = Policy::<_, Response<()>, Foreign>::head(&ByStatus, request);
        (head.deadline, head.attempt)
    };
    let request = stamp(Request::new(()), None, 1);
    assert!(request.extensions().is_empty(), "there is nothing to say");
    let request = stamp(request, Some(far), 1);
    assert_eq!(head(&request), (Some(far), 1));
    let request = stamp(request, Some(near), 2);
    let spare = request.clone();
    assert_eq!(head(&spare), (Some(near), 2), "a clone knows it, too");
    assert_eq!(head(&stamp(spare, Some(far), 3)), (Some(near), 3));
    assert_eq!(head(&stamp(request, None, 1)), (Some(near), 1));
}

#[test]
fn a_date_is_measured_by_the_clock_that_the_policy_was_given() {
    let clock = ManualClock::new(Timestamp::parse_rfc3339("1994-11-06T08:49:37Z").unwrap());
    let mut busy = Response::new(Body::full("slow down"));
    *busy.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    *busy.headers_mut() = headers(&[
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1994-11-06T08:50:07Z"),
    ]);
    let (by_status, by_head) =
        (ByStatus.with_clock(Arc::new(clock.clone())), ByHead.with_clock(Arc::new(clock.clone())));
    for wait in [30, 10].map(Duration::from_secs) {
        let means = Policy::<Request<()>, _, Foreign>::assess(&by_status, Ok(&busy));
        assert_eq!(means.retry_after, Some(wait));
        let advice = Policy::<Request<()>, _, Foreign>::advice(&by_status, Ok(&busy));
        assert_eq!(advice, Some(Advice::new(0, wait)));
        let means = Policy::<Call<()>, _, Error>::assess(&by_head, Ok(&busy));
        assert_eq!(means.retry_after, Some(wait));
        let advice = Policy::<Call<()>, _, Error>::advice(&by_head, Ok(&busy));
        assert_eq!(advice, Some(Advice::new(0, wait)));
        clock.advance(Duration::from_secs(20));
    }
}

#[test]
fn what_refused_here_is_told_from_what_the_remote_refused() {
    let ours = Error::from(Refusal::new(Reason::RateLimited, "crm"));
    let theirs = Error::new(ErrorKind::RateLimited, "slow down");
    let means = |e: &Error| Policy::<Call<()>, (), Error>::assess(&ByHead, Err(e));
    assert!(means(&ours).local && !means(&ours).is_throttled());
    assert!(!means(&theirs).local && means(&theirs).is_throttled());
    let late = Error::from(Refusal::new(Reason::Timeout(Scope::Attempt), "crm"));
    assert_eq!(means(&late).is_failure(), Some(true), "a timeout is the remote's");
    assert_eq!(means(&late).happened, Happened::Maybe);
    assert_eq!(Assessment::of_status(StatusCode::OK), Assessment::SUCCESS);
    assert!(retry_after(&HeaderMap::new(), &SystemClock::default()).is_none());
}
