//! Which rule a request gets, and what the stub says when it is not content.

use openclaw_testkit::stub::{
    Fault, Pattern, Reply, StubServer, any, at_least, at_most, delete, get, never, ok, patch, post,
    put, status, times,
};
use reqwest::Response;
use serde_json::{Value, json};

use super::stub;

async fn send(stub: &StubServer, method: &str, path: &str, body: &str) -> Response {
    let client = reqwest::Client::new();
    let method = method.parse::<reqwest::Method>().unwrap();
    let request = client.request(method, format!("{}{path}", stub.url()));
    let request = request.header("x-tenant", "acme").header("authorization", "Bearer hunter2");
    request.body(body.to_owned()).send().await.unwrap()
}

async fn pay(stub: &StubServer, key: Option<&str>, body: &str) -> reqwest::Result<Response> {
    let request = reqwest::Client::new().post(format!("{}/pay", stub.url()));
    let request = key.iter().fold(request, |r, key| r.header("Idempotency-Key", *key));
    request.body(body.to_owned()).send().await
}

/// Does `pattern` fit a `POST /v1/pay?a=1&b=2` with this body?
async fn fits(pattern: Pattern, body: &Value) -> bool {
    let stub = stub().await;
    stub.on(pattern).reply(status(299));
    let response = send(&stub, "POST", "/v1/pay?a=1&b=2", &body.to_string()).await;
    response.status() == 299
}

/// All that the stub complains about.
fn complaint(stub: &StubServer) -> String {
    stub.verify().unwrap_err().to_string()
}

#[tokio::test]
async fn each_part_of_a_pattern_has_to_fit() {
    let body = json!({"a": {"b": [1, {"c": 2, "d": 3}]}, "e": "text"});
    let pay = || post("/v1/pay");
    let good = [
        any(),
        pay(),
        post("/v1/*"),
        pay().header("X-Tenant", "acme").has_header("AUTHORIZATION").no_header("x-none"),
        pay().query("b", "2").query("a", "1"),
        pay().json(body.clone()),
        pay().json_partial(json!({"a": {"b": [1, {"c": 2}]}})),
        pay().json_partial(json!({})),
        pay().body_contains("text"),
    ];
    for pattern in good {
        assert!(fits(pattern.clone(), &body).await, "{pattern} should fit");
    }
    let bad = [
        get("/v1/pay"),
        post("/v1"),
        post("/v1/pay/"),
        post("/*"),
        pay().header("x-tenant", "acm"),
        pay().has_header("x-none"),
        pay().no_header("x-tenant"),
        pay().query("a", "2"),
        pay().query("a", "1&b=2"),
        pay().json(json!({"a": {"b": [1, {"c": 2, "d": 3}]}})),
        pay().json_partial(json!({"a": {"b": [1]}})),
        pay().json_partial(json!({"a": {"b": [1, {"c": 3}]}})),
        pay().json_partial(json!({"f": null})),
        pay().body_contains("Text"),
    ];
    for pattern in bad {
        assert!(!fits(pattern.clone(), &body).await, "{pattern} should not fit");
    }
}

#[tokio::test]
async fn each_method_has_its_pattern_and_the_first_rule_that_fits_wins() {
    let stub = stub().await;
    stub.on(get("/")).reply(ok(json!("get")));
    stub.on(put("/")).reply(ok(json!("put")));
    stub.on(patch("/")).reply(ok(json!("patch")));
    stub.on(delete("/")).reply(ok(json!("delete")));
    stub.on(any()).reply(ok(json!("any")));
    for (method, said) in
        [("GET", "get"), ("PUT", "put"), ("PATCH", "patch"), ("DELETE", "delete"), ("POST", "any")]
    {
        let text = send(&stub, method, "/", "").await.text().await.unwrap();
        assert_eq!(text, format!("{said:?}"));
    }
}

#[tokio::test]
async fn expectations_that_are_met_are_no_complaint() {
    let stub = stub().await;
    let twice = stub.on(get("/twice"));
    twice.expect(times(2));
    stub.on(get("/some")).expect(at_least(1));
    stub.on(get("/few")).expect(at_most(1));
    stub.on(get("/none")).expect(never());
    for path in ["/twice", "/some", "/few", "/twice", "/some"] {
        send(&stub, "GET", path, "").await;
    }
    stub.verify().unwrap();
    assert_eq!(twice.hits(), 2);
}

#[tokio::test]
async fn expectations_that_are_not_met_say_what_was_expected_and_what_came() {
    let expectations = [
        (times(2), "expected 2 requests, came 1"),
        (at_least(3), "expected at least 3 requests, came 1"),
        (at_most(0), "expected no request, came 1"),
        (never(), "expected no request, came 1"),
    ];
    for (expected, said) in expectations {
        let stub = stub().await;
        stub.on(get("/")).named("home").expect(expected);
        send(&stub, "GET", "/", "").await;
        assert!(complaint(&stub).contains(&format!("rule `home` (GET /): {said}")), "{said}");
    }
    let stub = stub().await;
    stub.on(get("/")).expect(at_most(1));
    send(&stub, "GET", "/", "").await;
    stub.verify().unwrap();
    send(&stub, "GET", "/", "").await;
    assert!(complaint(&stub).contains("expected at most 1 request, came 2"));
}

#[tokio::test]
async fn the_nearest_request_and_the_reason_are_told() {
    let stub = stub().await;
    stub.on(post("/v1/pay").header("x-tenant", "globex").json_partial(json!({"cents": 5})))
        .named("pay")
        .expect(times(1));
    stub.on(any());
    send(&stub, "GET", "/v1/health", "").await;
    send(&stub, "POST", "/v1/pay", r#"{"cents": 500}"#).await;
    let said = complaint(&stub);
    let expected = "the stub has 1 complaint(s)\n\
        1. rule `pay` (POST /v1/pay, x-tenant: \"globex\", JSON with {\"cents\":5}): \
        expected 1 request, came 0. Nearest other is #2 POST /v1/pay: \
        header x-tenant: expected \"globex\", was \"acme\"; body /cents: expected 5, was 500";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_request_without_a_rule_gets_a_404_that_explains_and_counts() {
    let stub = stub().await;
    let reply = send(&stub, "GET", "/", "").await;
    assert_eq!(reply.status(), 404);
    assert!(reply.text().await.unwrap().contains("There are no rules"));

    stub.on(get("/v1/orders")).named("orders");
    stub.on(post("/v1/pay").json(json!({"n": 1}))).named("pay");
    let reply = send(&stub, "POST", "/v1/pay", "{").await;
    assert_eq!(reply.status(), 404);
    let text = reply.text().await.unwrap();
    let near = "Nearest is rule `pay` (POST /v1/pay, JSON {\"n\":1}): \
                body: expected JSON, was none";
    assert!(text.starts_with("No rule of the stub fits POST /v1/pay.") && text.contains(near));
    let said = complaint(&stub);
    assert!(said.contains("request #2 POST /v1/pay fits no rule. Nearest is rule `pay`"), "{said}");
    assert_eq!(stub.verify().unwrap_err().complaints().len(), 2);
    assert!(stub.received().iter().all(|r| !r.is_matched() && !r.had_effect()));
}

#[tokio::test]
async fn secrets_are_not_in_reports() {
    let stub = stub().await;
    stub.on(get("/").header("Authorization", "Bearer other").no_header("cookie"));
    let text = send(&stub, "GET", "/", "").await.text().await.unwrap();
    let said = complaint(&stub);
    assert!(said.contains("header Authorization: expected (not shown), was (not shown)"), "{said}");
    assert!(!format!("{said}{text}").contains("Bearer"));
}

#[tokio::test]
async fn effects_are_counted_for_each_key() {
    let stub = stub().await;
    stub.on(post("/pay")).reply_seq([
        status(503),
        ok(json!(1)).fault(Fault::LoseAnswer),
        ok(json!(1)),
        status(201),
        status(409),
    ]);
    for (key, body) in [("k1", "a"), ("k1", "a"), ("k1", "b"), ("k2", "a"), ("k2", "a")] {
        let _lost = pay(&stub, Some(key), body).await;
    }
    let report = stub.idempotency_report();
    assert_eq!(report.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(["k1", "k2", "k3"].map(|key| report.requests(key)), [3, 2, 0]);
    assert_eq!(["k1", "k2", "k3"].map(|key| report.effects(key)), [2, 1, 0]);
    assert_eq!(["k1", "k2", "k3"].map(|key| report.bodies(key)), [2, 1, 0]);
    assert_eq!((report.duplicates(), report.without_key()), (1, 0));
}

#[tokio::test]
async fn requests_without_a_key_are_counted_apart_and_reads_are_not() {
    let stub = stub().await;
    stub.on(any()).reply_seq([status(200), status(500), status(200)]);
    pay(&stub, None, "a").await.unwrap();
    pay(&stub, None, "a").await.unwrap();
    send(&stub, "GET", "/", "").await;
    let report = stub.idempotency_report();
    assert_eq!((report.without_key(), report.effects_without_key()), (2, 1));
    assert_eq!((report.keys().count(), report.duplicates()), (0, 0));
}

#[tokio::test]
async fn a_lost_answer_is_an_effect_and_other_faults_alone_are_none() {
    let stub = stub().await;
    let replies: [(Reply, bool); 5] = [
        (Fault::LoseAnswer.into(), true),
        (Fault::Close.into(), false),
        (ok(json!(1)).fault(Fault::Close), true),
        (status(500).effect(true), true),
        (ok(json!(1)).effect(false), false),
    ];
    stub.on(any()).reply_seq(replies.iter().map(|(reply, _)| reply.clone()));
    for _ in &replies {
        let _lost = pay(&stub, Some("k"), "").await;
    }
    let had: Vec<bool> = stub.received().iter().map(|request| request.had_effect()).collect();
    assert_eq!(had, replies.map(|(_, effect)| effect));
}

#[tokio::test]
async fn a_lost_answer_reaches_the_client_as_an_error_behind_the_effect() {
    let stub = stub().await;
    stub.on(post("/pay")).named("pay").reply(Fault::LoseAnswer).expect(times(1));
    assert!(pay(&stub, Some("k1"), "a").await.unwrap_err().is_request());
    stub.verify().expect("a lost answer is not a lost request");
    assert_eq!(stub.idempotency_report().effects("k1"), 1);
}
