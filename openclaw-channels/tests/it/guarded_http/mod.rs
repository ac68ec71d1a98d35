//! The HTTP client against servers written by hand: limits, redirects, and what it knows.

mod config;
mod decode;
// A machine has more than one loopback address on these systems only.
#[cfg(any(target_os = "linux", windows))]
mod dns;
mod literals;
mod support;
#[cfg(all(unix, feature = "http-client-tls"))]
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use openclaw_channels::guarded_http::GuardedHttpBuilder;
use openclaw_core::{
    Call, Cancel, ErrorKind, Happened, Result,
    http::{Body, Http},
};
use tokio::{net::TcpListener, time::Instant};

use self::support::{Then, context, local, ok, server, to};

fn post(uri: &str) -> Request<Bytes> {
    Request::post(uri)
        .header("authorization", "Bearer secret")
        .header("idempotency-key", "k-1")
        .header("content-length", "7000")
        .header("host", "elsewhere.test")
        .body(Bytes::from_static(b"refund"))
        .unwrap()
}

async fn send(client: GuardedHttpBuilder, request: Request<Bytes>) -> Result<Response<Body>> {
    support::send(&client.build().unwrap(), request).await
}

#[tokio::test]
async fn a_request_goes_out_whole_and_its_answer_comes_back() {
    let server = server(ok("done")).await;
    let response = send(local(), post(&server.uri("/refunds?a=b"))).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(response.into_body().collect(100).await.unwrap(), "done");
    let heard = server.heard().remove(0);
    assert!(heard.starts_with("POST /refunds?a=b HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("idempotency-key: k-1\r\n") && heard.ends_with("\r\n\r\nrefund"));
    assert!(heard.contains(&format!("host: {}\r\n", server.at)), "the host is that of the address");
    assert_eq!(heard.matches("content-length").count(), 1);
}

#[tokio::test]
async fn a_status_is_an_answer_and_not_an_error() {
    let server =
        server(Then::Answer(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec())).await;
    let response = send(local(), post(&server.uri("/"))).await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
}

#[tokio::test]
async fn without_a_connection_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let e = send(local(), post(&format!("http://{free}/secret-path"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    assert!(!format!("{e:?}").contains("secret-path"), "{e:?}");
}

#[tokio::test]
async fn once_the_request_is_out_nobody_knows() {
    let server = server(Then::Close).await;
    let e = send(local(), post(&server.uri("/"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::Maybe));
    assert_eq!(server.heard().len(), 1, "it is not sent again behind the caller's back");
}

#[tokio::test]
async fn the_timeout_and_the_deadline_end_the_wait() {
    let server = server(Then::Hang(Vec::new())).await;
    let brief = Duration::from_millis(50);
    let e = send(local().timeout(brief), post(&server.uri("/"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));

    let client = local().build().unwrap();
    let soon = context().with_deadline(Instant::now() + brief);
    let e = client.send(Call::http(soon, post(&server.uri("/")))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));
}

#[tokio::test]
async fn a_deadline_that_has_passed_makes_no_request() {
    let server = server(ok("")).await;
    let client = local().build().unwrap();
    let past = context().with_deadline(Instant::now());
    let e = client.send(Call::http(past, post(&server.uri("/")))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_caller_that_gives_up_is_heard() {
    let server = server(Then::Hang(Vec::new())).await;
    let (canceller, cancel) = Cancel::pair();
    let client = local().build().unwrap();
    let call = Call::http(context().with_cancel(cancel), post(&server.uri("/")));
    let gives_up = async {
        while server.heard().is_empty() {
            tokio::task::yield_now().await;
        }
        canceller.cancel();
    };
    let (answer, ()) = tokio::join!(client.send(call), gives_up);
    let e = answer.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Cancelled, Happened::Maybe));
}

#[tokio::test]
async fn a_response_over_the_limit_is_not_read_to_its_end() {
    let long = "x".repeat(1001);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n{}\r\n1\r\nx\r\n",
        "x".repeat(1000)
    );
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{long}");
    for then in [ok(&long), Then::Hang(chunked.into()), Then::Hang(endless.into())] {
        let server = server(then).await;
        let client = local().max_response(1000);
        let response = send(client, post(&server.uri("/"))).await.unwrap();
        let e = response.into_body().collect(usize::MAX).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe));
    }
    let server = server(ok(&"x".repeat(1000))).await;
    let response = send(local().max_response(1000), post(&server.uri("/"))).await.unwrap();
    assert_eq!(response.into_body().collect(usize::MAX).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_body_that_trickles_or_breaks_off_is_told() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    for (then, kind) in [
        (Then::Hang(half.clone()), ErrorKind::Timeout),
        (Then::Answer(half), ErrorKind::Unavailable),
    ] {
        let server = server(then).await;
        let client = local().timeout(Duration::from_millis(100));
        let response = send(client, post(&server.uri("/"))).await.unwrap();
        let e = response.into_body().collect(100).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (kind, Happened::Maybe));
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let head = |size| {
        let long = "x".repeat(size);
        Then::Answer(
            format!("HTTP/1.1 200 OK\r\nx-long: {long}\r\ncontent-length: 0\r\n\r\n").into(),
        )
    };
    let fits = server(head(9000)).await;
    let client = || local().max_response_head(10_000);
    assert_eq!(send(client(), post(&fits.uri("/"))).await.unwrap().headers()["x-long"].len(), 9000);
    let endless = server(head(30_000)).await;
    let e = send(client(), post(&endless.uri("/"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe), "{e}");
    assert!(e.to_string().contains("longer than the limit"), "{e}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_some_are_allowed() {
    let end = server(ok("here")).await;
    let start = server(to(302, &end.uri("/there"))).await;
    let answer = send(local(), post(&start.uri("/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), end.heard().len()), (302, 0));

    let answer = send(local().redirects(1), post(&start.uri("/"))).await.unwrap();
    assert_eq!(answer.into_body().collect(100).await.unwrap(), "here");
    let heard = end.heard().remove(0);
    assert!(heard.starts_with("GET /there HTTP/1.1\r\n"), "{heard}");
    assert!(!heard.contains("secret") && !heard.contains("k-1"), "another port is another origin");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let circle = server(to(302, "/again")).await;
    let answer = send(local().redirects(3), post(&circle.uri("/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), circle.heard().len()), (302, 4));
    assert!(circle.heard().iter().all(|heard| heard.contains("Bearer secret")), "one origin");
}

#[tokio::test]
async fn a_redirect_to_nowhere_does_not_unsay_the_first_request() {
    for location in ["https://127.0.0.1:1/", "http://127.0.0.1:1/", "http://10.0.0.1/"] {
        let start = server(to(303, location)).await;
        let e = send(local().redirects(1), post(&start.uri("/"))).await.unwrap_err();
        assert_eq!(e.happened(), Happened::Maybe, "{e}");
    }
}

#[tokio::test]
async fn addresses_that_can_not_be_served_are_refused_before_anything_is_sent() {
    for (uri, kind) in [
        #[cfg(not(feature = "http-client-tls"))]
        ("https://127.0.0.1:1/", ErrorKind::Unsupported),
        ("http://127.0.0.1.shop.test@127.0.0.1:1/", ErrorKind::ValidationError),
        ("ftp://127.0.0.1:1/", ErrorKind::ValidationError),
        ("/no/host", ErrorKind::ValidationError),
        ("http://user:word@127.0.0.1:1/", ErrorKind::ValidationError),
    ] {
        let e = send(local(), post(uri)).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (kind, Happened::No), "{uri}");
    }
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    // The environment belongs to the whole process: another one has to be told the proxy.
    let test = "guarded_http::a_request_goes_out_whole_and_its_answer_comes_back";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, "http://127.0.0.1:1");
    }
    let ended = child.args(["--exact", test]).env_remove("NO_PROXY").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
