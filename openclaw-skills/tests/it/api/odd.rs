//! Whatever somebody writes into a value, a header, a document or a body: it stays in its place.

use bytes::Bytes;
use http::Response;
use openclaw_core::{Effect, http::Body};
use openclaw_skills::api::{Operation, PageLimits, Paging, Template, outcome};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Port, crm, exchange, get};

/// The text behind `%XX`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let (hex, behind) = more.split_at(2);
            let hex = std::str::from_utf8(hex).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = behind;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The text decoded once, where it is encoded at all.
fn once(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(hex) = hex {
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            bytes.extend(&part.as_bytes()[2..]);
        } else {
            bytes.push(b'%');
            bytes.extend(part.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Does a value mean another path, or none, for somebody who decodes it as often as he likes?
fn leads_elsewhere(value: &str) -> bool {
    let mut text = value.to_owned();
    for _ in 0..=8 {
        let dotted = text.split(['/', '\\']).any(|part| matches!(part, "." | ".."));
        if dotted || text.chars().any(char::is_control) {
            return true;
        }
        let next = once(&text);
        if next == text {
            return value.is_empty();
        }
        text = next;
    }
    true
}

/// Texts that are made of what addresses are made of.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r"[a-z./\\%?#&=:@\[\] \r\n0-9]{0,20}",
        "(%(00|25|2e|2f|5c|41)|[a.]){0,6}",
    ]
}

/// The requests of a list whose pages carry this link.
async fn asked(link: Vec<u8>) -> Vec<String> {
    let port = Port::new(move |_, _| {
        let response = Response::builder().header("link", link.as_slice());
        Ok(response.header("content-type", "application/json").body(Body::full("[]")).unwrap())
    });
    let api = crm().build(port.clone()).unwrap();
    let call = exchange(&api);
    let mut limits = PageLimits::default();
    limits.pages = 3;
    let pages = call.pages::<Value>(get("/items"), Paging::link_header(), limits).unwrap();
    pages.collect().await.unwrap();
    port.lines()
}

proptest! {
    #[test]
    fn no_value_leaves_its_place_in_a_path_or_a_query(id in text(), query in text()) {
        let template = Template::get("/orders/{id}/lines").unwrap();
        let Ok(request) = template.fill(&json!({ "id": id, "q": query })) else {
            prop_assert!(leads_elsewhere(&id), "{:?}", id);
            return Ok(());
        };
        let place = request.path().strip_prefix("/orders/").and_then(|p| p.strip_suffix("/lines"));
        let place = place.unwrap();
        prop_assert!(!place.contains(['/', '\\', '?', '#']), "{:?}", place);
        prop_assert!(!leads_elsewhere(&id), "{:?}", id);
        prop_assert_eq!(decoded(place), id);
        let asked = request.query_text().strip_prefix("q=").unwrap();
        prop_assert!(!asked.contains(['&', '=', '#', '\r', '\n', ' ']), "{:?}", asked);
        prop_assert_eq!(decoded(asked), query);
    }

    #[test]
    fn no_link_leads_to_another_origin(to in text(), more in "[a-z;=\" ,<>/:@.]{0,12}") {
        let link = format!("<{to}>; rel=next{more}");
        prop_assume!(http::HeaderValue::from_str(&link).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for line in runtime.block_on(asked(link.into_bytes())) {
            prop_assert!(line.starts_with("GET https://crm.test/") || line == "GET https://crm.test", "{}", line);
        }
    }

    #[test]
    fn no_document_makes_the_reader_panic(
        document in "([{}()\\[\\]\"#@$: \\n\\\\]|query|mutation|fragment|a){0,24}",
    ) {
        let wraps = format!("mutation {{ {document} }}");
        if let Ok(operation) = Operation::new(wraps) {
            prop_assert!(operation.mutates());
        }
        drop(Operation::new(document));
    }

    #[test]
    fn no_body_makes_the_table_panic_or_quote_it(
        status in 100..1_000_u16,
        secret in "[0-9]{4}-[0-9]{4}",
        place in 0..4_usize,
    ) {
        let bodies = [
            json!({ "error": { "code": secret } }),
            json!({ "errors": [{ "message": secret, "extensions": { "code": secret } }] }),
            json!({ "type": format!("https://x.test/{secret}"), "detail": secret }),
            json!([secret]),
        ];
        let body = bodies.get(place).unwrap().to_string();
        let response = Response::builder().status(status).header("content-type", "application/json");
        if let Err(e) = outcome(Effect::AtMostOnce, &response.body(Bytes::from(body)).unwrap()) {
            let told = format!("{e:?} {} {}", e.message(), e.public());
            prop_assert!(!told.contains(&secret), "{}", told);
        }
    }
}
