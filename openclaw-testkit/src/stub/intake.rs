//! Reads requests from a connection, within bounds.

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Request, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::received::Received;

/// The largest head of a request, and the most trailers.
const MAX_HEAD: usize = 64 * 1024;
/// The largest body of a request.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// The most headers of a request.
const MAX_HEADERS: usize = 128;
/// The longest line that gives the size of a chunk.
const MAX_SIZE_LINE: usize = 1024;

/// What a peer's next bytes are.
#[derive(Debug)]
pub(super) enum Heard {
    Request {
        request: Received,
        keep: bool,
    },
    /// The first message of TLS, which was read.
    Hello,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Stop {
    /// The peer has ended, or broken off.
    End,
    /// The status that tells it, and why.
    Refused(u16, &'static str),
}

/// A connection and what was read ahead.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) stream: TcpStream,
    buffer: BytesMut,
    connection: u64,
    first: bool,
}

struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// HTTP/1.1, and not asked to close.
    keep: bool,
}

enum Length {
    Fixed(usize),
    Chunked,
}

impl Intake {
    pub(super) fn new(stream: TcpStream, connection: u64) -> Self {
        Self { stream, buffer: BytesMut::new(), connection, first: true }
    }

    pub(super) async fn next(&mut self) -> Result<Heard, Stop> {
        const HANDSHAKE: u8 = 22;
        self.fill(1).await?;
        if std::mem::take(&mut self.first) && self.buffer.first() == Some(&HANDSHAKE) {
            self.hello().await?;
            return Ok(Heard::Hello);
        }
        let head = self.head().await?;
        let length = head.length()?;
        if head.value("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(broke)?;
        }
        let body = match length {
            Length::Fixed(bytes) => {
                self.fill(bytes).await?;
                self.buffer.split_to(bytes).freeze()
            }
            Length::Chunked => self.chunks().await?,
        };
        let Head { method, target, headers, keep } = head;
        let (connection, at) = (self.connection, Instant::now());
        let request =
            Received { connection, at, method, target, headers, body, rule: None, effect: false };
        Ok(Heard::Request { request, keep })
    }

    /// Reads until so many bytes are there.
    async fn fill(&mut self, bytes: usize) -> Result<(), Stop> {
        while self.buffer.len() < bytes {
            self.more().await?;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), Stop> {
        match self.stream.read_buf(&mut self.buffer).await.map_err(broke)? {
            0 => Err(Stop::End),
            _ => Ok(()),
        }
    }

    /// Reads a whole TLS record, so that nothing unread turns the answer into a RST.
    async fn hello(&mut self) -> Result<(), Stop> {
        self.fill(5).await?;
        let length = match self.buffer.get(3..5) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        self.fill(5 + length).await
    }

    async fn head(&mut self) -> Result<Head, Stop> {
        loop {
            if let Some((bytes, head)) = parse(&self.buffer)? {
                self.buffer.advance(bytes);
                return Ok(head);
            }
            self.more().await?;
        }
    }

    async fn chunks(&mut self) -> Result<Bytes, Stop> {
        let mut body = BytesMut::new();
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                self.trailers().await?;
                return Ok(body.freeze());
            }
            if size > MAX_BODY - body.len() {
                return Err(TOO_LARGE);
            }
            self.fill(size + 2).await?;
            body.extend_from_slice(&self.buffer.split_to(size));
            if self.buffer.split_to(2) != "\r\n" {
                return Err(Stop::Refused(400, "a chunk is longer than its size"));
            }
        }
    }

    async fn chunk_size(&mut self) -> Result<usize, Stop> {
        const BAD: Stop = Stop::Refused(400, "a chunk has no size");
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(Status::Complete((bytes, size))) => {
                    self.buffer.advance(bytes);
                    return usize::try_from(size).map_err(|_too_large| TOO_LARGE);
                }
                Ok(Status::Partial) if self.buffer.len() <= MAX_SIZE_LINE => self.more().await?,
                Ok(Status::Partial) | Err(_) => return Err(BAD),
            }
        }
    }

    /// Reads up to the empty line behind the last chunk.
    async fn trailers(&mut self) -> Result<(), Stop> {
        let mut read = 0;
        loop {
            match self.buffer.windows(2).position(|two| two == b"\r\n") {
                Some(0) => {
                    self.buffer.advance(2);
                    return Ok(());
                }
                Some(end) => {
                    self.buffer.advance(end + 2);
                    read += end + 2;
                }
                None if read + self.buffer.len() > MAX_HEAD => {
                    return Err(Stop::Refused(431, "the trailers are larger than 64 KiB"));
                }
                None => self.more().await?,
            }
        }
    }
}

const TOO_LARGE: Stop = Stop::Refused(413, "the body is larger than 16 MiB");

fn broke(_gone: std::io::Error) -> Stop {
    Stop::End
}

/// The head at the beginning of these bytes, and its length.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Stop> {
    const LARGE: Stop = Stop::Refused(431, "the head is larger than 64 KiB or has > 128 headers");
    let mut slots = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut slots);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => {
            Ok(Some((length, Head::new(&request))))
        }
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(LARGE),
        Err(_) => Err(Stop::Refused(400, "the head is no HTTP/1.1")),
    }
}

impl Head {
    fn new(request: &Request<'_, '_>) -> Self {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let header = |header: &httparse::Header<'_>| {
            (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
        };
        let mut head = Self {
            method: text(request.method),
            target: text(request.path),
            headers: request.headers.iter().map(header).collect(),
            keep: false,
        };
        let close = head.value("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        head.keep = request.version == Some(1) && !close;
        head
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    fn value(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    fn length(&self) -> Result<Length, Stop> {
        const BAD: Stop = Stop::Refused(400, "the content-length is no number");
        let mut lengths = self.values("content-length");
        let length = lengths.next();
        if lengths.any(|other| Some(other) != length) {
            return Err(Stop::Refused(400, "two lengths differ"));
        }
        match (self.value("transfer-encoding"), length) {
            (None, None) => Ok(Length::Fixed(0)),
            (None, Some(length)) if !length.bytes().all(|b| b.is_ascii_digit()) => Err(BAD),
            (None, Some("")) => Err(BAD),
            (None, Some(length)) => match length.parse::<usize>() {
                Ok(bytes) if bytes <= MAX_BODY => Ok(Length::Fixed(bytes)),
                // Digits that are no `usize` are too many.
                Ok(_) | Err(_) => Err(TOO_LARGE),
            },
            (Some(_), Some(_)) => Err(Stop::Refused(400, "both a length and an encoding")),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
            (Some(_), None) => Err(Stop::Refused(501, "a transfer-encoding but chunked")),
        }
    }
}
