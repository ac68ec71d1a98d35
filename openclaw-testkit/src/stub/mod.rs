//! An HTTP/1.1 server by script, which can be wrong on the wire in every way we know of.

mod answer;
mod bomb;
mod books;
mod connection;
mod fault;
mod idempotency;
mod intake;
mod pattern;
mod received;
mod reply;
mod report;
mod retry_after;
mod rule;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use self::{connection::Desk, rule::Entry};
pub use self::{
    fault::{Fault, Malformed, TlsFailure, WrongLength},
    idempotency::IdempotencyReport,
    pattern::{Pattern, any, delete, get, method, patch, post, put},
    received::Received,
    reply::{Reply, ok, redirect, status},
    report::Report,
    retry_after::RetryAfter,
    rule::{Rule, Times, at_least, at_most, never, times},
};

/// Connections at a time; more wait to be accepted.
const MAX_OPEN: usize = 1024;

/// An HTTP/1.1 server by script, to see what an HTTP client does when a server goes wrong.
///
/// It listens on a free port of the loopback interface. A request gets the reply of the first
/// [rule](Self::on) that fits it; without one it gets a 404 that says what is nearest, and
/// [`verify`](Self::verify) complains. Heads up to 64 KiB and bodies up to 16 MiB are read,
/// larger ones answered by 431 and 413. Every request is kept: it is for tests, not for load.
/// Times are real. Dropping it ends its connections.
///
/// ```
/// use openclaw_testkit::stub::{Fault, StubServer, ok, post, status, times};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stub = StubServer::start().await?;
/// stub.on(post("/v1/pay").json_partial(json!({"order": 1042})))
///     .named("pay")
///     .reply_seq([
///         status(429).retry_after_secs(2),
///         ok(json!({"id": 7})).fault(Fault::LoseAnswer),
///         ok(json!({"id": 7})),
///     ])
///     .expect(times(3));
///
/// let client = reqwest::Client::new();
/// let pay = || {
///     let request = client.post(format!("{}/v1/pay", stub.url()));
///     request.header("idempotency-key", "k1").body(r#"{"order": 1042, "cents": 500}"#).send()
/// };
/// let busy = pay().await?;
/// assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (429, &"2".parse()?));
/// assert!(pay().await.is_err(), "the effect is had, the answer is lost");
/// assert_eq!(pay().await?.text().await?, r#"{"id":7}"#);
///
/// stub.verify()?;
/// assert_eq!(stub.idempotency_report().effects("k1"), 2, "this client sent it twice");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct StubServer {
    addr: SocketAddr,
    url: String,
    desk: Arc<Desk>,
    task: JoinHandle<()>,
}

impl StubServer {
    /// Starts a server without rules.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let desk = Arc::<Desk>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self { addr, url: format!("http://{addr}"), desk, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://`, the address and the port, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same with `https://`, for what [`fail_tls`](Self::fail_tls) says.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// Adds a rule for these requests, behind those there are.
    #[expect(clippy::must_use_candidate, reason = "a rule may stay as it is")]
    pub fn on(&self, pattern: Pattern) -> Rule<'_> {
        let at = {
            let mut books = books::lock(&self.desk.books);
            books.rules.push(Entry::new(pattern));
            books.rules.len() - 1
        };
        Rule::new(&self.desk.books, at)
    }

    /// What peers that open TLS get. There is no TLS here: each way is a failure.
    pub fn fail_tls(&self, failure: TlsFailure) {
        books::lock(&self.desk.books).tls = Some(failure);
    }

    /// Peers that have opened TLS.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        books::lock(&self.desk.books).handshakes
    }

    /// The requests so far, in order, each whole.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        books::lock(&self.desk.books).received.clone()
    }

    /// Waits until this many requests have come.
    pub async fn arrived(&self, requests: usize) {
        let mut arrived = self.desk.arrived.subscribe();
        let _sender_is_ours = arrived.wait_for(|count| *count >= requests).await;
    }

    /// Is every expectation met, and every request one of a rule?
    ///
    /// # Errors
    /// What was expected and what came, with the nearest other request and why it does not
    /// fit; requests that no rule fits, or that were refused before; TLS nobody asked for.
    pub fn verify(&self) -> Result<(), Report> {
        Report::of(&books::lock(&self.desk.books)).map_or(Ok(()), Err)
    }

    /// The effects so far, by `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_report(&self) -> IdempotencyReport {
        IdempotencyReport::of(&books::lock(&self.desk.books).received)
    }
}

impl Drop for StubServer {
    fn drop(&mut self) {
        // The task owns the listener and every connection.
        self.task.abort();
    }
}

/// Is a request with this method without effects by definition?
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Accepts connections and owns them.
async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    const BREATH: Duration = Duration::from_millis(10);
    let (mut open, mut count) = (JoinSet::new(), 0);
    loop {
        tokio::select! {
            biased;
            Some(_ended) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < MAX_OPEN => match accepted {
                Ok((stream, _)) => {
                    count += 1;
                    let desk = Arc::clone(&desk);
                    open.spawn(async move { desk.serve(stream, count).await });
                }
                Err(_no_descriptor) => sleep(BREATH).await,
            },
        }
    }
}
