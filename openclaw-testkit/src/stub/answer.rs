//! Writes answers by hand, right or wrong.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::{
    bomb,
    fault::{Fault, Malformed, WrongLength},
    reply::Reply,
};

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Finish,
    Reset,
    /// Nothing more is said; the connection stays open until the peer ends it.
    Hang,
}

/// Writes an answer; `bare` when the request was a `HEAD`.
pub(super) async fn write<W>(to: &mut W, reply: &Reply, bare: bool) -> io::Result<After>
where
    W: AsyncWrite + Unpin + Send,
{
    sleep(reply.delay).await;
    let Some(fault) = &reply.fault else {
        to.write_all(&whole(reply, bare)).await?;
        return Ok(After::Keep);
    };
    match fault {
        Fault::SlowHeaders { pause } => {
            drip(to, &head(reply), 1, *pause).await?;
            to.write_all(&body(reply, bare)).await?;
        }
        Fault::Trickle { bytes_per_s } => {
            to.write_all(&head(reply)).await?;
            let (bytes, pause) = pace(*bytes_per_s);
            drip(to, &body(reply, bare), bytes, pause).await?;
        }
        Fault::ResetAfter { bytes } => {
            let whole = whole(reply, bare);
            to.write_all(whole.get(..*bytes).unwrap_or(&whole)).await?;
            return Ok(After::Reset);
        }
        Fault::Truncate { bytes } => {
            let (head, body) = (head(reply), body(reply, bare));
            let kept = body.get(..*bytes).unwrap_or(&body);
            to.write_all(&[&head, kept].concat()).await?;
            return Ok(After::Finish);
        }
        Fault::WrongLength(lie) => return wrong_length(to, reply, *lie).await,
        Fault::Malformed(garbage) => {
            to.write_all(&malformed(reply, *garbage)).await?;
            return Ok(After::Finish);
        }
        Fault::Hang => return Ok(After::Hang),
        Fault::Close => return Ok(After::Finish),
        Fault::LoseAnswer => return Ok(After::Reset),
        Fault::GzipBomb { decompressed_bytes } => {
            let fields = ["content-encoding: gzip".to_owned(), CHUNKED.to_owned()];
            to.write_all(&start(reply, &fields)).await?;
            bomb::write(to, *decompressed_bytes).await?;
        }
    }
    Ok(After::Keep)
}

const CHUNKED: &str = "transfer-encoding: chunked";

/// Interim answers, the status line and the headers, these last.
fn start(reply: &Reply, fields: &[String]) -> Vec<u8> {
    let mut out = String::new();
    let finals = (reply.status, &reply.headers);
    let interim = reply.interim.iter().map(|(status, headers)| (*status, headers));
    let last = reply.interim.len();
    for (at, (status, headers)) in interim.chain([finals]).enumerate() {
        out.push_str(&format!("HTTP/1.1 {status} {}\r\n", reason(status)));
        headers.iter().for_each(|(name, value)| out.push_str(&format!("{name}: {value}\r\n")));
        if at == last {
            fields.iter().for_each(|field| out.push_str(&format!("{field}\r\n")));
        }
        out.push_str("\r\n");
    }
    out.into_bytes()
}

fn head(reply: &Reply) -> Vec<u8> {
    let length = || format!("content-length: {}", reply.body.len());
    let field = reply.chunk.map_or_else(length, |_| CHUNKED.to_owned());
    let fields = if is_bodiless(reply.status) { Vec::new() } else { vec![field] };
    start(reply, &fields)
}

fn body(reply: &Reply, bare: bool) -> Vec<u8> {
    if bare || is_bodiless(reply.status) {
        return Vec::new();
    }
    let Some(size) = reply.chunk else { return reply.body.to_vec() };
    let mut out: Vec<u8> = reply.body.chunks(size).flat_map(chunk).collect();
    out.extend_from_slice(LAST_CHUNK);
    out
}

fn whole(reply: &Reply, bare: bool) -> Vec<u8> {
    [head(reply), body(reply, bare)].concat()
}

pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

const fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Writes so many bytes at a time, with a pause behind each piece.
async fn drip<W>(to: &mut W, bytes: &[u8], piece: usize, pause: Duration) -> io::Result<()>
where
    W: AsyncWrite + Unpin + Send,
{
    for piece in bytes.chunks(piece.max(1)) {
        to.write_all(piece).await?;
        sleep(pause).await;
    }
    Ok(())
}

/// The piece and the pause of a rate: 20 pieces a second, or single bytes.
fn pace(bytes_per_s: u64) -> (usize, Duration) {
    const PIECES_A_SECOND: u64 = 20;
    let rate = bytes_per_s.max(1);
    let piece = (rate / PIECES_A_SECOND).max(1);
    let pause = Duration::from_nanos(piece.saturating_mul(1_000_000_000) / rate);
    (usize::try_from(piece).unwrap_or(usize::MAX), pause)
}

async fn wrong_length<W>(to: &mut W, reply: &Reply, lie: WrongLength) -> io::Result<After>
where
    W: AsyncWrite + Unpin + Send,
{
    let length = reply.body.len();
    let field = |value: String| format!("content-length: {value}");
    let (fields, after) = match lie {
        WrongLength::Shorter { by } => {
            (vec![field(length.saturating_sub(by).to_string())], After::Keep)
        }
        WrongLength::Longer { by } => {
            (vec![field(length.saturating_add(by).to_string())], After::Hang)
        }
        WrongLength::Conflicting => {
            let lengths = [length, length.saturating_add(1)];
            (lengths.map(|length| field(length.to_string())).to_vec(), After::Keep)
        }
        WrongLength::NotANumber => (vec![field("many".to_owned())], After::Keep),
    };
    to.write_all(&[&start(reply, &fields), reply.body.as_ref()].concat()).await?;
    Ok(after)
}

fn malformed(reply: &Reply, garbage: Malformed) -> Vec<u8> {
    let length = format!("content-length: {}", reply.body.len());
    let with_body = |head: Vec<u8>| [head.as_slice(), &reply.body].concat();
    match garbage {
        Malformed::StatusLine => {
            with_body(format!("HTP/1.1 two hundred\r\n{length}\r\n\r\n").into_bytes())
        }
        Malformed::Header => with_body(start(reply, &["no colon\0here".to_owned(), length])),
        Malformed::HugeHeader { bytes } => {
            with_body(start(reply, &[format!("x-huge: {}", "a".repeat(bytes)), length]))
        }
        Malformed::Chunk => {
            let first = if reply.body.is_empty() { chunk(b"{}") } else { chunk(&reply.body) };
            [start(reply, &[CHUNKED.to_owned()]), first, b"zz\r\n".to_vec()].concat()
        }
        Malformed::Binary => (0..64_u8).map(|n| n.wrapping_mul(37) | 0x80).collect(),
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        // A reason may be empty, and clients are not to read it.
        _ => "",
    }
}
