//! A server on loopback for clients that speak HTTP/1.1.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use openclaw_core::http::Http;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

use super::{HttpHarness, HttpPeer, Meets};

/// Tries an HTTP client on a server on loopback.
///
/// ```no_run
/// use openclaw_testkit::{conformance::http::on, http_laws};
/// # use openclaw_core::{Call, Result, http::{Body, Http}};
/// # #[derive(Debug)]
/// # struct Client;
/// # #[async_trait::async_trait]
/// # impl Http for Client {
/// #     async fn send(&self, _: Call<http::Request<bytes::Bytes>>) -> Result<http::Response<Body>> {
/// #         Ok(http::Response::new(Body::full("fine")))
/// #     }
/// # }
/// # fn my_client() -> Client { Client }
///
/// http_laws!(on(my_client).max_response(1 << 20));
/// ```
pub fn on<C: Http>(make: impl Fn() -> C + Send + Sync + 'static) -> On {
    On { make: Box::new(move || Box::new(make())), redirects: false, max: None }
}

/// A harness with a server on loopback; made by [`on`].
pub struct On {
    make: Box<dyn Fn() -> Box<dyn Http> + Send + Sync>,
    redirects: bool,
    max: Option<usize>,
}

impl On {
    /// Says that the client follows redirects.
    #[must_use]
    pub const fn follows_redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// Says which response body, in bytes, is the longest that the client reads.
    #[must_use]
    pub const fn max_response(mut self, bytes: usize) -> Self {
        self.max = Some(bytes);
        self
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("max_response", &self.max).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpHarness for On {
    async fn fresh(&self) -> (Box<dyn Http>, Box<dyn HttpPeer>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        // Bound, so that nobody else gets the port, and never told to listen.
        let nobody = TcpSocket::new_v4().expect("a socket");
        nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let elsewhere = other.local_addr().expect("an address");
        let desk = Desk::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, desk.clone()));
        tasks.spawn(listen(other, desk.clone()));
        ((self.make)(), Box::new(Server { at, elsewhere, nobody, desk, _tasks: tasks }))
    }

    fn follows_redirects(&self) -> bool {
        self.redirects
    }

    fn max_response(&self) -> Option<usize> {
        self.max
    }
}

struct Server {
    at: SocketAddr,
    elsewhere: SocketAddr,
    nobody: TcpSocket,
    desk: Desk,
    /// Dropped with the server, which ends them.
    _tasks: JoinSet<()>,
}

/// What was read, and what comes next.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Papers>>);

#[derive(Default)]
struct Papers {
    heard: Vec<Request<Bytes>>,
    script: VecDeque<Meets>,
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, request: &Request<Bytes>) -> Meets {
        let mut desk = self.open();
        desk.heard.push(request.clone());
        desk.script.pop_front().unwrap_or_else(|| {
            let path = request.uri().path_and_query().map(ToString::to_string);
            Meets::Answer(Response::new(path.unwrap_or_default().into()))
        })
    }
}

#[async_trait]
impl HttpPeer for Server {
    fn origin(&self) -> String {
        format!("http://{}", self.at)
    }

    fn elsewhere(&self) -> Option<String> {
        Some(format!("http://{}", self.elsewhere))
    }

    fn nobody(&self) -> Option<String> {
        Some(format!("http://{}", self.nobody.local_addr().ok()?))
    }

    async fn script(&self, next: Meets) {
        self.desk.open().script.push_back(next);
    }

    async fn heard(&self) -> Vec<Request<Bytes>> {
        self.desk.open().heard.clone()
    }
}

async fn listen(listener: TcpListener, desk: Desk) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let desk = desk.clone();
        connections.spawn(async move {
            // A client that goes away ends its connection, and nothing else.
            drop(converse(stream, desk).await);
        });
    }
}

/// Reads requests from one connection and answers them, until one of the two ends it.
async fn converse(mut stream: TcpStream, desk: Desk) -> io::Result<()> {
    let mut read = BytesMut::new();
    while let Some(request) = next(&mut stream, &mut read).await? {
        let head = *request.method() == Method::HEAD;
        match desk.take(&request) {
            Meets::Answer(response) => stream.write_all(&written(&response, head)).await?,
            Meets::Pieces(pieces) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                for piece in pieces {
                    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                    stream.write_all(&piece).await?;
                    stream.write_all(b"\r\n").await?;
                    stream.flush().await?;
                }
                stream.write_all(b"0\r\n\r\n").await?;
            }
            Meets::Stall(begin) => {
                begun(&mut stream, &begin).await?;
                std::future::pending::<()>().await;
            }
            Meets::Break(begin) => return begun(&mut stream, &begin).await,
            Meets::HangUp => return Ok(()),
            Meets::Silence => std::future::pending().await,
        }
    }
    Ok(())
}

/// The head of a long body, and its beginning.
async fn begun(stream: &mut TcpStream, begin: &[u8]) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
    stream.write_all(begin).await?;
    stream.flush().await
}

fn written(response: &Response<Bytes>, head: bool) -> Vec<u8> {
    let status = response.status();
    let mut bytes = format!("HTTP/1.1 {} law\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless {
        bytes
            .extend_from_slice(format!("content-length: {}\r\n", response.body().len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if !bodiless && !head {
        bytes.extend_from_slice(response.body());
    }
    bytes
}

/// The next request; `None` at the end of the connection.
async fn next(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Option<Request<Bytes>>> {
    loop {
        if let Some((request, head)) = parsed(read) {
            let length = request.headers().get("content-length");
            let length = length.and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
            let whole = head + length.unwrap_or(0_usize);
            while read.len() < whole {
                if stream.read_buf(read).await? == 0 {
                    return Ok(None);
                }
            }
            let body = read.split_to(whole).freeze().slice(head..);
            return Ok(Some(request.map(|()| body)));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// The head of a request and its length, once it is here.
fn parsed(read: &[u8]) -> Option<(Request<()>, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parser = httparse::Request::new(&mut headers);
    let status = parser.parse(read).expect("a request in HTTP/1.1");
    let httparse::Status::Complete(length) = status else { return None };
    let mut request = Request::builder().method(parser.method?).uri(parser.path?);
    for header in parser.headers.iter() {
        request = request.header(header.name, header.value);
    }
    Some((request.body(()).expect("a request"), length))
}
