//! What a service says of its rate limit is heeded before the next request.

use std::time::Duration;

use openclaw_core::{
    ErrorKind, Happened,
    middleware::stack::{Resilience, ResilienceConfig},
};
use openclaw_skills::api::Operation;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Port, crm, exchange, get, post, reply};

fn stack(settings: &str) -> Resilience {
    let config = format!(r#"{{ "http": {{ "crm.test": {settings} }} }}"#);
    Resilience::seeded(ResilienceConfig::from_json(&config).unwrap(), 7).unwrap()
}

/// A port that says this once, and that all is well afterwards.
fn once(status: u16, headers: &'static [(&'static str, &'static str)]) -> Port {
    Port::new(move |number, _| {
        let first = number == 1;
        Ok(reply(if first { status } else { 200 }, if first { headers } else { &[] }, &json!({})))
    })
}

#[tokio::test(start_paused = true)]
async fn the_next_request_waits_as_long_as_the_service_said() {
    for (status, headers) in [
        (429, &[("retry-after", "5")][..]),
        (503, &[("retry-after-ms", "5000")]),
        (200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")]),
        (200, &[("ratelimit", r#""default";r=0;t=5"#)]),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "5")]),
    ] {
        let port = once(status, headers);
        let api = crm().resilience(stack(r#"{ "retry": "off" }"#)).build(port.clone()).unwrap();
        let first = exchange(&api).send(post("/a")).await;
        assert_eq!(first.is_ok(), status == 200, "{headers:?}");
        let e = exchange(&api).send(post("/b")).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No), "{headers:?}");
        let after = e.retry_after().unwrap();
        assert!(after > Duration::from_secs(4) && after <= Duration::from_secs(5), "{after:?}");
        assert_eq!(port.count(), 1, "it was not asked again: {headers:?}");
        tokio::time::advance(Duration::from_secs(5)).await;
        exchange(&api).send(post("/b")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenant_has_a_limit_of_its_own() {
    let port = once(429, &[("retry-after", "5")]);
    let api = crm().resilience(stack(r#"{ "retry": "off" }"#)).build(port).unwrap();
    exchange(&api).send(post("/a")).await.unwrap_err();
    let other = openclaw_core::Context::new(openclaw_core::TenantId::new("globex").unwrap());
    api.exchange(&super::cx(other)).send(post("/a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_the_service_said() {
    let port = once(429, &[("retry-after", "5")]);
    let api = crm().resilience(stack("{}")).build(port.clone()).unwrap();
    let start = Instant::now();
    exchange(&api).send(post("/a")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(port.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_retry_after_stops_a_call_for_years() {
    for after in ["1000000000", "99999999999999999999999", "-5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let port = Port::new(move |_, _| Ok(reply(429, &[("retry-after", after)], &Value::Null)));
        let api = crm().resilience(stack("{}")).build(port.clone()).unwrap();
        let start = Instant::now();
        let e = exchange(&api).send(get("/a")).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No), "{after}");
        assert!(start.elapsed() <= Duration::from_secs(30), "{after}: {:?}", start.elapsed());
        assert!(e.retry_after().is_none_or(|wait| wait <= Duration::from_secs(86_400)), "{after}");
        tokio::time::advance(Duration::from_secs(301)).await;
        let before = port.count();
        exchange(&api).send(get("/a")).await.unwrap_err();
        assert!(port.count() > before, "{after}: after five minutes it is asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_429_is_not_made_worse() {
    let port = Port::always(429, Value::Null);
    let api = crm().resilience(stack(r#"{ "total_timeout": "off" }"#)).build(port.clone()).unwrap();
    for _ in 0..1_000 {
        exchange(&api).send(get("/a")).await.unwrap_err();
    }
    assert!(port.count() > 1_000, "it was tried again at first");
    assert!(port.count() <= 1_200, "{} requests for 1,000 calls", port.count());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_graphql_answer_counts_as_429() {
    let busy = json!({
        "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
        "extensions": { "cost": { "requestedQueryCost": 100, "throttleStatus":
            { "currentlyAvailable": 0, "restoreRate": 50.0, "maximumAvailable": 1000 } } },
    });
    let port = Port::new(move |number, _| {
        let body = if number == 1 { busy.clone() } else { json!({ "data": { "a": 1 } }) };
        Ok(reply(200, &[], &body))
    });
    let api = crm().resilience(stack("{}")).build(port.clone()).unwrap();
    let start = Instant::now();
    let rename = Operation::new("mutation { rename { a } }").unwrap();
    let done = exchange(&api).graphql::<Value>(&rename).await.unwrap().whole().unwrap();
    assert_eq!((done, port.count()), (json!({ "a": 1 }), 2));
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());

    let alone = Port::new(move |_, _| {
        let errors =
            json!([{ "message": "x", "extensions": { "code": "THROTTLED", "retryAfter": 3 } }]);
        Ok(reply(200, &[], &json!({ "errors": errors })))
    });
    let api = crm().build(alone).unwrap();
    let e = exchange(&api).graphql::<Value>(&rename).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::RateLimited, Happened::No));
    assert_eq!(e.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_again_says_so_and_leaves_its_doubt() {
    let port =
        Port::new(|number, _| Ok(reply(if number == 1 { 503 } else { 409 }, &[], &Value::Null)));
    let settings = r#"{ "retry": { "attempts": 2, "base": "10ms" } }"#;
    let day = Duration::from_secs(86_400);
    let api = crm().keyed(day).resilience(stack(settings)).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/a")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened(), port.count()), (ErrorKind::Conflict, Happened::Maybe, 2));

    let port = Port::always(503, Value::Null);
    let api = crm().keyed(day).resilience(stack(settings)).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/a")).await.unwrap_err();
    assert!(e.is_exhausted() && e.happened() == Happened::Maybe, "{e:?}");
    assert_eq!(port.count(), 2);

    let port = Port::always(503, Value::Null);
    let api = crm().resilience(stack(settings)).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/a")).await.unwrap_err();
    assert_eq!(
        (e.happened(), port.count()),
        (Happened::Maybe, 1),
        "without a key it is never repeated"
    );
}
