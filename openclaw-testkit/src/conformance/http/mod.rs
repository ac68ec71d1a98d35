//! The laws of [`Http`]: one function for each sentence of its contract.

mod list;
#[cfg(feature = "loopback")]
mod loopback;
mod request;
mod response;
mod time;
mod trial;
mod trouble;

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_core::http::Http;

#[cfg(feature = "loopback")]
pub use self::loopback::{On, on};
use self::trial::Need;
pub use self::trial::Trial;
use super::{Law, Report, Verdict};

/// Makes the HTTP clients that the laws try, each with a server.
///
/// With the feature `loopback`, `on` is one for any client that speaks HTTP/1.1.
#[async_trait]
pub trait HttpHarness: Send + Sync {
    /// A new client, and a server that it can reach.
    async fn fresh(&self) -> (Box<dyn Http>, Box<dyn HttpPeer>);

    /// Does the client follow redirects?
    fn follows_redirects(&self) -> bool {
        false
    }

    /// The longest response body that the client reads, in bytes, when there is one.
    fn max_response(&self) -> Option<usize> {
        None
    }

    /// Has the client sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        true
    }
}

/// A server, as a test plays it.
#[async_trait]
pub trait HttpPeer: Send + Sync {
    /// Where it listens: `http://127.0.0.1:8080`.
    fn origin(&self) -> String;

    /// Another origin at which the same server listens, when there is one.
    fn elsewhere(&self) -> Option<String> {
        None
    }

    /// Where nobody listens, when there is such a place.
    fn nobody(&self) -> Option<String> {
        None
    }

    /// Decides what the next request meets. Other requests are answered with a status of 200
    /// and their own path and query as the body.
    async fn script(&self, next: Meets);

    /// The requests that were read so far, in order.
    async fn heard(&self) -> Vec<http::Request<Bytes>>;
}

/// What a request meets, once it was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Meets {
    /// This response, its body at once and with its length.
    Answer(http::Response<Bytes>),
    /// A status of 200 and a body in these pieces, its length unsaid.
    Pieces(Vec<Bytes>),
    /// A status of 200, the beginning of a body, and then nothing more.
    Stall(Bytes),
    /// A status of 200, the beginning of a body, and then the connection breaks.
    Break(Bytes),
    /// No answer: the connection breaks.
    HangUp,
    /// No answer, and the connection stays.
    Silence,
}

crate::__http_laws! { __law_table {
    /// Every law of an HTTP client.
    HttpHarness, awaited
} }
