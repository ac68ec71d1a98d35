//! Requests that nobody means well: too big, too slow, too many, broken.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_core::Limits;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Served, answer, builder, serve};

fn small() -> Limits {
    let mut limits = Limits::default();
    limits.body = 1000;
    limits.read = Duration::from_millis(150);
    limits
}

fn head(extra: &str) -> String {
    format!("POST /v1/messages HTTP/1.1\r\nhost: test\r\n{extra}\r\n")
}

/// A body of exactly this length that is a good message.
fn body_of(length: usize) -> String {
    let (start, end) = (r#"{"channel_id":"web","payload":""#, r#""}"#);
    format!("{start}{}{end}", "x".repeat(length - start.len() - end.len()))
}

#[tokio::test]
async fn a_body_at_the_limit_is_taken_and_one_above_is_not() {
    let served = serve(builder().limits(small())).await;
    assert_eq!(served.post(&body_of(1000)).await.status, 202);
    served.post(&body_of(1001)).await.refuses(413, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let served = serve(builder().limits(small())).await;
    for length in ["1001", "99999999999"] {
        let answer = served.raw(head(&format!("content-length: {length}\r\n"))).await;
        answer.refuses(413, "VALIDATION_ERROR");
    }
    let hook = "POST /hooks/nobody HTTP/1.1\r\nhost: test\r\ncontent-length: 5000\r\n\r\n";
    served.raw(hook).await.refuses(404, "NOT_FOUND");
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let served = serve(builder().limits(small())).await;
    let mut request = head("content-length: 4000000\r\n").into_bytes();
    request.resize(request.len() + 4_000_000, b'x');
    let mut stream = served.connect().await;
    // The server reads on for a moment: it does not reset the connection.
    stream.write_all(&request).await.unwrap();
    answer(&mut stream).await.refuses(413, "VALIDATION_ERROR");
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn a_chunked_body_is_measured_while_it_is_read() {
    let served = serve(builder().limits(small())).await;
    let chunked = head("transfer-encoding: chunked\r\n");
    let good = body_of(1000);
    let (a, b) = good.split_at(400);
    let whole = format!("{chunked}{}{}0\r\n\r\n", chunk(a), chunk(b));
    assert_eq!(served.raw(whole).await.status, 202);

    let mut stream = served.connect().await;
    stream.write_all(format!("{chunked}{}", chunk(&"x".repeat(1001))).as_bytes()).await.unwrap();
    answer(&mut stream).await.refuses(413, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let served = serve(builder().limits(small())).await;
    let mut stream = served.connect().await;
    stream.write_all(head("content-length: 900\r\n").as_bytes()).await.unwrap();
    stream.write_all(b"{").await.unwrap();
    answer(&mut stream).await.refuses(408, "TIMEOUT");
}

#[tokio::test]
async fn trickling_clients_do_not_hold_up_others() {
    let served = serve(builder()).await;
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        let mut stream = served.connect().await;
        stream.write_all(head("content-length: 1000000\r\n").as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(served.post(&body_of(100)).await.status, 202);
}

/// Opens a request whose body never comes, and waits until the server reads it.
async fn half_open(served: &Served, sent: &[u8]) -> TcpStream {
    let mut stream = served.connect().await;
    let expect = head("content-length: 900\r\nexpect: 100-continue\r\n");
    stream.write_all(expect.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 100);
    stream.write_all(sent).await.unwrap();
    stream
}

#[tokio::test]
async fn too_many_bodies_at_once_are_refused() {
    let two = NonZeroUsize::new(2).unwrap();
    let served = serve(builder().reading(two, NonZeroUsize::new(1 << 20).unwrap())).await;
    let first = half_open(&served, b"").await;
    let _second = half_open(&served, b"").await;
    let answer = served.post(&body_of(100)).await;
    answer.refuses(503, "OVERLOADED");
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(first);
    // The place is free once the server sees that the client is gone.
    while served.post(&body_of(100)).await.status != 202 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bodies_may_hold_so_many_bytes_together() {
    let kib = NonZeroUsize::new(2048).unwrap();
    let served = serve(builder().reading(NonZeroUsize::new(100).unwrap(), kib)).await;
    served.post(&body_of(3000)).await.refuses(503, "OVERLOADED");
    for _ in 0..3 {
        assert_eq!(served.post(&body_of(2048)).await.status, 202, "a body gives back what it held");
    }
}

#[tokio::test]
async fn too_many_connections_are_refused_in_words() {
    let served = serve(builder().connections(NonZeroUsize::new(2).unwrap())).await;
    let _held = (half_open(&served, b"").await, half_open(&served, b"").await);
    let mut third = served.connect().await;
    answer(&mut third).await.refuses(503, "OVERLOADED");
}

#[tokio::test]
async fn a_full_queue_is_told_and_nothing_is_lost() {
    let channel = builder().waiting(NonZeroUsize::MIN).build().unwrap();
    let _source = openclaw_core::channel::Channel::receive(&channel).await.unwrap();
    let desk = std::sync::Arc::new(super::Desktop::default());
    let server = channel.serve(([127, 0, 0, 1], 0), std::sync::Arc::clone(&desk)).await.unwrap();
    let served = Served { server, desk, gateway: tokio::spawn(async {}) };
    let mut first = served.connect().await;
    first
        .write_all(&super::request("POST", "/v1/messages", "", body_of(100).as_bytes()))
        .await
        .unwrap();
    let (body, mut status) = (body_of(100), 0);
    while status != 503 {
        // Nobody takes the first out of the queue; a second one that got in before would hang.
        let second = served.post(&body);
        let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), second).await else {
            continue;
        };
        answer.refuses(503, "OVERLOADED");
        status = answer.status;
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_closed() {
    let served = serve(builder()).await;
    for (bytes, status) in [
        ("hello\r\n\r\n".to_owned(), 400),
        ("POST /v1/messages HTTP/1.1\r\nhost: test\r\ncontent-length: x\r\n\r\n".to_owned(), 400),
        (head("content-length: 5\r\ncontent-length: 6\r\n"), 400),
        (head("content-length: -1\r\n"), 400),
        (head(&format!("x-long: {}\r\n", "x".repeat(40_000))), 431),
        (head(&"x-many: 1\r\n".repeat(120)), 431),
    ] {
        assert_eq!(served.raw(&bytes).await.status, status, "{}", &bytes[..40]);
    }
    assert!(served.desk.admitted().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken() {
    let served = serve(builder()).await;
    let mut stream = served.connect().await;
    stream.write_all(head("transfer-encoding: chunked\r\n").as_bytes()).await.unwrap();
    stream.write_all(b"zz\r\n").await.unwrap();
    answer(&mut stream).await.refuses(400, "VALIDATION_ERROR");
    let mut gone = served.connect().await;
    gone.write_all(head("content-length: 900\r\n").as_bytes()).await.unwrap();
    drop(gone);
    assert_eq!(served.post(&body_of(100)).await.status, 202);
    assert_eq!(served.desk.admitted().len(), 1);
}
