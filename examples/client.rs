//! A client that nobody shares code with: requests by hand over a plain socket.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// An answer: its status and its JSON body.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body; null when it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The text at a JSON pointer; empty when there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Sends one request and reads the answer until the server closes.
///
/// # Errors
/// No answer within 20 s, or none that is HTTP.
pub async fn ask(
    at: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let mut head = format!("{line} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let talk = async {
        let mut socket = TcpStream::connect(at).await?;
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        // A server that refuses a body may reset the connection behind its answer.
        while socket.read_buf(&mut answer).await.unwrap_or(0) > 0 {}
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(20), talk)
        .await
        .map_err(|_late| format!("{line}: no answer"))?;
    read(&answer.map_err(|e| format!("{line}: {e}"))?)
        .ok_or_else(|| format!("{line}: not an HTTP answer"))
}

fn read(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) })
}
