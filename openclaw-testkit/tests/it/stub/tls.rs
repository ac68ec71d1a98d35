//! What a peer that opens TLS gets from a server that has none.

use openclaw_testkit::stub::{StubServer, TlsFailure, any, ok};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{connect, drain, fetch, is_reset, is_silent, raw, soon, stub};

/// A `ClientHello` of TLS 1.2 with one cipher suite and no extensions.
fn hello() -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xC0, 0x2F], &[1, 0]].concat();
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let message = [&[1, 0][..], &length(body.len()), &body].concat();
    [&[22, 3, 1][..], &length(message.len()), &message].concat()
}

async fn failing(failure: TlsFailure) -> StubServer {
    let stub = stub().await;
    stub.fail_tls(failure);
    stub
}

/// The bytes that answer a `ClientHello`, and whether they end in good order.
async fn answer(failure: TlsFailure) -> (Vec<u8>, bool) {
    let stub = failing(failure).await;
    let mut stream = connect(&stub).await;
    stream.write_all(&hello()).await.unwrap();
    let mut heard = Vec::new();
    let end = soon(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard)).await;
    assert_eq!(stub.handshakes(), 1);
    stub.verify().expect("it was asked for");
    (heard, end.is_ok())
}

#[tokio::test]
async fn a_handshake_is_answered_by_a_fatal_alert() {
    let (heard, in_order) = answer(TlsFailure::Alert).await;
    let (content_type, fatal, handshake_failure) = (21, 2, 40);
    assert_eq!(heard, [content_type, 3, 3, 0, 2, fatal, handshake_failure]);
    assert!(in_order, "a reset would overtake the alert");
}

#[tokio::test]
async fn garbage_is_no_record_of_tls() {
    let (heard, in_order) = answer(TlsFailure::Garbage).await;
    assert!(!(20..=24).contains(&heard[0]) && in_order, "{heard:?}");
}

#[tokio::test]
async fn plain_http_comes_where_tls_was_expected() {
    let (heard, in_order) = answer(TlsFailure::PlainHttp).await;
    assert!(heard.starts_with(b"HTTP/1.1 400 ") && in_order);
}

#[tokio::test]
async fn a_handshake_may_be_reset_or_hang() {
    let stub = failing(TlsFailure::Reset).await;
    let (heard, end) = raw(&stub, &hello()).await;
    assert!(heard.is_empty() && is_reset(&end), "{end:?}");
    let stub = failing(TlsFailure::Hang).await;
    let mut stream = connect(&stub).await;
    stream.write_all(&hello()).await.unwrap();
    assert!(is_silent(&mut stream).await);
    drop(stub);
    drain(&mut stream).await.1.expect("it ends with the stub");
}

#[tokio::test]
async fn a_hello_in_pieces_is_read_whole() {
    let stub = failing(TlsFailure::Alert).await;
    let mut stream = connect(&stub).await;
    stream.set_nodelay(true).unwrap();
    let hello = hello();
    let (last, most) = hello.split_last().unwrap();
    for byte in most {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(is_silent(&mut stream).await && stub.handshakes() == 0, "one byte is missing");
    stream.write_all(&[*last]).await.unwrap();
    assert_eq!(drain(&mut stream).await.0.len(), 7);
}

#[tokio::test]
async fn tls_that_nobody_asked_for_is_a_complaint() {
    let stub = stub().await;
    raw(&stub, &hello()).await.1.unwrap();
    assert!(stub.verify().unwrap_err().to_string().contains("1 peers opened TLS"));
    assert!(stub.https_url().starts_with("https://127.0.0.1:"));
}

#[tokio::test]
async fn plain_requests_are_served_beside() {
    let stub = failing(TlsFailure::Reset).await;
    stub.on(any()).reply(ok(json!(1)));
    assert_eq!(fetch(&stub).await.unwrap().0, 200);
    assert_eq!(stub.handshakes(), 0);
}
