//! A server written by hand, and a resolver that says what a test wants.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp, GuardedHttpBuilder, Resolve};
use openclaw_core::{
    Call, Context, Error, ErrorKind, Result, TenantId,
    http::{Body, Http},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

/// A server that reads each request whole, keeps it, and answers these bytes.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
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
pub(crate) enum Then {
    /// Sends this and closes the connection.
    Answer(Vec<u8>),
    /// Sends this and waits for the next request.
    Keep(Vec<u8>),
    /// Sends this, and then nothing more.
    Hang(Vec<u8>),
    Close,
}

pub(crate) async fn server(then: Then) -> Server {
    server_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), then).await
}

pub(crate) async fn server_at(at: SocketAddr, then: Then) -> Server {
    serve(TcpListener::bind(at).await.unwrap(), then)
}

pub(crate) fn serve(listener: TcpListener, then: Then) -> Server {
    let at = listener.local_addr().unwrap();
    let (heard, connections) =
        (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let (kept, count) = (Arc::clone(&heard), Arc::clone(&connections));
    let task = tokio::spawn(async move {
        let mut open = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            open.spawn(converse(stream, then.clone(), Arc::clone(&kept)));
        }
    });
    Server { at, heard, connections, task }
}

pub(crate) async fn converse<S>(mut stream: S, then: Then, heard: Arc<Mutex<Vec<String>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                break;
            }
        }
        if request.is_empty() {
            return;
        }
        heard.lock().unwrap().push(String::from_utf8(request).unwrap());
        match &then {
            Then::Answer(bytes) => {
                // A client that has seen enough goes away.
                drop(stream.write_all(bytes).await);
                drop(stream.shutdown().await);
                return;
            }
            Then::Keep(bytes) => stream.write_all(bytes).await.unwrap(),
            Then::Hang(bytes) => {
                stream.write_all(bytes).await.unwrap();
                std::future::pending::<()>().await;
            }
            Then::Close => return,
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    body.len() >= length.unwrap_or(0)
}

impl Server {
    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub(crate) fn with_body(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(crate) fn ok(body: &str) -> Then {
    Then::Answer(with_body("connection: close\r\nx-a: b\r\n", body.as_bytes()))
}

pub(crate) fn to(status: u16, location: &str) -> Then {
    let head = format!(
        "HTTP/1.1 {status} Go\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    Then::Answer(head.into_bytes())
}

/// A client for this machine.
pub(crate) fn local() -> GuardedHttpBuilder {
    GuardedHttp::builder().policy(EgressPolicy::loopback())
}

pub(crate) fn context() -> Context {
    Context::new(TenantId::new("acme").unwrap())
}

pub(crate) fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

pub(crate) async fn send(client: &GuardedHttp, request: Request<Bytes>) -> Result<Response<Body>> {
    client.send(Call::http(context(), request)).await
}

/// Sends, and reads the answer whole.
pub(crate) async fn read(client: &GuardedHttp, uri: &str) -> Result<Bytes> {
    send(client, get(uri)).await?.into_body().collect(usize::MAX).await
}

/// Says these things in turn, and the last one from then on.
#[derive(Debug, Default)]
pub(crate) struct Names {
    script: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    pub(crate) fn say<const N: usize>(script: [&[&str]; N]) -> Arc<Self> {
        let addresses = |said: &[&str]| said.iter().map(|ip| ip.parse().unwrap()).collect();
        let script = script.into_iter().map(addresses).collect();
        Arc::new(Self { script: Mutex::new(script), asked: AtomicUsize::new(0) })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Resolve for Names {
    async fn resolve(&self, _host: &str) -> Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut script = self.script.lock().unwrap();
        let unknown = || Error::new(ErrorKind::Unavailable, "nobody of this name");
        let said = script.front().cloned().ok_or_else(unknown);
        if script.len() > 1 {
            script.pop_front();
        }
        said
    }
}
