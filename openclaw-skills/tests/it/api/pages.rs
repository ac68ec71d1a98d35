//! Lists in pages: every record once, and never more than allowed.

use std::time::Duration;

use openclaw_core::{Error, ErrorKind, Happened};
use openclaw_skills::api::{Listing, Operation, PageLimits, Paging, Template, Truncated};
use serde_json::{Value, json};

use super::{Port, crm, exchange, get, post, reply};

/// The value of a parameter of the query.
fn param(request: &http::Request<bytes::Bytes>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next_back()
}

fn limits(change: impl FnOnce(&mut PageLimits)) -> PageLimits {
    let mut limits = PageLimits::default();
    change(&mut limits);
    limits
}

async fn list(port: &Port, paging: Paging, limits: PageLimits) -> Listing<u64> {
    let api = crm().build(port.clone()).unwrap();
    let call = exchange(&api);
    call.pages(get("/items").query("size", "3"), paging, limits).unwrap().collect().await.unwrap()
}

/// 0 to 7, three on a page, behind cursors `c0`, `c1`, `c2`.
fn by_cursor() -> Port {
    Port::new(|_, request| {
        let page: u64 = param(request, "cursor").map_or(0, |c| c[1..].parse().unwrap());
        let items: Vec<u64> = (page * 3..8.min(page * 3 + 3)).collect();
        let next = if page < 2 { json!(format!("c{}", page + 1)) } else { Value::Null };
        Ok(reply(200, &[], &json!({ "data": items, "next": next, "more": page < 2 })))
    })
}

fn cursor() -> Paging {
    Paging::cursor("/next", "cursor").items("/data")
}

fn all() -> Vec<u64> {
    (0..8).collect()
}

#[tokio::test]
async fn a_cursor_in_the_body_is_followed() {
    let port = by_cursor();
    let whole = list(&port, cursor(), PageLimits::default()).await;
    assert_eq!((whole.records, whole.truncated), (all(), None));
    let asked = |query: &str| format!("GET https://crm.test/api/items?size=3{query}");
    assert_eq!(port.lines(), [asked(""), asked("&cursor=c1"), asked("&cursor=c2")]);
    let short = list(&by_cursor(), cursor().size(100), PageLimits::default()).await;
    assert_eq!((short.records, short.truncated), (all(), None), "the cursor counts, not the size");
}

#[tokio::test]
async fn a_link_is_followed_at_its_own_origin_only() {
    let linked = |to: &'static str| {
        Port::new(move |number, _| {
            let link = format!("<{to}>; rel=\"next\"");
            let headers = [("link", link.as_str())];
            Ok(reply(200, if number == 1 { &headers } else { &[] }, &json!([number])))
        })
    };
    for (to, then) in [
        ("https://crm.test/api/items?page=2", "https://crm.test/api/items?page=2"),
        ("/api/items?page=2", "https://crm.test/api/items?page=2"),
        ("?page=2", "https://crm.test/api/items?page=2"),
    ] {
        let port = linked(to);
        let whole = list(&port, Paging::link_header(), PageLimits::default()).await;
        assert_eq!((whole.records, whole.truncated), (vec![1, 2], None), "{to}");
        assert_eq!(port.lines()[1], format!("GET {then}"));
    }
    for to in ["https://evil.test/", "http://crm.test/", "https://crm.test:8080/", "//evil.test/x"]
    {
        let port = linked(to);
        let part = list(&port, Paging::link_header(), PageLimits::default()).await;
        assert_eq!((part.records, part.truncated), (vec![1], Some(Truncated::ForeignLink)), "{to}");
        assert_eq!(port.count(), 1, "credentials stay: {to}");
    }
    let port = Port::new(|number, _| {
        let next = if number == 1 { json!("/api/items?after=1") } else { Value::Null };
        Ok(reply(200, &[], &json!({ "links": { "next": next }, "items": [number] })))
    });
    let paging = Paging::next_link("/links/next").items("/items");
    assert_eq!(list(&port, paging, PageLimits::default()).await.records, [1, 2]);
}

#[tokio::test]
async fn numbers_of_pages_and_records_count_up_to_the_end() {
    let numbered = |name: &'static str, first: u64, per: u64| {
        Port::new(move |_, request| {
            let at: u64 = param(request, name).unwrap().parse().unwrap();
            let from = (at - first) * per;
            Ok(reply(200, &[], &json!((from..8.min(from + 3)).collect::<Vec<u64>>())))
        })
    };
    let port = numbered("page", 1, 3);
    let whole = list(&port, Paging::page("page", 1), PageLimits::default()).await;
    assert_eq!((whole.records, whole.truncated, port.count()), (all(), None, 4));
    let port = numbered("page", 0, 3);
    let whole = list(&port, Paging::page("page", 0).size(3), PageLimits::default()).await;
    assert_eq!((whole.records, port.count()), (all(), 3), "a short page is the last");
    let port = numbered("offset", 0, 1);
    let whole = list(&port, Paging::offset("offset").size(3), PageLimits::default()).await;
    assert_eq!((whole.records, port.count()), (all(), 3));
}

#[tokio::test]
async fn a_connection_is_followed() {
    let connection = |edges: bool| {
        Port::new(move |_, request| {
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let after =
                body["variables"]["after"].as_str().map_or(0, |c| c.parse::<u64>().unwrap());
            let records = (after..8.min(after + 3)).collect::<Vec<_>>();
            let info =
                json!({ "hasNextPage": after + 3 < 8, "endCursor": (after + 3).to_string() });
            let list = if edges {
                json!({ "pageInfo": info, "edges": records.iter().map(|n| json!({ "node": n })).collect::<Vec<_>>() })
            } else {
                json!({ "pageInfo": info, "nodes": records })
            };
            Ok(reply(200, &[], &json!({ "data": { "shop": { "items": list } } })))
        })
    };
    let document = "query($after: String) { shop { items(after: $after) { nodes { id } } } }";
    let operation = Operation::new(document).unwrap();
    for (edges, paging) in [
        (false, Paging::connection("/shop/items")),
        (true, Paging::connection_of_edges("/shop/items")),
    ] {
        let api = crm().build(connection(edges)).unwrap();
        let call = exchange(&api);
        let request = operation.request().unwrap();
        let pages = call.pages::<u64>(request, paging, PageLimits::default()).unwrap();
        let whole = pages.collect().await.unwrap();
        assert_eq!((whole.records, whole.truncated), (all(), None));
    }
}

#[tokio::test]
async fn a_page_of_a_connection_with_errors_is_an_error() {
    let partial = json!({
        "data": { "items": { "nodes": [1], "pageInfo": { "hasNextPage": false, "endCursor": null } } },
        "errors": [{ "message": "x", "path": ["items"], "extensions": { "code": "FORBIDDEN" } }],
    });
    let api = crm().build(Port::always(200, partial)).unwrap();
    let call = exchange(&api);
    let request = Operation::new("{ items { nodes } }").unwrap().request().unwrap();
    let mut pages =
        call.pages::<u64>(request, Paging::connection("/items"), PageLimits::default()).unwrap();
    let e = pages.next().await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No));
}

#[tokio::test(start_paused = true)]
async fn every_limit_ends_the_list_and_says_so() {
    let endless = || {
        Port::new(|number, _| {
            Ok(reply(200, &[], &json!({ "data": [1, 2, 3], "next": format!("c{number}") })))
        })
    };
    let port = endless();
    let part = list(&port, cursor(), PageLimits::default()).await;
    assert_eq!((part.records.len(), part.truncated), (3_000, Some(Truncated::Pages)));
    assert_eq!(port.count(), 1_000);

    let big = Port::new(|number, _| {
        Ok(reply(200, &[], &json!({ "data": vec![1; 300], "next": format!("c{number}") })))
    });
    let part = list(&big, cursor(), PageLimits::default()).await;
    assert_eq!((part.records.len(), part.truncated), (10_000, Some(Truncated::Records)));
    assert_eq!(big.count(), 34);

    let part = list(&by_cursor(), cursor(), limits(|l| l.records = 8)).await;
    assert_eq!((part.records, part.truncated), (all(), None), "all there is, and no more");
    let part = list(&by_cursor(), cursor(), limits(|l| l.records = 6)).await;
    assert_eq!((part.records.len(), part.truncated), (6, Some(Truncated::Records)));
    let part = list(&by_cursor(), cursor(), limits(|l| l.pages = 3)).await;
    assert_eq!((part.records, part.truncated), (all(), None));
}

#[tokio::test]
async fn the_bytes_of_a_list_are_bounded_and_a_page_beyond_them_is_not_read() {
    let long = Port::new(|number, _| {
        let record = "x".repeat(1 << 20);
        Ok(reply(200, &[], &json!({ "data": [record], "next": format!("c{number}") })))
    });
    let api = crm().build(long.clone()).unwrap();
    let call = exchange(&api);
    let pages = call.pages::<String>(get("/items"), cursor(), PageLimits::default()).unwrap();
    let part = pages.collect().await.unwrap();
    assert_eq!((part.records.len(), part.truncated), (63, Some(Truncated::Bytes)));
    assert_eq!(long.count(), 64, "64 MiB: the last page would go beyond");

    let size = |next: &str| json!({ "data": [1], "next": next }).to_string().len();
    let small = || {
        Port::new(|number, _| {
            Ok(reply(200, &[], &json!({ "data": [number], "next": format!("c{number}") })))
        })
    };
    for (bytes, records, asked) in [
        (2 * size("c1"), vec![1, 2], 2),
        (2 * size("c1") - 1, vec![1], 2),
        (size("c1") - 1, vec![], 1),
        (0, vec![], 0),
    ] {
        let port = small();
        let part = list(&port, cursor(), limits(|l| l.bytes = bytes)).await;
        assert_eq!((part.records, part.truncated), (records, Some(Truncated::Bytes)), "{bytes}");
        assert_eq!(port.count(), asked, "{bytes}");
    }
    let whole = by_cursor();
    let part = list(&whole, cursor(), limits(|l| l.bytes = 1 << 10)).await;
    assert_eq!((part.records, part.truncated), (all(), None), "all there is, and no more");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_list_is_bounded_within_a_page_and_between_pages() {
    /// A port that takes its time.
    #[derive(Debug)]
    struct Slow(Port, Duration);

    #[async_trait::async_trait]
    impl openclaw_core::http::Http for Slow {
        async fn send(
            &self,
            call: openclaw_core::Call<http::Request<bytes::Bytes>>,
        ) -> openclaw_core::Result<http::Response<openclaw_core::http::Body>> {
            tokio::time::sleep(self.1).await;
            self.0.send(call).await
        }
    }
    for (each, records) in [(40, 3), (100, 0)] {
        let api = crm().build(Slow(by_cursor(), Duration::from_secs(each))).unwrap();
        let call = exchange(&api);
        let start = tokio::time::Instant::now();
        let pages = call.pages::<u64>(get("/items"), cursor(), PageLimits::default()).unwrap();
        let part = pages.collect().await.unwrap();
        assert_eq!((part.records.len(), part.truncated), (records, Some(Truncated::Time)));
        assert_eq!(start.elapsed(), Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_list_that_goes_round_ends() {
    let round = Port::new(|number, _| {
        let next = ["a", "b", "a", "b"][number - 1];
        Ok(reply(200, &[], &json!({ "data": [number], "next": next })))
    });
    let part = list(&round, cursor(), PageLimits::default()).await;
    assert_eq!((part.records, part.truncated), (vec![1, 2, 3], Some(Truncated::RepeatedCursor)));

    let itself = Port::new(|_, _| Ok(reply(200, &[("link", "<?size=3>; rel=next")], &json!([1]))));
    let part = list(&itself, Paging::link_header(), PageLimits::default()).await;
    assert_eq!((part.records, part.truncated), (vec![1], Some(Truncated::RepeatedCursor)));

    let deaf = Port::always(200, json!([1, 2]));
    let part = list(&deaf, Paging::page("page", 1), PageLimits::default()).await;
    assert_eq!((part.records, part.truncated), (vec![1, 2], Some(Truncated::RepeatedPage)));

    let empty = || Port::always(200, json!({ "data": [], "more": true }));
    let offset = Paging::offset("offset").items("/data").more("/more");
    let part = list(&empty(), offset, PageLimits::default()).await;
    assert_eq!((part.records, part.truncated), (vec![], Some(Truncated::NoCursor)));
    let page = Paging::page("page", 1).items("/data").more("/more");
    let part = list(&empty(), page, limits(|l| l.pages = 3)).await;
    assert_eq!((part.records, part.truncated), (vec![], Some(Truncated::Pages)));

    let lost = Port::always(200, json!({ "data": [1], "next": null, "more": true }));
    let part = list(&lost, cursor().more("/more"), PageLimits::default()).await;
    assert_eq!((part.records, part.truncated), (vec![1], Some(Truncated::NoCursor)));
}

#[tokio::test]
async fn one_bad_record_names_its_place_and_is_passed_over() {
    let port = Port::new(|_, request| {
        let second = param(request, "cursor").is_some();
        let data = if second {
            json!([{ "id": 3 }, { "id": "secret" }, {}])
        } else {
            json!([{ "id": 1 }])
        };
        let next = if second { Value::Null } else { json!("c") };
        Ok(reply(200, &[], &json!({ "data": data, "next": next })))
    });
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Item {
        id: u64,
    }
    let api = crm().build(port).unwrap();
    let call = exchange(&api);
    let mut pages = call.pages::<Item>(get("/items"), cursor(), PageLimits::default()).unwrap();
    let mut ids = Vec::new();
    let mut wrong = Vec::new();
    loop {
        match pages.next().await {
            Ok(Some(item)) => ids.push(item.id),
            Ok(None) => break,
            Err(e) => wrong.push(e),
        }
    }
    assert_eq!(ids, [1, 3]);
    let place = |e: &Error| {
        let pairs: Vec<_> =
            e.context().filter(|(key, _)| matches!(*key, "pointer" | "page")).collect();
        format!("{pairs:?}")
    };
    assert_eq!(place(&wrong[0]), r#"[("pointer", "/data/1/id"), ("page", "2")]"#);
    assert_eq!(place(&wrong[1]), r#"[("pointer", "/data/2"), ("page", "2")]"#);
    assert!(
        wrong
            .iter()
            .all(|e| e.kind() == ErrorKind::ValidationError && e.happened() == Happened::No)
    );
    assert!(!format!("{wrong:?}").contains("secret"));
}

#[tokio::test]
async fn a_page_that_failed_is_asked_for_again() {
    let port = Port::new(|number, request| match number {
        2 => Ok(reply(503, &[], &Value::Null)),
        _ => Ok(reply(
            200,
            &[],
            &match param(request, "cursor") {
                None => json!({ "data": [1], "next": "c" }),
                Some(_) => json!({ "data": [2], "next": null }),
            },
        )),
    });
    let api = crm().build(port.clone()).unwrap();
    let call = exchange(&api);
    let mut pages = call.pages::<u64>(get("/items"), cursor(), PageLimits::default()).unwrap();
    assert_eq!(pages.next().await.unwrap(), Some(1));
    let e = pages.next().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    assert!(e.context().any(|pair| pair == ("page", "2")), "{e}");
    assert_eq!(pages.next().await.unwrap(), Some(2));
    assert_eq!(pages.next().await.unwrap(), None);
    assert_eq!((pages.pages(), pages.truncated()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_no_record() {
    /// A port that hangs on every second request.
    #[derive(Debug)]
    struct Hanging(Port);

    #[async_trait::async_trait]
    impl openclaw_core::http::Http for Hanging {
        async fn send(
            &self,
            call: openclaw_core::Call<http::Request<bytes::Bytes>>,
        ) -> openclaw_core::Result<http::Response<openclaw_core::http::Body>> {
            let answer = self.0.send(call).await;
            if self.0.count() % 2 == 1 {
                std::future::pending::<()>().await;
            }
            answer
        }
    }
    let api = crm().build(Hanging(by_cursor())).unwrap();
    let call = exchange(&api);
    let mut pages = call.pages::<u64>(get("/items"), cursor(), PageLimits::default()).unwrap();
    let mut records = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(1), pages.next()).await {
            Ok(Ok(Some(record))) => records.push(record),
            Ok(other) => break assert_eq!(other.unwrap(), None),
            Err(_dropped) => {}
        }
    }
    assert_eq!(records, all());
}

#[tokio::test]
async fn what_is_no_list_and_what_does_not_read_is_refused() {
    let api = crm().build(Port::always(200, json!({ "data": { "a": 1 } }))).unwrap();
    let call = exchange(&api);
    for paging in [cursor(), cursor().items("/other")] {
        let mut pages = call.pages::<u64>(get("/items"), paging, PageLimits::default()).unwrap();
        let e = pages.next().await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ValidationError);
        assert!(e.context().any(|(key, _)| key == "pointer"), "{e}");
    }
    assert!(call.pages::<u64>(post("/items"), cursor(), PageLimits::default()).is_err());
    let search = Template::post("/search").unwrap().reads().fill(&json!({ "q": 1 })).unwrap();
    let port = Port::new(|_, request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let next = if body["page"]["after"].is_null() { json!("c") } else { Value::Null };
        Ok(reply(200, &[], &json!({ "data": [body["q"]], "next": next })))
    });
    let api = crm().build(port).unwrap();
    let call = exchange(&api);
    let paging = Paging::cursor_in_body("/next", "/page/after").items("/data");
    let whole =
        call.pages::<u64>(search, paging, PageLimits::default()).unwrap().collect().await.unwrap();
    assert_eq!(whole.records, [1, 1]);
}

#[tokio::test]
async fn a_listing_can_stand_in_a_skills_output() {
    let part = list(&by_cursor(), cursor(), limits(|l| l.records = 2)).await;
    let written = serde_json::to_value(&part).unwrap();
    assert_eq!(written, json!({ "records": [0, 1], "truncated": "records" }));
    let schema = openclaw_skills::schemars::schema_for!(Listing<u64>).to_value();
    let schema = openclaw_skills::Schemas::new().compile(&schema).unwrap();
    schema.validate(&written).unwrap();
}
