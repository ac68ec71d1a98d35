//! One question over TCP and its answer, for the handshakes.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long one handshake may take.
const ONE: Duration = Duration::from_secs(3);

/// An answer longer than this is no handshake.
const LONGEST: usize = 64 * 1024;

/// Connects, says `question` and reads until the answer is `complete`.
pub(super) async fn ask(
    port: u16,
    question: &[u8],
    complete: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let answer = timeout(ONE, exchange(port, question, complete)).await;
    answer.unwrap_or_else(|_late| Err(io::Error::other("no answer within 3 s")))
}

async fn exchange(
    port: u16,
    question: &[u8],
    complete: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    // Nobody listens, and the system gave this socket the very port it looks for.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.write_all(question).await?;
    let mut answer = Vec::new();
    while !complete(&answer) {
        if answer.len() > LONGEST || stream.read_buf(&mut answer).await? == 0 {
            return Err(unlike(&answer));
        }
    }
    Ok(answer)
}

/// The error for an answer that is not the expected one.
pub(super) fn unlike(answer: &[u8]) -> io::Error {
    let shown = answer.get(..answer.len().min(200)).unwrap_or_default();
    io::Error::other(format!("unexpected answer \"{}\"", shown.escape_ascii()))
}
