//! How an answer goes wrong on the wire.

use std::time::Duration;

/// What goes wrong with an answer.
///
/// On a [`Reply`](super::Reply) that has its effect, the effect comes first. A fault that
/// stands alone as a reply is that of an empty 200 without an effect, but for
/// [`LoseAnswer`](Self::LoseAnswer).
///
/// ```
/// use openclaw_testkit::stub::{Fault, StubServer, any, ok};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stub = StubServer::start().await?;
/// stub.on(any()).reply(ok(json!({"paid": true})).fault(Fault::Truncate { bytes: 4 }));
/// let answer = reqwest::get(stub.url()).await?;
/// assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(13)));
/// assert!(answer.bytes().await.is_err(), "it ends behind four bytes");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The head comes byte by byte, with this pause behind each.
    SlowHeaders {
        /// The pause.
        pause: Duration,
    },
    /// The head comes at once, the body at this rate.
    Trickle {
        /// Bytes a second, at least 1.
        bytes_per_s: u64,
    },
    /// RST behind this many bytes of the answer, its head included.
    ///
    /// It overtakes what the client's kernel has not taken yet; Linux hands the rest over
    /// before the error, other systems may not.
    ResetAfter {
        /// Bytes that still come.
        bytes: usize,
    },
    /// `Content-Length` as it should be, FIN behind this many bytes of the body.
    Truncate {
        /// Bytes of the body that still come.
        bytes: usize,
    },
    /// `Content-Length` lies, and the connection stays open.
    WrongLength(WrongLength),
    /// What comes is no HTTP/1.1.
    Malformed(Malformed),
    /// The request is read and never answered; the connection stays open.
    Hang,
    /// The request is read, and FIN is the answer.
    Close,
    /// The effect is had, and RST is the answer.
    LoseAnswer,
    /// Zeros, gzipped: about a thousandth of this on the wire, in chunks, made as they go out.
    GzipBomb {
        /// The size of the body once it is unpacked.
        decompressed_bytes: u64,
    },
}

/// How `Content-Length` lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WrongLength {
    /// Smaller than the body: its end looks like the beginning of the next answer.
    Shorter {
        /// By how much.
        by: usize,
    },
    /// Larger than the body: its end never comes.
    Longer {
        /// By how much.
        by: usize,
    },
    /// Two of them, which differ by one.
    Conflicting,
    /// It is not a number.
    NotANumber,
}

/// What comes instead of HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// A status line that has no status.
    StatusLine,
    /// A header line that is none.
    Header,
    /// One header of this size.
    HugeHeader {
        /// The length of its value, in bytes.
        bytes: usize,
    },
    /// A chunked body whose second chunk has no size.
    Chunk,
    /// Bytes that look like no text at all.
    Binary,
}

/// What a peer that opens TLS gets from a server that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The fatal alert `handshake_failure`.
    #[default]
    Alert,
    /// Bytes that are no TLS record.
    Garbage,
    /// An HTTP answer in plain text, as from a server that is meant to be `http://`.
    PlainHttp,
    /// RST.
    Reset,
    /// Silence.
    Hang,
}
