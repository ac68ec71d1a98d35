//! A small shop: orders and refunds over HTTP, remembered in a synced file of its own.
//!
//! It stands for the system of record that a support desk talks to. It honours
//! `Idempotency-Key`: the same key with the same body is answered as the first time, with
//! another body it is refused. A refund is on the disk before it is answered.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path as UrlPath, State},
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time};

const MAX_BODY: usize = 16 << 10;

/// An order; the shop is born with a few and takes no more.
#[derive(Clone, Copy, Debug, Serialize)]
struct Order {
    order: &'static str,
    item: &'static str,
    status: &'static str,
    amount_cents: u64,
    currency: &'static str,
}

const ORDERS: &[Order] = &[
    order("1041", "a teapot", "delivered", 3495),
    order("1042", "a blue kettle", "shipped", 4990),
    order("1043", "a coffee grinder", "delivered", 12_900),
    order("1044", "two cups", "processing", 1850),
    order("1045", "a toaster", "shipped", 2999),
];

const fn order(
    order: &'static str,
    item: &'static str,
    status: &'static str,
    amount_cents: u64,
) -> Order {
    Order { order, item, status, amount_cents, currency: "EUR" }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    order: String,
    amount_cents: u64,
}

/// A refund that was made: one line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refund {
    refund: String,
    order: String,
    amount_cents: u64,
    currency: String,
    key: Option<String>,
}

/// What the book says to a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    New(Refund),
    Again(Refund),
    Refused(StatusCode, &'static str, &'static str),
}

/// All refunds there are, in memory and in the file.
#[derive(Debug)]
struct Book {
    file: File,
    refunds: Vec<Refund>,
    broken: bool,
}

impl Book {
    /// Reads the file and cuts off a last line that a crash tore.
    fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_taken| io::Error::other("another shop has this file open"))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        // Without its line feed a line was never answered, so nobody relies on it.
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.sync_all()?;
        // A new file's name is on the disk only when its directory is.
        #[cfg(unix)]
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            File::open(dir)?.sync_all()?;
        }
        let lines = text.get(..whole).unwrap_or_default().split(|b| *b == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let refunds = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        Ok(Self { file, refunds, broken: false })
    }

    /// What a request under this key deserves; changes nothing.
    fn decide(&self, key: Option<&str>, ask: &Ask) -> Verdict {
        use Verdict::{Again, New, Refused};
        let known = self.refunds.iter().find(|r| key.is_some() && r.key.as_deref() == key);
        if let Some(known) = known {
            let same = known.order == ask.order && known.amount_cents == ask.amount_cents;
            return if same {
                Again(known.clone())
            } else {
                let why = "this Idempotency-Key was used with another body";
                Refused(StatusCode::UNPROCESSABLE_ENTITY, "KEY_REUSED", why)
            };
        }
        let Some(order) = ORDERS.iter().find(|o| o.order == ask.order) else {
            return Refused(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such order");
        };
        if !(1..=order.amount_cents).contains(&ask.amount_cents) {
            let why = "amount_cents is between 1 and the amount of the order";
            return Refused(StatusCode::BAD_REQUEST, "INVALID_AMOUNT", why);
        }
        if self.of_order(order.order).is_some() {
            let why = "the order was refunded before";
            return Refused(StatusCode::CONFLICT, "ALREADY_REFUNDED", why);
        }
        New(Refund {
            refund: format!("R-{}", self.refunds.len() + 1),
            order: ask.order.clone(),
            amount_cents: ask.amount_cents,
            currency: order.currency.to_owned(),
            key: key.map(str::to_owned),
        })
    }

    fn of_order(&self, order: &str) -> Option<&Refund> {
        self.refunds.iter().find(|r| r.order == order)
    }

    /// Decides, and has a new refund on the disk before it returns.
    fn refund(&mut self, key: Option<&str>, ask: &Ask) -> io::Result<Verdict> {
        let verdict = self.decide(key, ask);
        if let Verdict::New(refund) = &verdict {
            if self.broken {
                return Err(io::Error::other("the file failed before"));
            }
            let mut line = serde_json::to_vec(refund)?;
            line.push(b'\n');
            // After a failed write nobody knows what the file holds: only a reopening tells.
            self.broken = true;
            self.file.write_all(&line)?;
            self.file.sync_data()?;
            self.broken = false;
            self.refunds.push(refund.clone());
        }
        Ok(verdict)
    }
}

/// The shop, open but not yet served.
#[derive(Debug)]
pub(crate) struct Shop {
    book: Mutex<Book>,
    test_switches: bool,
    /// How long to hold the answer to the next new refund, before it is lost.
    lose_next: Mutex<Option<Duration>>,
}

impl Shop {
    /// Opens the shop whose refunds are in this file; makes the file when there is none.
    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let book = Mutex::new(Book::open(path.as_ref())?);
        Ok(Self { book, test_switches: false, lose_next: Mutex::default() })
    }

    /// Also serves `POST /_test/lose_next_answer?hold_ms=N`, for the self-test.
    ///
    /// The next new refund is made; its answer is held for that long (a minute by default)
    /// and is then a 504.
    #[must_use]
    pub(crate) const fn with_test_switches(mut self) -> Self {
        self.test_switches = true;
        self
    }

    /// Serves on this address; port 0 lets the system choose.
    pub(crate) async fn serve(self, addr: SocketAddr) -> io::Result<(SocketAddr, Serving)> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let mut routes = Router::new()
            .route("/orders/{order}", get(look_up))
            .route("/refunds", post(refund).get(refunds));
        if self.test_switches {
            routes = routes.route("/_test/lose_next_answer", post(lose_next_answer));
        }
        let app = routes.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(Arc::new(self));
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            // A dropped handle stops the shop as well.
            stopped.await.unwrap_or_default();
        });
        let task = tokio::spawn(async move { serve.await.unwrap_or_default() });
        Ok((addr, Serving { stop: Some(stop), task }))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn losing(&self) -> MutexGuard<'_, Option<Duration>> {
        self.lose_next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running shop; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Answers what was asked already, for a second at most, and stops.
    pub(crate) async fn stop(mut self) {
        if self.stop.take().is_some_and(|stop| stop.send(()).is_ok()) {
            drop(time::timeout(Duration::from_secs(1), &mut self.task).await);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_up(State(shop): State<Arc<Shop>>, UrlPath(id): UrlPath<String>) -> Response {
    let Some(order) = ORDERS.iter().find(|o| o.order == id) else {
        return refused(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such order");
    };
    let refund = shop.book().of_order(order.order).map(|r| r.refund.clone());
    let mut body = json!(order);
    if let Value::Object(fields) = &mut body {
        fields.insert("refund".to_owned(), json!(refund));
    }
    answer(StatusCode::OK, &body)
}

async fn refunds(State(shop): State<Arc<Shop>>) -> Response {
    let refunds = shop.book().refunds.clone();
    answer(StatusCode::OK, &json!({ "count": refunds.len(), "refunds": refunds }))
}

async fn refund(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(key) = idempotency_key(&headers) else {
        let why = "one Idempotency-Key of 1 to 255 visible characters";
        return refused(StatusCode::BAD_REQUEST, "BAD_KEY", why);
    };
    let Ok(ask) = serde_json::from_slice::<Ask>(&body) else {
        let why = "the body is {\"order\": \"1042\", \"amount_cents\": 4990}";
        return refused(StatusCode::BAD_REQUEST, "BAD_REQUEST", why);
    };
    let book = Arc::clone(&shop);
    // Syncing a file blocks: not on a thread that serves others.
    let decided = tokio::task::spawn_blocking(move || book.book().refund(key.as_deref(), &ask));
    match decided.await {
        Ok(Ok(Verdict::New(refund))) => {
            let lose = shop.losing().take();
            if let Some(hold) = lose {
                time::sleep(hold).await;
                let why = "the refund was made and its answer lost, as a test asked for";
                return refused(StatusCode::GATEWAY_TIMEOUT, "ANSWER_LOST", why);
            }
            answer(StatusCode::CREATED, &json!(refund))
        }
        Ok(Ok(Verdict::Again(refund))) => answer(StatusCode::CREATED, &json!(refund)),
        Ok(Ok(Verdict::Refused(status, code, why))) => refused(status, code, why),
        Ok(Err(_)) | Err(_) => {
            let why = "the refund could not be written down: start the shop again";
            refused(StatusCode::INTERNAL_SERVER_ERROR, "FAILED", why)
        }
    }
}

async fn lose_next_answer(State(shop): State<Arc<Shop>>, uri: Uri) -> StatusCode {
    let hold = uri.query().and_then(|query| query.strip_prefix("hold_ms=")?.parse().ok());
    *shop.losing() = Some(hold.map_or(Duration::from_secs(60), Duration::from_millis));
    StatusCode::NO_CONTENT
}

/// The request's key, if it has one; an error when it can't be used.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ()> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().map_err(drop)?;
    let fits = (1..=255).contains(&key.len()) && keys.next().is_none();
    if fits { Ok(Some(key.to_owned())) } else { Err(()) }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn refused(status: StatusCode, code: &str, why: &str) -> Response {
    answer(status, &json!({ "error": { "code": code, "message": why } }))
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    /// One request over a connection of its own: the status and the JSON.
    pub(crate) async fn ask(
        shop: SocketAddr,
        line: &str,
        key: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let key = key.map_or_else(String::new, |key| format!("Idempotency-Key: {key}\r\n"));
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {shop}\r\nConnection: close\r\n{key}Content-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(shop).await.expect("the shop is there");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    pub(crate) async fn serve(path: &Path) -> (SocketAddr, Serving) {
        let shop = Shop::open(path).expect("it opens").with_test_switches();
        shop.serve(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port")
    }

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("shop.jsonl");
        (dir, path)
    }

    const WHOLE: &str = r#"{"order":"1042","amount_cents":4990}"#;

    async fn pay(shop: SocketAddr, key: Option<&str>, body: &str) -> (u16, Value) {
        ask(shop, "POST /refunds", key, body).await
    }

    #[tokio::test]
    async fn a_key_is_honoured() {
        let (_dir, path) = file();
        let (shop, _serving) = serve(&path).await;
        let first = pay(shop, Some("k1"), WHOLE).await;
        assert_eq!((first.0, &first.1["refund"]), (201, &json!("R-1")));
        assert_eq!(pay(shop, Some("k1"), WHOLE).await, first);
        let other = r#"{"order":"1042","amount_cents":1}"#;
        assert_eq!(pay(shop, Some("k1"), other).await.0, 422);
        assert_eq!(pay(shop, Some("k2"), WHOLE).await.0, 409);
        assert_eq!(ask(shop, "GET /refunds", None, "").await.1["count"], 1);
        assert_eq!(ask(shop, "GET /orders/1042", None, "").await.1["refund"], "R-1");
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        let (_dir, path) = file();
        let (shop, _serving) = serve(&path).await;
        for (body, status) in [
            ("{", 400),
            (r#"{"order":1042,"amount_cents":1}"#, 400),
            (r#"{"order":"1042","amount_cents":-1}"#, 400),
            (r#"{"order":"1042","amount_cents":0}"#, 400),
            (r#"{"order":"1042","amount_cents":4991}"#, 400),
            (r#"{"order":"1042","amount_cents":1,"x":1}"#, 400),
            (r#"{"order":"9999","amount_cents":1}"#, 404),
        ] {
            assert_eq!(pay(shop, Some("k"), body).await.0, status, "{body}");
        }
        assert_eq!(pay(shop, Some(""), WHOLE).await.0, 400);
        assert_eq!(pay(shop, None, &" ".repeat(MAX_BODY + 1)).await.0, 413);
        assert_eq!(ask(shop, "GET /orders/9999", None, "").await.0, 404);
        assert_eq!(ask(shop, "GET /refunds", None, "").await.1["count"], 0);
    }

    #[tokio::test]
    async fn a_restart_hides_nothing() {
        let (_dir, path) = file();
        let (shop, serving) = serve(&path).await;
        let first = pay(shop, Some("k1"), WHOLE).await;
        assert!(Shop::open(&path).is_err(), "two shops would refund twice");
        serving.stop().await;
        let (shop, _serving) = serve(&path).await;
        assert_eq!(pay(shop, Some("k1"), WHOLE).await, first);
        assert_eq!(pay(shop, Some("k2"), WHOLE).await.0, 409);
    }

    #[tokio::test]
    async fn a_torn_last_line_is_cut_and_a_broken_one_is_not_hidden() {
        let (_dir, path) = file();
        let (shop, serving) = serve(&path).await;
        pay(shop, Some("k1"), WHOLE).await;
        serving.stop().await;
        let whole = std::fs::read(&path).expect("it is there");
        for torn in 1..whole.len() {
            let text = [&whole[..], &whole[..torn]].concat();
            std::fs::write(&path, &text[..text.len() - 1]).expect("it is ours");
            let book = Book::open(&path).expect("it opens");
            assert_eq!(book.refunds.len(), 1, "torn after {torn}");
            assert_eq!(std::fs::read(&path).expect("it is there"), whole);
        }
        std::fs::write(&path, [b"{\"refund\":\n", &whole[..]].concat()).expect("it is ours");
        assert!(Book::open(&path).is_err());
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_refund() {
        let (_dir, path) = file();
        let (shop, _serving) = serve(&path).await;
        let armed = ask(shop, "POST /_test/lose_next_answer?hold_ms=1", None, "").await;
        assert_eq!(armed.0, 204);
        assert_eq!(pay(shop, Some("k1"), WHOLE).await.0, 504);
        assert_eq!(pay(shop, Some("k1"), WHOLE).await.0, 201);
        assert_eq!(ask(shop, "GET /refunds", None, "").await.1["count"], 1);
    }

    #[tokio::test]
    async fn without_the_flag_there_is_no_test_switch() {
        let (_dir, path) = file();
        let shop = Shop::open(&path).expect("it opens");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (shop, _serving) = shop.serve(any).await.expect("a free port");
        assert_eq!(ask(shop, "POST /_test/lose_next_answer", None, "").await.0, 404);
    }
}
