//! A token end point in process: it rotates, counts, takes its time and fails on demand.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_core::{
    Call, Error, ErrorKind, Happened, Result,
    http::{Body, Http},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// What the next request meets.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// It is answered with this status, and this header `Retry-After`.
    Status(u16, Option<u32>),
    /// It is refused with this word of OAuth.
    Refuse(&'static str),
    /// It is served, and the answer is lost.
    LoseAnswer,
    /// It never reached the server.
    NoConnection,
    /// It is answered 200 with this text.
    Answer(&'static str),
}

/// The desk; clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Desk(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    requests: Vec<String>,
    headers: Vec<http::HeaderMap>,
    trouble: VecDeque<Trouble>,
    issued: u32,
    /// When each token was issued.
    dates: Vec<Instant>,
    lifetime: u64,
    rotates: bool,
    slow: Duration,
    /// The refresh tokens that are accepted.
    valid: BTreeSet<String>,
    /// The access tokens that were handed back.
    revoked: BTreeSet<String>,
    under_way: u32,
    side_by_side: u32,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Books {
            requests: Vec::new(),
            headers: Vec::new(),
            trouble: VecDeque::new(),
            issued: 0,
            dates: Vec::new(),
            lifetime: 3600,
            rotates: true,
            slow: Duration::from_secs(1),
            valid: BTreeSet::from(["refresh-0".to_owned()]),
            revoked: BTreeSet::new(),
            under_way: 0,
            side_by_side: 0,
        })))
    }

    pub(crate) fn script(&self, trouble: impl IntoIterator<Item = Trouble>) {
        self.books().trouble.extend(trouble);
    }

    pub(crate) fn lifetime(&self, seconds: u64) {
        self.books().lifetime = seconds;
    }

    /// Is this access token valid now?
    pub(crate) fn accepts(&self, token: &str) -> bool {
        let books = self.books();
        let number = token.strip_prefix("access-").and_then(|n| n.parse::<usize>().ok());
        let date = number.and_then(|n| books.dates.get(n - 1));
        let lives = |date: &Instant| date.elapsed() < Duration::from_secs(books.lifetime);
        date.is_some_and(lives) && !books.revoked.contains(token)
    }

    /// Takes no time from now on.
    pub(crate) fn answer_at_once(&self) {
        self.books().slow = Duration::ZERO;
    }

    /// Takes this long for each request from now on.
    pub(crate) fn takes(&self, slow: Duration) {
        self.books().slow = slow;
    }

    /// Leaves refresh tokens as they are from now on.
    pub(crate) fn keep_refresh_tokens(&self) {
        self.books().rotates = false;
    }

    /// Accepts no refresh token that it has given out.
    pub(crate) fn revoke(&self) {
        self.books().valid.clear();
    }

    /// Takes a day for each request from now on.
    pub(crate) fn fall_silent(&self) {
        self.books().slow = Duration::from_secs(24 * 3600);
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.books().requests.len()
    }

    /// The form of the last request.
    pub(crate) fn last(&self) -> String {
        self.books().requests.last().cloned().unwrap_or_default()
    }

    /// The header `Authorization` of the last request.
    pub(crate) fn last_authorization(&self) -> String {
        let books = self.books();
        let value = books.headers.last().and_then(|headers| headers.get("authorization"));
        value.map(|v| v.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    /// The most requests that were served at once.
    pub(crate) fn side_by_side(&self) -> u32 {
        self.books().side_by_side
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().expect("not poisoned")
    }

    /// Is this refresh token accepted?
    pub(crate) fn renews(&self, token: &str) -> bool {
        self.books().valid.contains(token)
    }

    /// The forms of all requests from this one on.
    pub(crate) fn since(&self, first: usize) -> Vec<String> {
        self.books().requests.iter().skip(first).cloned().collect()
    }

    /// Takes a token back (RFC 7009): whatever it is, it is answered 200.
    fn take_back(&self, form: &str) -> (u16, Option<u32>, String) {
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token="));
        let token = token.expect("a token").to_owned();
        let mut books = self.books();
        if !books.valid.remove(&token) {
            books.revoked.insert(token);
        }
        (200, None, String::new())
    }

    fn serve(&self, form: &str) -> (u16, Option<u32>, String) {
        let mut books = self.books();
        let used = form.split('&').find_map(|pair| pair.strip_prefix("refresh_token="));
        let rotates = books.rotates;
        if let Some(used) = used
            && !(if rotates { books.valid.remove(used) } else { books.valid.contains(used) })
        {
            // Used twice: the whole family is over, as the standard's best practice has it.
            books.valid.clear();
            return (400, None, r#"{"error":"invalid_grant"}"#.to_owned());
        }
        books.issued += 1;
        books.dates.push(Instant::now());
        let n = books.issued;
        let mut answer = json!({
            "access_token": format!("access-{n}"),
            "token_type": "bearer",
            "expires_in": books.lifetime,
        });
        if rotates && !form.contains("client_credentials") {
            books.valid.insert(format!("refresh-{n}"));
            answer["refresh_token"] = json!(format!("refresh-{n}"));
        }
        (200, None, answer.to_string())
    }
}

#[async_trait]
impl Http for Desk {
    async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<http::Response<Body>> {
        let form = String::from_utf8(call.payload().body().to_vec()).expect("a form");
        let (trouble, slow) = {
            let mut books = self.books();
            books.requests.push(form.clone());
            books.headers.push(call.payload().headers().clone());
            books.under_way += 1;
            books.side_by_side = books.side_by_side.max(books.under_way);
            (books.trouble.pop_front(), books.slow)
        };
        if matches!(trouble, Some(Trouble::NoConnection)) {
            self.books().under_way -= 1;
            return Err(
                Error::new(ErrorKind::Unavailable, "no connection").with_happened(Happened::No)
            );
        }
        let (status, after, body) = match trouble {
            Some(Trouble::Status(status, after)) => (status, after, "no".to_owned()),
            Some(Trouble::Refuse(code)) => (400, None, json!({ "error": code }).to_string()),
            Some(Trouble::Answer(text)) => (200, None, text.to_owned()),
            Some(Trouble::LoseAnswer) => {
                self.serve(&form);
                self.books().under_way -= 1;
                return Err(Error::new(ErrorKind::Unavailable, "the connection broke"));
            }
            _ if call.payload().uri().path() == "/revoke" => self.take_back(&form),
            _ => self.serve(&form),
        };
        sleep(slow).await;
        self.books().under_way -= 1;
        let mut response = http::Response::builder().status(status);
        if let Some(after) = after {
            response = response.header("retry-after", after);
        }
        Ok(response.body(Body::full(body)).expect("a response"))
    }
}
