//! Requests from typed input: every value in its place, and nothing left out by accident.

use std::time::Duration;

use http::{HeaderName, header};
use openclaw_core::{
    Effect, Effects, ErrorKind, Happened, SkillId, TraceParent, skill::SkillManifest,
};
use openclaw_skills::api::{Api, Operation, PageLimits, Paging, Template, VersionIn};
use serde_json::{Value, json};

use super::{Port, context, crm, cx, exchange, get, post};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(serde::Serialize)]
struct Search<'a> {
    customer: &'a str,
    tags: Vec<&'a str>,
    limit: u32,
    active: bool,
    note: Option<&'a str>,
    language: &'a str,
}

const SEARCH: Search<'_> =
    Search { customer: "c/7?#", tags: vec![], limit: 5, active: true, note: None, language: "nb" };

#[tokio::test]
async fn each_field_of_the_input_has_its_place() {
    let port = Port::always(200, json!({}));
    let api = crm().build(port.clone()).unwrap();
    let tags = vec!["a&b", "c=d", "e f"];
    let template = Template::get("/customers/{customer}/orders").unwrap();
    let template = template.header(header::ACCEPT_LANGUAGE, "language");
    let request = template.fill(&Search { tags: tags.clone(), ..SEARCH }).unwrap();
    exchange(&api).send(request).await.unwrap();
    let sent = "GET https://crm.test/api/customers/c%2F7%3F%23/orders\
                ?active=true&limit=5&tags=a%26b&tags=c%3Dd&tags=e%20f";
    assert_eq!(port.lines(), [sent]);
    assert_eq!(port.header("accept-language"), [Some("nb".to_owned())]);

    let template = Template::post("/customers/{customer}/orders").unwrap().query("limit");
    let request = template.fill(&Search { tags, ..SEARCH }).unwrap();
    exchange(&api).send(request).await.unwrap();
    let call = port.calls().pop().unwrap();
    assert_eq!(call.payload().uri().query(), Some("limit=5"));
    let body: Value = serde_json::from_slice(call.payload().body()).unwrap();
    let expected =
        json!({ "active": true, "language": "nb", "note": null, "tags": ["a&b", "c=d", "e f"] });
    assert_eq!(body, expected);
    assert_eq!(call.payload().headers()["content-type"], "application/json");
}

#[test]
fn a_value_that_has_no_place_is_refused_by_its_name() {
    let template = Template::get("/orders/{order}").unwrap().header(header::ACCEPT, "accept");
    for (input, field) in [
        (json!({}), "order"),
        (json!({ "order": null }), "order"),
        (json!({ "order": "" }), "order"),
        (json!({ "order": ".." }), "order"),
        (json!({ "order": "a\r\nb" }), "order"),
        (json!({ "order": ["a"] }), "order"),
        (json!({ "order": "1", "accept": "a\r\nx: y" }), "accept"),
        (json!({ "order": "1", "filter": { "a": 1 } }), "filter"),
    ] {
        let e = template.fill(&input).unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No), "{input}");
        assert!(e.context().any(|pair| pair == ("field", field)), "{input}: {e}");
        assert!(!format!("{e:?}").contains("x: y"), "{e:?}");
    }
    assert!(template.fill(&json!([1])).is_err());
}

#[tokio::test]
async fn a_key_is_sent_only_where_it_is_honoured() {
    let port = Port::always(200, json!({}));
    let plain = crm().build(port.clone()).unwrap();
    exchange(&plain).send(post("/orders")).await.unwrap();
    let keyed = crm().keyed(DAY).build(port.clone()).unwrap();
    exchange(&keyed).send(post("/orders")).await.unwrap();
    exchange(&keyed).send(get("/orders")).await.unwrap();
    exchange(&keyed).send(post("/orders").step("note")).await.unwrap();
    let name = HeaderName::from_static("x-request-key");
    let named = crm().keyed_by(name, Duration::from_secs(60)).build(port.clone()).unwrap();
    exchange(&named).send(post("/orders")).await.unwrap();

    let key = "00000000000000000000000007.call";
    let sent = port.header("idempotency-key");
    assert_eq!(sent[..3], [None, Some(key.to_owned()), None]);
    let step = sent[3].as_deref().unwrap();
    assert!(step.ends_with(".step") && step != key, "a step has a key of its own: {step}");
    assert_eq!(port.header("x-request-key")[4].as_deref(), Some(key));
    let effects: Vec<_> =
        port.calls().iter().map(|call| (call.effect(), call.key().is_some())).collect();
    let of = |retention| (Effect::Keyed { retention }, true);
    let expected = [
        (Effect::AtMostOnce, true),
        of(DAY),
        (Effect::Pure, false),
        of(DAY),
        of(Duration::from_secs(60)),
    ];
    assert_eq!(effects, expected);
}

#[tokio::test]
async fn the_version_and_the_trace_go_along() {
    let port = Port::always(200, json!({}));
    let trace =
        TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
    let name = HeaderName::from_static("x-api-version");
    let by_header = crm().version("2026-01", VersionIn::Header(name)).build(port.clone()).unwrap();
    let by_path = crm().version("v3", VersionIn::Path).build(port.clone()).unwrap();
    let traced = cx(context().with_trace(trace.clone()));
    by_header.exchange(&traced).send(get("/a")).await.unwrap();
    by_path.exchange(&cx(context())).send(get("/a")).await.unwrap();
    assert_eq!(port.lines(), ["GET https://crm.test/api/a", "GET https://crm.test/api/v3/a"]);
    assert_eq!(port.header("x-api-version"), [Some("2026-01".to_owned()), None]);
    assert_eq!(port.header("traceparent"), [Some(trace.to_string()), None]);
    assert_eq!((by_path.system(), by_path.version()), ("crm", Some("v3")));
}

#[tokio::test]
async fn a_version_of_a_manifest_stays_in_its_place() {
    let manifest = |version: &str| {
        SkillManifest::new(SkillId::new("crm.find").unwrap(), "1.0.0").api("crm", version)
    };
    let built = |version: &str| {
        let builder = crm().pinned_by(&manifest(version), VersionIn::Path).unwrap();
        builder.build(Port::always(200, json!({})))
    };
    for bad in ["", ".", "..", "v3/..", "..\\v3", "%2e%2e", "%252E", "v3\r\n"] {
        let e = built(bad).expect_err(bad);
        assert_eq!(e.kind(), ErrorKind::ValidationError, "{bad:?}");
        assert!(e.context().any(|pair| pair == ("system", "crm")), "{e}");
    }
    for good in ["v3", "2026-01", "1.0", "..."] {
        assert_eq!(built(good).unwrap().version(), Some(good));
    }
}

#[tokio::test]
async fn where_effects_are_withheld_nothing_is_sent() {
    let port = Port::always(200, json!({}));
    let api = crm().keyed(DAY).build(port.clone()).unwrap();
    let shadow = api.exchange(&cx(context().with_effects(Effects::Withheld)));
    let search = Template::post("/search").unwrap().reads().fill(&json!({ "q": "x" })).unwrap();
    let delete = Template::delete("/orders").unwrap().fill(&json!({})).unwrap();
    for request in [get("/orders"), search, post("/orders"), delete] {
        let e = shadow.send(request).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::Unsupported, Happened::No));
    }
    let mut pages =
        shadow.pages::<u64>(get("/orders"), Paging::link_header(), PageLimits::default());
    let e = pages.as_mut().unwrap().next().await.unwrap_err();
    assert_eq!((e.kind(), port.count()), (ErrorKind::Unsupported, 0));
}

#[tokio::test]
async fn an_error_behind_a_write_never_says_that_nothing_happened() {
    let port = Port::new(|_, request| {
        let status = if request.method() == "POST" { 200 } else { 404 };
        Ok(super::reply(status, &[], &json!({})))
    });
    let api = crm().build(port).unwrap();
    let call = exchange(&api);
    let e = call.send(get("/orders/1")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::NotFound, Happened::No));
    let e =
        call.send(Template::put("/orders/1").unwrap().fill(&json!({})).unwrap()).await.unwrap_err();
    assert_eq!(e.happened(), Happened::No, "refused, so nothing was done");
    let e = call.send(get("/orders/1")).await.unwrap_err();
    assert_eq!(e.happened(), Happened::No);
    call.send(post("/orders")).await.unwrap();
    let e = call.send(get("/orders/1")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::NotFound, Happened::Maybe));
    let other = exchange(&api).send(get("/orders/1")).await.unwrap_err();
    assert_eq!(other.happened(), Happened::No, "another call is another matter");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_caller_gave_up_may_have_happened() {
    /// A port that never answers writes.
    #[derive(Debug)]
    struct Slow(Port);

    #[async_trait::async_trait]
    impl openclaw_core::http::Http for Slow {
        async fn send(
            &self,
            call: openclaw_core::Call<http::Request<bytes::Bytes>>,
        ) -> openclaw_core::Result<http::Response<openclaw_core::http::Body>> {
            if call.payload().method() == "POST" {
                std::future::pending::<()>().await;
            }
            self.0.send(call).await
        }
    }
    let api = crm().build(Slow(Port::always(404, Value::Null))).unwrap();
    let call = exchange(&api);
    let e = call.send(get("/orders/1")).await.unwrap_err();
    assert_eq!(e.happened(), Happened::No);
    let dropped = tokio::time::timeout(Duration::from_secs(1), call.send(post("/orders"))).await;
    assert!(dropped.is_err());
    let e = call.send(get("/orders/1")).await.unwrap_err();
    assert_eq!(e.happened(), Happened::Maybe);
}

#[tokio::test]
async fn an_answer_is_read_strictly() {
    #[derive(Debug, serde::Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "only its shape matters")]
        lines: Vec<u32>,
    }
    let read = |kind: &'static str, body: &'static str, write: bool| async move {
        let port = Port::new(move |_, _| {
            let response = http::Response::builder().header("content-type", kind);
            Ok(response.body(openclaw_core::http::Body::full(body)).unwrap())
        });
        let api = crm().build(port).unwrap();
        let request = if write { post("/orders") } else { get("/orders") };
        exchange(&api)
            .read::<Order>(request)
            .await
            .map_err(|e| (e.kind(), e.happened(), e.to_string()))
    };
    let (kind, broken) = ("application/json", ErrorKind::ServerError);
    assert!(
        read("application/vnd.crm+json; charset=utf-8", r#"{"lines":[1]}"#, true).await.is_ok()
    );
    for (content, body) in [
        (kind, r#"{"lines":[1]"#),
        (kind, r#"{"lines":[1],"lines":[2]}"#),
        (kind, "secret-text"),
        ("text/html", "<html>secret-text</html>"),
    ] {
        let (is, happened, text) = read(content, body, false).await.unwrap_err();
        assert_eq!((is, happened), (broken, Happened::No), "{body}");
        assert!(!text.contains("secret"), "{text}");
        let (is, happened, _) = read(content, body, true).await.unwrap_err();
        assert_eq!((is, happened), (broken, Happened::Maybe), "{body}");
    }
    let drifted = r#"{"lines":[1,"secret-text"]}"#;
    let (is, happened, text) = read(kind, drifted, true).await.unwrap_err();
    assert_eq!((is, happened), (ErrorKind::ValidationError, Happened::Yes), "it was done");
    assert!(text.contains("pointer=/lines/1") && !text.contains("secret"), "{text}");
    let (is, happened, _) = read(kind, "", false).await.unwrap_err();
    assert_eq!((is, happened), (ErrorKind::ValidationError, Happened::No));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_an_error() {
    let port = Port::always(200, json!({ "a": "x".repeat(1_000) }));
    let api = crm().max_response(100).build(port).unwrap();
    let e = exchange(&api).send(post("/orders")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe));
    let e = exchange(&api).send(get("/orders")).await.unwrap_err();
    assert_eq!(e.happened(), Happened::No);
}

#[test]
fn an_address_without_sense_makes_no_api() {
    for bad in ["crm.test", "ftp://crm.test", "http://ann:pw@crm.test", "https://crm.test?x=1"] {
        let e = Api::builder("crm", bad).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ValidationError, "{bad}");
        assert!(!e.to_string().contains("pw"), "{e}");
    }
}

#[tokio::test]
async fn nothing_that_is_printed_quotes_what_is_asked_or_answered() {
    let port = Port::always(200, json!({ "a": "secret-text" }));
    let api = crm().build(port).unwrap();
    let template = Template::post("/customers/{id}").unwrap().query("q");
    let input = json!({ "id": "secret-text", "q": "secret-text", "body": "secret-text" });
    let request = template.fill(&input).unwrap().header(header::FROM, "secret-text").unwrap();
    let call = exchange(&api);
    let mut printed = format!("{api:?} {call:?} {request:?}");
    let answer = call.send(request).await.unwrap();
    printed += &format!("{answer:?} {:?}", answer.read::<Vec<u8>>().unwrap_err());
    let operation = Operation::new("{ a }").unwrap().variables(&json!({ "a": "secret-text" }));
    printed += &format!("{:?}", operation.unwrap());
    assert!(!printed.contains("secret"), "{printed}");
}

#[tokio::test]
async fn one_key_is_for_one_request() {
    let port = Port::new(|number, _| {
        Ok(super::reply(if number == 1 { 503 } else { 200 }, &[], &json!({})))
    });
    let api = crm().keyed(DAY).build(port.clone()).unwrap();
    let body = |path: &str, a: u32| Template::post(path).unwrap().fill(&json!({ "a": a })).unwrap();
    let call = exchange(&api);
    call.send(body("/orders", 1)).await.unwrap_err();
    call.send(body("/orders", 1)).await.expect("the same request again");
    let tagged = body("/orders", 1).header(header::FROM, "ann").unwrap();
    let removed = Template::delete("/orders").unwrap().fill(&json!({})).unwrap();
    for other in [body("/orders", 2), body("/notes", 1), tagged, removed] {
        let e = call.send(other).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe), "{e}");
        assert!(e.message().contains("step"), "{e}");
    }
    assert_eq!(port.count(), 2, "nothing else was sent");
    call.send(body("/orders", 2).step("second")).await.expect("a key of its own");
    let e = call.send(body("/orders", 3).step("second")).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ValidationError);
    call.send(get("/orders")).await.expect("what reads has no key");
    exchange(&api).send(body("/orders", 2)).await.expect("another call is another matter");
    assert_eq!(port.count(), 5);
}

#[tokio::test]
async fn a_mutation_has_a_key_of_its_own_by_its_step() {
    let port = Port::always(200, json!({ "data": { "a": 1 } }));
    let api = crm().keyed(DAY).build(port.clone()).unwrap();
    let change = |to: u32| {
        let change = Operation::new("mutation Change($to: Int!) { change(to: $to) { id } }");
        change.unwrap().variables(&json!({ "to": to })).unwrap()
    };
    let call = exchange(&api);
    call.graphql::<Value>(&change(1)).await.unwrap();
    let e = call.graphql::<Value>(&change(2)).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ValidationError);
    call.graphql::<Value>(&change(2).step("second")).await.unwrap();
    let keys = port.header("idempotency-key");
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
}

#[tokio::test]
async fn a_request_that_its_key_does_not_fit_did_not_happen() {
    let refuse = |_: usize, _: &http::Request<bytes::Bytes>| {
        let e = openclaw_core::Error::new(ErrorKind::Unavailable, "no connection");
        Err(e.with_happened(Happened::No))
    };
    let api = crm().keyed(DAY).build(Port::new(refuse)).unwrap();
    let call = exchange(&api);
    call.send(post("/orders")).await.unwrap_err();
    let e = call.send(post("/notes")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No));
}

#[tokio::test]
async fn an_api_without_keys_takes_one_write_after_the_other() {
    let port = Port::always(200, json!({}));
    let api = crm().build(port.clone()).unwrap();
    let call = exchange(&api);
    call.send(post("/orders")).await.unwrap();
    call.send(post("/notes")).await.unwrap();
    assert_eq!((port.count(), port.header("idempotency-key")), (2, vec![None, None]));
}
