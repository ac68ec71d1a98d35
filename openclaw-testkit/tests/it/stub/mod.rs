//! The stub server: what it puts on the wire, and what it has to say about a client.

mod faults;
mod replies;
mod requests;
mod rules;
mod tls;

use std::{
    io::{ErrorKind, Result},
    time::Duration,
};

use openclaw_testkit::stub::StubServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

async fn stub() -> StubServer {
    StubServer::start().await.unwrap()
}

async fn soon<T>(wait: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(2), wait).await.expect("this takes no time")
}

async fn connect(stub: &StubServer) -> TcpStream {
    TcpStream::connect(stub.addr()).await.unwrap()
}

/// Everything that comes, byte by byte, and how it ended.
async fn drain(stream: &mut TcpStream) -> (String, Result<()>) {
    let mut heard = Vec::new();
    let end = soon(stream.read_to_end(&mut heard)).await.map(|_| ());
    (String::from_utf8_lossy(&heard).into_owned(), end)
}

/// Sends these bytes, and listens to the end.
async fn raw(stub: &StubServer, request: &[u8]) -> (String, Result<()>) {
    let mut stream = connect(stub).await;
    stream.write_all(request).await.unwrap();
    drain(&mut stream).await
}

/// Reads until the head of an answer is there, and so many bytes behind it.
async fn answer(stream: &mut TcpStream, body: usize) -> String {
    let mut heard = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(_, rest)| rest.len() >= body) {
            return text;
        }
        assert!(soon(stream.read_buf(&mut heard)).await.unwrap() > 0, "ended behind {text:?}");
    }
}

fn is_reset(end: &Result<()>) -> bool {
    end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
}

/// Does nothing come, and no end either?
async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(60), stream.read_u8()).await.is_err()
}

/// What a client of another house makes of `GET /`: the status and the body.
async fn fetch(stub: &StubServer) -> reqwest::Result<(u16, Vec<u8>)> {
    within(stub, Duration::from_secs(2)).await
}

/// Does that client give up when it has no more patience than this?
async fn gives_up(stub: &StubServer) -> bool {
    let answer = within(stub, Duration::from_millis(150)).await;
    answer.is_err_and(|e| e.is_timeout() && !e.is_connect())
}

async fn within(stub: &StubServer, patience: Duration) -> reqwest::Result<(u16, Vec<u8>)> {
    let client = reqwest::Client::builder().timeout(patience).build()?;
    let response = client.get(stub.url()).send().await?;
    Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
}
