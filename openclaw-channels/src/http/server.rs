//! The server: a bounded number of connections, each owned by one task that drains.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use openclaw_core::{Error, ErrorKind, Happened, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time,
};
use tower_service::Service as _;

use super::routes::App;

/// How long a client has for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests may go on once the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long a client may go on sending what nobody reads.
const LINGER: Duration = Duration::from_secs(1);
const HEADERS: usize = 100;
const HEAD_BYTES: usize = 32 << 10;
const BUFFER: usize = 64 << 10;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
content-length: 72\r\nretry-after: 1\r\nconnection: close\r\n\r\n\
{\"error\":{\"code\":\"OVERLOADED\",\"message\":\"too many connections at once\"}}";

/// A listening server. Dropped, it ends at once; [`HttpServer::shutdown`] ends it in order.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HttpServer {
    pub(super) async fn start(at: SocketAddr, app: App) -> Result<Self> {
        let listener = TcpListener::bind(at).await.map_err(|e| cannot_listen(at, e))?;
        let address = listener.local_addr().map_err(|e| cannot_listen(at, e))?;
        let stopping = app.stopping.clone();
        let serving = Serving::begin(&app.channel.0.servers);
        let task = tokio::spawn(async move {
            accept(listener, app).await;
            drop(serving);
        });
        Ok(Self { address, stopping, task })
    }

    /// Where it listens, with the port it was given.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections and lets running requests end, within ten seconds.
    ///
    /// Drain the gateway first: from then on messages are answered with 503.
    pub async fn shutdown(mut self) {
        self.stopping.send_replace(true);
        // An error is a panic or an abort of the task: it has ended either way.
        (&mut self.task).await.ok();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a server for as long as it runs, however it ends.
#[derive(Debug)]
struct Serving(Arc<AtomicUsize>);

impl Serving {
    fn begin(servers: &Arc<AtomicUsize>) -> Self {
        servers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(servers))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn cannot_listen(at: SocketAddr, e: io::Error) -> Error {
    let message = match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{at} is taken: stop the program that listens there, or choose another port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("listening at {at} is not allowed: choose a port above 1023")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{at} is not an address of this machine: choose 127.0.0.1 or 0.0.0.0")
        }
        _ => format!("can't listen at {at}"),
    };
    Error::new(ErrorKind::Unavailable, message).with_happened(Happened::No).with_source(e)
}

async fn accept(listener: TcpListener, app: App) {
    let most = app.channel.0.connections;
    let mut stopping = app.stopping.subscribe();
    let router = app.router();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= most => refuse(stream).await,
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), stopping.clone()));
                }
                // Out of descriptors, most likely: they come back as connections end.
                Err(_) => time::sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // The rest is aborted when the set is dropped.
    time::timeout(GRACE, ended).await.ok();
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error is a server that is gone: that is a stop too.
    stopping.wait_for(|stopping| *stopping).await.ok();
}

/// Says why, if that takes no time. Nobody waits for a client here.
async fn refuse(mut stream: TcpStream) {
    time::timeout(Duration::from_millis(50), stream.write_all(FULL)).await.ok();
}

async fn converse(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    // Without it small answers wait for the client's acknowledgement; a failure costs only that.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.clone().call(request.map(Body::new));
        Box::pin(answer)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            biased;
            () = stopped(&mut stopping), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
        }
    };
    if ended.is_ok() {
        linger(connection.into_parts().io.into_inner()).await;
    }
}

/// Reads on for a moment before it closes. A refused client may still be sending its body;
/// closed on that, the connection would be reset, and the answer lost with it.
async fn linger(mut stream: TcpStream) {
    let drained = async {
        stream.shutdown().await?;
        let mut sink = [0; 4096];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    time::timeout(LINGER, drained).await.ok();
}
