//! Compressed answers, through the client: taken apart, bounded, and never silently wrong.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response};
use openclaw_core::{Error, ErrorKind, Happened, http::Body};

use super::support::{Then, get, local, send, server, with_body};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn coded(coding: &str, body: &[u8]) -> Then {
    Then::Answer(with_body(&format!("content-encoding: {coding}\r\n"), body))
}

async fn ask(then: Then) -> (Response<Body>, String) {
    let server = server(then).await;
    let client = local().build().unwrap();
    let answer = send(&client, get(&server.uri("/"))).await.unwrap();
    (answer, server.heard().remove(0))
}

async fn useless(then: Then) -> Error {
    let (answer, _) = ask(then).await;
    let e = answer.into_body().collect(usize::MAX).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe), "{e}");
    e
}

#[tokio::test]
async fn gzip_is_asked_for_and_taken_apart() {
    let text = "an order of many words ".repeat(1000);
    for coding in ["gzip", "GZIP", "x-gzip"] {
        let (answer, heard) = ask(coded(coding, &gzip(text.as_bytes()))).await;
        assert!(heard.contains("accept-encoding: gzip\r\n"), "{heard}");
        assert!(!answer.headers().contains_key("content-encoding"));
        assert!(!answer.headers().contains_key("content-length"), "it is that of other bytes");
        assert_eq!(answer.into_body().collect(usize::MAX).await.unwrap(), text);
    }
    let (answer, _) = ask(coded("identity", b"plain")).await;
    assert_eq!(answer.into_body().collect(100).await.unwrap(), "plain");
}

#[tokio::test]
async fn who_asks_for_a_coding_or_a_range_gets_the_bytes_as_they_are() {
    let packed = gzip(b"text");
    for (name, value) in [("accept-encoding", "gzip, br"), ("range", "bytes=0-9")] {
        let server = server(coded("gzip", &packed)).await;
        let request = Request::get(server.uri("/")).header(name, value).body(Bytes::new()).unwrap();
        let answer = send(&local().build().unwrap(), request).await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], "gzip");
        assert_eq!(answer.into_body().collect(100).await.unwrap(), packed);
        let heard = server.heard().remove(0);
        assert_eq!(
            heard.matches("accept-encoding").count(),
            usize::from(name != "range"),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn a_bomb_is_refused() {
    let bomb = gzip(&vec![0; 10 << 20]);
    assert!(bomb.len() < 11_000);
    let e = useless(coded("gzip", &bomb)).await;
    assert!(e.to_string().contains("beyond measure"), "{e}");

    let server = server(coded("gzip", &bomb)).await;
    for (client, word) in [
        (local().max_response(64 << 20), "beyond measure"),
        (local().max_response(1 << 20).max_ratio(10_000), "longer than the limit"),
    ] {
        let answer = send(&client.build().unwrap(), get(&server.uri("/"))).await.unwrap();
        let e = answer.into_body().collect(usize::MAX).await.unwrap_err();
        assert!(e.to_string().contains(word), "{e}");
    }
    let trusting = local().max_response(64 << 20).max_ratio(10_000).build().unwrap();
    let answer = send(&trusting, get(&server.uri("/"))).await.unwrap();
    assert_eq!(answer.into_body().collect(usize::MAX).await.unwrap().len(), 10 << 20);
}

#[tokio::test]
async fn a_stream_that_is_no_whole_gzip_is_told() {
    let packed = gzip("an order of many words ".repeat(1000).as_bytes());
    let (half, _) = packed.split_at(packed.len() / 2);
    let behind = [&packed[..], b"garbage"].concat();
    for body in [half, &b"{\"plain\":true}"[..], &behind] {
        let e = useless(coded("gzip", body)).await;
        assert!(e.to_string().contains("no whole gzip"), "{e}");
    }
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_told() {
    for coding in ["br", "gzip, gzip", "deflate", "gzip\r\ncontent-encoding: gzip"] {
        let e = useless(coded(coding, b"bytes")).await;
        assert!(e.to_string().contains("not asked for"), "{coding}: {e}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_needs_no_gzip() {
    for head in ["204 None\r\n", "304 Same\r\n", "200 OK\r\ncontent-length: 0\r\n"] {
        let then = format!("HTTP/1.1 {head}content-encoding: gzip\r\n\r\n").into_bytes();
        let (answer, _) = ask(Then::Answer(then)).await;
        assert_eq!(answer.into_body().collect(0).await.unwrap(), "", "{head}");
    }
}
