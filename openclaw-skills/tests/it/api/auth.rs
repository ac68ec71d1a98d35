//! Whoever signs is asked at each request, and once more after a 401.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use openclaw_core::{Context, Error, ErrorKind, Happened, Result, Secret};
use openclaw_skills::api::{Api, Authorize, Credential};
use serde_json::json;

use super::{Port, crm, exchange, get, post, reply};

/// Tokens in order; a token that was refused is never used again.
#[derive(Clone, Debug)]
struct Tokens {
    left: Arc<Mutex<Vec<&'static str>>>,
    asked: Arc<Mutex<Vec<bool>>>,
}

impl Tokens {
    fn new(tokens: &[&'static str]) -> Self {
        let left = Arc::new(Mutex::new(tokens.iter().rev().copied().collect()));
        Self { left, asked: Arc::default() }
    }
}

#[async_trait]
impl Authorize for Tokens {
    async fn authorize(
        &self,
        _: &Context,
        request: &mut http::Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        self.asked.lock().unwrap().push(refused.is_some());
        let mut left = self.left.lock().unwrap();
        let none = || Error::new(ErrorKind::AuthenticationFailed, "no token is left");
        let last = Secret::new(*left.last().ok_or_else(none)?);
        if refused == Some(Credential::of(&last)) {
            left.pop();
        }
        let token = Secret::new(*left.last().ok_or_else(none)?);
        let value = format!("Bearer {}", token.expose());
        request.headers_mut().insert("authorization", HeaderValue::from_str(&value).unwrap());
        Ok(Credential::of(&token))
    }
}

/// A port that accepts one token.
fn port(accepts: &'static str) -> Port {
    Port::new(move |_, request| {
        let fits = request
            .headers()
            .get("authorization")
            .is_some_and(|value| value.to_str().unwrap() == format!("Bearer {accepts}"));
        Ok(reply(if fits { 200 } else { 401 }, &[], &json!({})))
    })
}

#[tokio::test]
async fn a_401_costs_one_more_request_with_another_credential() {
    let (port, tokens) = (port("new"), Tokens::new(&["old", "new"]));
    let api = crm().authorize(tokens.clone()).build(port.clone()).unwrap();
    exchange(&api).send(post("/orders")).await.unwrap();
    let sent = port.header("authorization");
    assert_eq!(sent, [Some("Bearer old".to_owned()), Some("Bearer new".to_owned())]);
    let [first, second] = &port.calls()[..] else { panic!("two requests") };
    assert_eq!(first.payload().body(), second.payload().body());
    exchange(&api).send(post("/orders")).await.unwrap();
    assert_eq!(port.count(), 3, "what was learnt stays");
    assert_eq!(*tokens.asked.lock().unwrap(), [false, true, false], "asked for every request");
}

#[tokio::test]
async fn a_second_401_is_the_answer() {
    let (port, tokens) = (port("none"), Tokens::new(&["a", "b", "c"]));
    let api = crm().authorize(tokens).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/orders")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::AuthenticationFailed, Happened::No));
    assert_eq!(port.count(), 2);
}

#[tokio::test]
async fn a_401_without_another_credential_is_the_answer() {
    /// A key that is never rotated.
    #[derive(Debug)]
    struct Fixed;

    #[async_trait]
    impl Authorize for Fixed {
        async fn authorize(
            &self,
            _: &Context,
            _: &mut http::Request<Bytes>,
            _: Option<Credential>,
        ) -> Result<Credential> {
            Ok(Credential::of(&Secret::new("k-1")))
        }
    }
    let port = port("other");
    let api = crm().authorize(Fixed).build(port.clone()).unwrap();
    let e = exchange(&api).send(get("/orders")).await.unwrap_err();
    assert_eq!((e.kind(), port.count()), (ErrorKind::AuthenticationFailed, 1));
}

#[test]
fn credentials_leave_this_machine_by_https_only() {
    let build = |base: &str, signed: bool| {
        let api = Api::builder("crm", base).unwrap();
        let api = if signed { api.authorize(Tokens::new(&["old"])) } else { api };
        api.build(port("old"))
    };
    for safe in ["https://crm.test/api", "http://127.0.0.1:8080/api", "http://localhost/api"] {
        assert!(build(safe, true).is_ok(), "{safe}");
    }
    for plain in ["http://crm.test/api", "http://localhost.crm.test", "http://10.0.0.7:8080"] {
        let e = build(plain, true).unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No), "{plain}");
        assert!(build(plain, false).is_ok(), "nothing to read on its way to {plain}");
    }
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    let port = port("new");
    let api = crm().authorize(Tokens::new(&[])).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/orders")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::AuthenticationFailed, Happened::No));
    assert_eq!(port.count(), 0);
    let api = crm().authorize(Tokens::new(&["old"])).build(port.clone()).unwrap();
    let e = exchange(&api).send(post("/orders")).await.unwrap_err();
    assert_eq!((e.message(), e.happened()), ("no token is left", Happened::No));
    assert_eq!(port.count(), 1, "a 401, and nobody to ask");
}
