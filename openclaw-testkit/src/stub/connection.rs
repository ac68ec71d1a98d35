//! Serves one connection, from its first byte to its end.

use std::sync::Mutex;

use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::TcpStream,
    sync::watch,
};

use super::{
    answer::{self, After},
    books::{self, Books},
    fault::TlsFailure,
    intake::{Heard, Intake, Stop},
    reply::{Reply, status},
};
use crate::wire;

/// What all connections of a stub share.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) books: Mutex<Books>,
    /// How many requests have come.
    pub(super) arrived: watch::Sender<usize>,
}

impl Desk {
    pub(super) async fn serve(&self, stream: TcpStream, connection: u64) {
        // Bytes that are to come one by one may not wait for each other.
        let _gone = stream.set_nodelay(true);
        let mut intake = Intake::new(stream, connection);
        let after = loop {
            let after = match intake.next().await {
                Ok(Heard::Request { request, keep }) => {
                    let bare = request.method() == "HEAD";
                    let reply = self.take(request);
                    match write(&mut intake.stream, &reply, bare).await {
                        After::Keep if !keep => After::Finish,
                        after => after,
                    }
                }
                Ok(Heard::Hello) => self.refuse_tls(&mut intake.stream).await,
                Err(Stop::End) => return,
                Err(Stop::Refused(code, why)) => {
                    books::lock(&self.books).broken.push(format!("{code}: {why}"));
                    let reply = status(code).header("connection", "close").text(why);
                    write(&mut intake.stream, &reply, false).await;
                    After::Finish
                }
            };
            if after != After::Keep {
                break after;
            }
        };
        match after {
            After::Reset => wire::reset(intake.stream),
            After::Hang => {
                let _end = copy(&mut intake.stream, &mut sink()).await;
            }
            After::Keep | After::Finish => wire::finish(intake.stream).await,
        }
    }

    fn take(&self, request: super::Received) -> Reply {
        let (reply, count) = {
            let mut books = books::lock(&self.books);
            (books.take(request), books.received.len())
        };
        self.arrived.send_replace(count);
        reply
    }

    async fn refuse_tls(&self, stream: &mut TcpStream) -> After {
        let failure = {
            let mut books = books::lock(&self.books);
            books.handshakes += 1;
            books.tls.unwrap_or_default()
        };
        let answer: &[u8] = match failure {
            // An alert record of TLS 1.2: level fatal, description handshake_failure.
            TlsFailure::Alert => &[21, 3, 3, 0, 2, 2, 40],
            TlsFailure::Garbage => b"\xDE\xAD\xBE\xEF is no record of TLS",
            TlsFailure::PlainHttp => {
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            TlsFailure::Reset => return After::Reset,
            TlsFailure::Hang => return After::Hang,
        };
        // A peer that is gone needs no answer.
        let _gone = stream.write_all(answer).await;
        After::Finish
    }
}

/// Writes an answer; a peer that is gone ends the connection.
async fn write(stream: &mut TcpStream, reply: &Reply, bare: bool) -> After {
    answer::write(stream, reply, bare).await.unwrap_or(After::Finish)
}
