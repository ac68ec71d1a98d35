//! The HTTP client against servers written by hand: limits, redirects, and what it knows.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use openclaw_channels::guarded_http::{GuardedHttp, GuardedHttpBuilder};
use openclaw_core::{
    Call, Cancel, Context, ErrorKind, Happened, Result, TenantId,
    http::{Body, Http},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

/// A server that reads each request whole, keeps it, and answers these bytes.
struct Server {
    at: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a server does once it has read a request.
#[derive(Clone)]
enum Then {
    Answer(String),
    /// Sends this, and then nothing more.
    Hang(String),
    Close,
}

async fn server(then: Then) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (heard, connections) =
        (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let (kept, count) = (Arc::clone(&heard), Arc::clone(&connections));
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut request = Vec::new();
            while !is_whole(&request) {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            kept.lock().unwrap().push(String::from_utf8(request).unwrap());
            match &then {
                Then::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Then::Hang(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    open.push(stream);
                }
                Then::Close => {}
            }
        }
    });
    Server { at, heard, connections, task }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    body.len() >= length.unwrap_or(0)
}

fn ok(body: &str) -> Then {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\nx-a: b\r\n\r\n",
        body.len()
    );
    Then::Answer(head + body)
}

fn to(status: u16, location: &str) -> Then {
    Then::Answer(format!(
        "HTTP/1.1 {status} Go\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ))
}

fn context() -> Context {
    Context::new(TenantId::new("acme").unwrap())
}

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
    client.build().unwrap().send(Call::http(context(), request)).await
}

impl Server {
    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_request_goes_out_whole_and_its_answer_comes_back() {
    let server = server(ok("done")).await;
    let response = send(GuardedHttp::builder(), post(&server.uri("/refunds?a=b"))).await.unwrap();
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
    let server = server(Then::Answer("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into())).await;
    let response = send(GuardedHttp::builder(), post(&server.uri("/"))).await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
}

#[tokio::test]
async fn without_a_connection_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let e = send(GuardedHttp::builder(), post(&format!("http://{free}/secret-path")))
        .await
        .unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    assert!(!format!("{e:?}").contains("secret-path"), "{e:?}");
}

#[tokio::test]
async fn once_the_request_is_out_nobody_knows() {
    let server = server(Then::Close).await;
    let e = send(GuardedHttp::builder(), post(&server.uri("/"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::Maybe));
    assert_eq!(server.heard().len(), 1, "it is not sent again behind the caller's back");
}

#[tokio::test]
async fn the_timeout_and_the_deadline_end_the_wait() {
    let server = server(Then::Hang(String::new())).await;
    let brief = Duration::from_millis(50);
    let e = send(GuardedHttp::builder().timeout(brief), post(&server.uri("/"))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));

    let client = GuardedHttp::builder().build().unwrap();
    let soon = context().with_deadline(Instant::now() + brief);
    let e = client.send(Call::http(soon, post(&server.uri("/")))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::Maybe));
}

#[tokio::test]
async fn a_deadline_that_has_passed_makes_no_request() {
    let server = server(ok("")).await;
    let client = GuardedHttp::builder().build().unwrap();
    let past = context().with_deadline(Instant::now());
    let e = client.send(Call::http(past, post(&server.uri("/")))).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Timeout, Happened::No));
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_caller_that_gives_up_is_heard() {
    let server = server(Then::Hang(String::new())).await;
    let (canceller, cancel) = Cancel::pair();
    let client = GuardedHttp::builder().build().unwrap();
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
    for then in [ok(&long), Then::Hang(chunked), Then::Hang(endless)] {
        let server = server(then).await;
        let client = GuardedHttp::builder().max_response(1000);
        let response = send(client, post(&server.uri("/"))).await.unwrap();
        let e = response.into_body().collect(usize::MAX).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe));
    }
    let server = server(ok(&"x".repeat(1000))).await;
    let response =
        send(GuardedHttp::builder().max_response(1000), post(&server.uri("/"))).await.unwrap();
    assert_eq!(response.into_body().collect(usize::MAX).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_body_that_trickles_or_breaks_off_is_told() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned();
    for (then, kind) in [
        (Then::Hang(half.clone()), ErrorKind::Timeout),
        (Then::Answer(half), ErrorKind::Unavailable),
    ] {
        let server = server(then).await;
        let client = GuardedHttp::builder().timeout(Duration::from_millis(100));
        let response = send(client, post(&server.uri("/"))).await.unwrap();
        let e = response.into_body().collect(100).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (kind, Happened::Maybe));
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_some_are_allowed() {
    let end = server(ok("here")).await;
    let start = server(to(302, &end.uri("/there"))).await;
    let answer = send(GuardedHttp::builder(), post(&start.uri("/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), end.heard().len()), (302, 0));

    let answer = send(GuardedHttp::builder().redirects(1), post(&start.uri("/"))).await.unwrap();
    assert_eq!(answer.into_body().collect(100).await.unwrap(), "here");
    let heard = end.heard().remove(0);
    assert!(heard.starts_with("GET /there HTTP/1.1\r\n"), "{heard}");
    assert!(!heard.contains("secret") && !heard.contains("k-1"), "another port is another origin");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let circle = server(to(302, "/again")).await;
    let answer = send(GuardedHttp::builder().redirects(3), post(&circle.uri("/"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), circle.heard().len()), (302, 4));
    assert!(circle.heard().iter().all(|heard| heard.contains("Bearer secret")), "one origin");
}

#[tokio::test]
async fn a_redirect_to_nowhere_does_not_unsay_the_first_request() {
    for location in ["https://127.0.0.1/", "http://127.0.0.1:1/"] {
        let start = server(to(303, location)).await;
        let e = send(GuardedHttp::builder().redirects(1), post(&start.uri("/"))).await.unwrap_err();
        assert_eq!(e.happened(), Happened::Maybe, "{e}");
    }
}

#[tokio::test]
async fn addresses_that_can_not_be_served_are_refused_before_anything_is_sent() {
    for (uri, kind) in [
        ("https://127.0.0.1:1/", ErrorKind::Unsupported),
        ("ftp://127.0.0.1:1/", ErrorKind::ValidationError),
        ("/no/host", ErrorKind::ValidationError),
        ("http://user:word@127.0.0.1:1/", ErrorKind::ValidationError),
    ] {
        let e = send(GuardedHttp::builder(), post(uri)).await.unwrap_err();
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
