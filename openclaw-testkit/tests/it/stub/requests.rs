//! What the stub reads: connections that stay, bodies of each kind, and bounds.

use std::{pin::Pin, time::Duration};

use openclaw_testkit::stub::{StubServer, any, ok, status};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{GET, answer, connect, drain, raw, soon, stub};

/// A stub that answers everything with `1`.
async fn fine() -> StubServer {
    let stub = stub().await;
    stub.on(any()).reply(ok(json!(1)));
    stub
}

/// The status of the answer to these bytes, and what was written down of it.
async fn refusal(request: &[u8]) -> (String, Vec<String>) {
    let stub = fine().await;
    let (heard, end) = raw(&stub, request).await;
    end.expect("the answer arrives, and a good end");
    assert!(stub.received().is_empty(), "no rule has seen it");
    let report = stub.verify().unwrap_err();
    (heard.split(' ').nth(1).unwrap_or_default().to_owned(), report.complaints().to_vec())
}

#[tokio::test]
async fn requests_are_kept_whole_and_in_order() {
    let stub = fine().await;
    let client = reqwest::Client::new();
    let url = format!("{}/a%20b?x=1&y=?", stub.url());
    client.post(url).header("X-Trace", "t1").body(r#"{"n":1}"#).send().await.unwrap();
    client.delete(stub.url()).send().await.unwrap();
    let received = stub.received();
    assert_eq!(received.len(), 2);
    let first = &received[0];
    assert_eq!((first.method(), first.path(), first.query()), ("POST", "/a%20b", Some("x=1&y=?")));
    assert_eq!((first.header("x-TRACE"), first.header("none")), (Some("t1"), None));
    assert_eq!((first.body().as_ref(), first.json()), (&br#"{"n":1}"#[..], Some(json!({"n": 1}))));
    assert!(first.headers().iter().any(|(name, value)| name == "content-length" && value == "7"));
    assert!(first.is_matched() && first.had_effect() && first.at() <= received[1].at());
    assert_eq!(
        (received[1].method(), received[1].path(), received[1].query()),
        ("DELETE", "/", None)
    );
}

#[tokio::test]
async fn a_connection_is_kept_alive_until_it_is_asked_to_close() {
    let stub = fine().await;
    let mut stream = connect(&stub).await;
    for _ in 0..3 {
        stream.write_all(GET).await.unwrap();
        assert!(answer(&mut stream, 1).await.ends_with("\r\n\r\n1"));
    }
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n").await.unwrap();
    let (heard, end) = drain(&mut stream).await;
    end.unwrap();
    assert!(heard.ends_with("\r\n\r\n1"));
    let (heard, end) = raw(&stub, b"GET / HTTP/1.0\r\n\r\n").await;
    end.unwrap();
    assert!(heard.ends_with("\r\n\r\n1"));
    let on: Vec<u64> = stub.received().iter().map(|r| r.connection()).collect();
    assert_eq!(on, [1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let stub = stub().await;
    stub.on(any()).reply_seq([ok(json!("first")), ok(json!("second"))]);
    let post = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    let last = "GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    let (heard, _) = raw(&stub, format!("{post}{last}").as_bytes()).await;
    let (first, second) = (heard.find("first").unwrap(), heard.find("second").unwrap());
    assert!(first < second);
    assert_eq!(stub.received()[0].body().as_ref(), b"{}");
}

#[tokio::test]
async fn a_chunked_body_is_put_together_however_it_is_cut() {
    let stub = fine().await;
    let request = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                   3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";
    let mut stream = connect(&stub).await;
    stream.set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    answer(&mut stream, 1).await;
    stream.write_all(GET).await.unwrap();
    answer(&mut stream, 1).await;
    let received = stub.received();
    assert_eq!(received[0].body().as_ref(), b"abc0123456789");
    assert_eq!(received[1].method(), "GET", "nothing of the first is left over");
}

#[tokio::test]
async fn who_asks_for_it_is_told_to_continue() {
    let stub = fine().await;
    let mut stream = connect(&stub).await;
    let head = b"POST / HTTP/1.1\r\ncontent-length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    assert_eq!(answer(&mut stream, 0).await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(stub.received().is_empty(), "the body has not come");
    stream.write_all(b"body").await.unwrap();
    assert!(answer(&mut stream, 1).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(stub.received()[0].body().as_ref(), b"body");
}

#[tokio::test]
async fn a_request_that_breaks_off_has_not_come() {
    let stub = fine().await;
    for part in ["", "GET / HT", "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf"] {
        let mut stream = connect(&stub).await;
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(drain(&mut stream).await.0, "", "{part}");
    }
    assert!(stub.received().is_empty());
    stub.verify().unwrap();
}

#[tokio::test]
async fn heads_have_a_bound() {
    let head = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\nx: ";
        format!("{start}{}\r\n\r\n", "a".repeat(bytes - start.len() - 4)).into_bytes()
    };
    let stub = fine().await;
    let mut stream = connect(&stub).await;
    stream.write_all(&head(64 * 1024)).await.unwrap();
    assert!(answer(&mut stream, 1).await.starts_with("HTTP/1.1 200"), "64 KiB fit");

    let (code, complaints) = refusal(&head(64 * 1024 + 1)).await;
    assert_eq!(code, "431");
    assert!(complaints[0].contains("64 KiB"), "{complaints:?}");
    let endless = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &[b'a'; 80 * 1024]].concat();
    assert_eq!(refusal(&endless).await.0, "431");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    assert_eq!(refusal(many.as_bytes()).await.0, "431");
    let trailers = "a: b\r\n".repeat(20_000);
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    assert_eq!(refusal(format!("{chunked}{trailers}").as_bytes()).await.0, "431");
}

#[tokio::test]
async fn bodies_have_a_bound() {
    const LARGEST: usize = 16 * 1024 * 1024;
    let stub = fine().await;
    let client = reqwest::Client::new();
    let response = soon(client.post(stub.url()).body(vec![0; LARGEST]).send()).await.unwrap();
    assert_eq!((response.status().as_u16(), stub.received()[0].body().len()), (200, LARGEST));

    let declared = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", LARGEST + 1);
    assert_eq!(refusal(declared.as_bytes()).await.0, "413");
    let absurd = b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n";
    assert_eq!(refusal(absurd).await.0, "413");
    let chunk = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nffffffff\r\n";
    assert_eq!(refusal(chunk.as_bytes()).await.0, "413");
}

#[tokio::test]
async fn who_is_refused_can_finish_its_body_and_read_why() {
    let stub = fine().await;
    let client = reqwest::Client::new();
    let request = client.post(stub.url()).body(vec![0; 17 * 1024 * 1024]);
    assert_eq!(soon(request.send()).await.expect("no reset").status(), 413);

    let mut stream = connect(&stub).await;
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n").await.unwrap();
    assert!(drain(&mut stream).await.0.starts_with("HTTP/1.1 413 "));
    for _ in 0..3 {
        stream.write_all(b"more").await.expect("it is heard out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_so_and_counts_against_the_client() {
    let cases = [
        ("\0\0\0\0", "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "501"),
    ];
    for (request, expected) in cases {
        let (code, complaints) = refusal(request.as_bytes()).await;
        assert_eq!(code, expected, "{request:?}");
        assert!(complaints.len() == 1 && complaints[0].contains(expected), "{complaints:?}");
    }
}

#[tokio::test]
async fn arrivals_can_be_waited_for() {
    let stub = stub().await;
    stub.on(any()).reply(status(200));
    let mut wait = std::pin::pin!(stub.arrived(2));
    super::fetch(&stub).await.unwrap();
    assert!(is_pending(wait.as_mut()).await, "one is not two");
    super::fetch(&stub).await.unwrap();
    soon(wait).await;
}

async fn is_pending(wait: Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::time::timeout(Duration::ZERO, wait).await.is_err()
}
