//! What sound replies look like, and each form of `Retry-After`.

use std::time::{Duration, UNIX_EPOCH};

use openclaw_core::Timestamp;
use openclaw_testkit::stub::{
    Fault, RetryAfter, StubServer, any, get, method, ok, redirect, status,
};
use reqwest::header::HeaderMap;
use serde_json::json;

use super::{GET, LAST, connect, fetch, raw, soon, stub};

/// The headers a client sees of the next answer.
async fn headers(stub: &StubServer) -> HeaderMap {
    reqwest::get(stub.url()).await.unwrap().headers().clone()
}

#[tokio::test]
async fn every_form_of_retry_after_is_on_the_wire_as_written() {
    // 2030-01-01T00:00:00Z, with a fraction that an HTTP date can't say.
    let at = Timestamp::from_millis(1_893_456_000_900);
    let forms = [
        (RetryAfter::Secs(120), "retry-after", "120"),
        (RetryAfter::Date(at), "retry-after", "Tue, 01 Jan 2030 00:00:00 GMT"),
        (RetryAfter::Millis(1_500), "retry-after-ms", "1500"),
        (RetryAfter::Negative, "retry-after", "-5"),
        (RetryAfter::Past, "retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        (RetryAfter::Raw("2.5".to_owned()), "retry-after", "2.5"),
        (RetryAfter::Raw(String::new()), "retry-after", ""),
    ];
    let stub = stub().await;
    stub.on(any()).reply_seq(forms.iter().map(|(form, ..)| status(503).retry_after(form)));
    for (form, name, value) in &forms {
        let headers = headers(&stub).await;
        let named: Vec<_> = headers.iter().filter(|(n, _)| n.as_str().contains("retry")).collect();
        assert_eq!(named.len(), 1, "{form:?}: {named:?}");
        assert_eq!((named[0].0.as_str(), named[0].1.to_str().unwrap()), (*name, *value));
    }
}

#[tokio::test]
async fn unsound_forms_of_retry_after_are_unsound() {
    let stub = stub().await;
    let forms = [RetryAfter::Malformed, RetryAfter::Huge];
    stub.on(any()).reply_seq(forms.map(|form| status(429).retry_after(&form)));
    let malformed = headers(&stub).await["retry-after"].to_str().unwrap().to_owned();
    assert!(malformed.parse::<f64>().is_err() && httpdate::parse_http_date(&malformed).is_err());
    let huge = headers(&stub).await["retry-after"].to_str().unwrap().to_owned();
    assert!(huge.bytes().all(|b| b.is_ascii_digit()) && huge.parse::<u64>().is_err(), "{huge}");
}

#[tokio::test]
async fn the_short_forms_say_the_same() {
    let stub = stub().await;
    let at = Timestamp::from_millis(1_893_456_000_000);
    stub.on(any()).reply_seq([
        status(429).retry_after_secs(2).rate_limit(100, 0, 30),
        status(429).retry_after_date(at),
        status(429).retry_after_ms(20),
    ]);
    let first = headers(&stub).await;
    assert_eq!(first["retry-after"], "2");
    let limits =
        ["limit", "remaining", "reset"].map(|n| first[&format!("x-ratelimit-{n}")].clone());
    assert_eq!(limits, ["100", "0", "30"]);
    let date = headers(&stub).await["retry-after"].to_str().unwrap().to_owned();
    let seen = httpdate::parse_http_date(&date).unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(seen, Duration::from_millis(at.as_millis()));
    assert_eq!(headers(&stub).await["retry-after-ms"], "20");
}

#[tokio::test]
async fn replies_come_in_order_and_the_last_one_stays() {
    let stub = stub().await;
    stub.on(any()).reply_seq([status(503), status(429), ok(json!({"id": 1}))]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(fetch(&stub).await.unwrap().0);
    }
    assert_eq!(seen, [503, 429, 200, 200]);
}

#[tokio::test]
async fn a_sound_reply_is_these_very_bytes() {
    let stub = stub().await;
    stub.on(get("/")).reply(status(201).header("X-Two", "1").header("X-Two", "2").text("hé"));
    let (heard, end) = raw(&stub, LAST).await;
    end.unwrap();
    let expected = "HTTP/1.1 201 Created\r\nX-Two: 1\r\nX-Two: 2\r\n\
                    content-type: text/plain; charset=utf-8\r\ncontent-length: 3\r\n\r\nhé";
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_chunked_reply_has_its_pieces_and_no_length() {
    let stub = stub().await;
    stub.on(any()).reply(status(200).body("0123456789").chunked(4));
    let (heard, _) = raw(&stub, LAST).await;
    assert!(!heard.contains("content-length"));
    assert!(heard.ends_with("\r\n\r\n4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n"), "{heard}");
    assert_eq!(fetch(&stub).await.unwrap(), (200, b"0123456789".to_vec()));
}

#[tokio::test]
async fn what_has_no_body_by_definition_has_none() {
    let stub = stub().await;
    stub.on(method("HEAD", "/")).reply(ok(json!({"a": 1})));
    stub.on(any()).reply_seq([status(204).body("none"), status(304).body("none")]);
    let client = reqwest::Client::new();
    let head = client.head(stub.url()).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "7");
    assert!(head.bytes().await.unwrap().is_empty());
    for code in [204, 304] {
        let (heard, _) = raw(&stub, LAST).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {code} ")) && heard.ends_with("\r\n\r\n"));
        assert!(!heard.contains("content-length"), "{heard}");
    }
    let (heard, _) = raw(&stub, b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(heard.ends_with("\r\n\r\n"), "{heard}");
}

#[tokio::test]
async fn interim_answers_come_first() {
    let stub = stub().await;
    stub.on(any()).reply(status(200).text("done").interim(102).early_hints("</a.css>"));
    let (heard, _) = raw(&stub, LAST).await;
    let begins =
        "HTTP/1.1 102 \r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200";
    assert!(heard.starts_with(begins), "{heard}");
    assert_eq!(fetch(&stub).await.unwrap(), (200, b"done".to_vec()));
}

#[tokio::test]
async fn a_redirect_leads_to_another_stub() {
    let (here, there) = (stub().await, stub().await);
    there.on(get("/found")).reply(ok(json!("there")));
    here.on(any()).reply(redirect(307, format!("{}/found", there.url())));
    let response = reqwest::get(here.url()).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "\"there\"");
    assert_eq!(there.received()[0].path(), "/found");
}

#[tokio::test]
async fn a_rule_without_a_reply_says_200() {
    let stub = stub().await;
    stub.on(any());
    assert_eq!(fetch(&stub).await.unwrap(), (200, Vec::new()));
}

#[tokio::test]
async fn one_slow_answer_holds_no_other_up() {
    let stub = stub().await;
    stub.on(get("/")).reply(Fault::Hang);
    stub.on(any()).reply(ok(json!(1)));
    let mut slow = connect(&stub).await;
    tokio::io::AsyncWriteExt::write_all(&mut slow, GET).await.unwrap();
    soon(stub.arrived(1)).await;
    let quick = soon(reqwest::get(format!("{}/quick", stub.url()))).await.unwrap();
    assert_eq!(quick.status(), 200);
}
