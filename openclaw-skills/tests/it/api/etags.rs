//! What is unchanged is not sent again, and belongs to whoever read it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use openclaw_core::{Context, ErrorKind, Happened, Result, Secret, TenantId};
use openclaw_skills::api::{Authorize, Credential};
use serde_json::{Value, json};

use super::{Port, context, crm, cx, exchange, get, post, reply};

/// A port whose resources have the tag `"1"`.
fn port() -> Port {
    Port::new(|number, request| {
        let same = request.headers().get("if-none-match").is_some_and(|tag| tag == "\"1\"");
        let number = number.to_string();
        let headers = [("etag", "\"1\""), ("x-ratelimit-remaining", number.as_str())];
        if same {
            return Ok(reply(304, &headers, &Value::Null));
        }
        Ok(reply(200, &headers, &json!({ "path": request.uri().path() })))
    })
}

#[tokio::test]
async fn an_unchanged_answer_comes_from_memory() {
    let port = port();
    let api = crm().remember(1 << 20).anonymous().build(port.clone()).unwrap();
    let first = exchange(&api).send(get("/a")).await.unwrap();
    assert!(!first.is_revalidated() && first.etag() == Some("\"1\""));
    let second = exchange(&api).send(get("/a")).await.unwrap();
    assert!(second.is_revalidated(), "the service said so");
    assert_eq!((second.status().as_u16(), second.body()), (200, first.body()));
    assert_eq!(second.headers()["content-type"], "application/json");
    assert_eq!(second.headers()["x-ratelimit-remaining"], "2", "what is of today");
    exchange(&api).send(get("/b")).await.unwrap();
    assert_eq!(port.header("if-none-match"), [None, Some("\"1\"".to_owned()), None]);
}

#[tokio::test]
async fn an_answer_that_changed_is_read_anew() {
    let port = Port::new(|number, _| {
        let tag = format!("\"{number}\"");
        Ok(reply(200, &[("etag", tag.as_str())], &json!({ "n": number })))
    });
    let api = crm().remember(1 << 20).anonymous().build(port.clone()).unwrap();
    for n in 1..=3 {
        let answer = exchange(&api).send(get("/a")).await.unwrap();
        assert_eq!(answer.value().unwrap(), json!({ "n": n }));
    }
    let asked = port.header("if-none-match");
    assert_eq!(asked, [None, Some("\"1\"".to_owned()), Some("\"2\"".to_owned())]);
}

#[tokio::test]
async fn what_one_tenant_or_credential_read_is_not_anothers() {
    /// A token that the test changes.
    #[derive(Debug)]
    struct Token(Arc<Mutex<&'static str>>);

    #[async_trait]
    impl Authorize for Token {
        async fn authorize(
            &self,
            _: &Context,
            request: &mut http::Request<Bytes>,
            _: Option<Credential>,
        ) -> Result<Credential> {
            // Not in a header: only the name tells credentials apart.
            request.headers_mut().insert("x-signed", HeaderValue::from_static("yes"));
            Ok(Credential::of(&Secret::new(*self.0.lock().unwrap())))
        }
    }
    let (port, token) = (port(), Arc::new(Mutex::new("ann")));
    let authorize = Token(Arc::clone(&token));
    let api = crm().remember(1 << 20).authorize(authorize).build(port.clone()).unwrap();
    let acme = || api.exchange(&cx(context()));
    acme().send(get("/a")).await.unwrap();
    *token.lock().unwrap() = "bob";
    acme().send(get("/a")).await.unwrap();
    let globex = cx(Context::new(TenantId::new("globex").unwrap()));
    api.exchange(&globex).send(get("/a")).await.unwrap();
    assert_eq!(port.header("if-none-match"), [None, None, None]);
    acme().send(get("/a")).await.unwrap();
    assert!(port.header("if-none-match")[3].is_some(), "Bob's own");
}

/// A port that signs for whoever is named at the moment, and gives each a body of their own.
///
/// Its tags are the numbers of versions: those of two people may be the same.
fn signing_port(user: &Arc<Mutex<&'static str>>) -> Port {
    let user = Arc::clone(user);
    Port::new(move |_, request| {
        if request.headers().get("if-none-match").is_some() {
            return Ok(reply(304, &[("etag", "\"7\"")], &Value::Null));
        }
        Ok(reply(200, &[("etag", "\"7\"")], &json!({ "of": *user.lock().unwrap() })))
    })
}

#[tokio::test]
async fn what_is_signed_below_is_nobody_elses() {
    let user = Arc::new(Mutex::new("ann"));
    let api = crm().remember(1 << 20).build(signing_port(&user)).unwrap();
    for name in ["ann", "bob", "ann"] {
        *user.lock().unwrap() = name;
        let answer = exchange(&api).send(get("/me")).await.unwrap();
        assert_eq!(answer.value().unwrap(), json!({ "of": name }));
    }
}

#[tokio::test]
async fn what_must_not_be_kept_is_not() {
    for (name, value) in [("cache-control", "private, no-store"), ("vary", "*"), ("etag-less", "x")]
    {
        let port = Port::new(move |_, _| {
            let tag = if name == "etag-less" { "x-tag" } else { "etag" };
            Ok(reply(200, &[(tag, "\"1\""), (name, value)], &json!({})))
        });
        let api = crm().remember(1 << 20).anonymous().build(port.clone()).unwrap();
        exchange(&api).send(get("/a")).await.unwrap();
        exchange(&api).send(get("/a")).await.unwrap();
        assert_eq!(port.header("if-none-match"), [None, None], "{name}");
    }
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_an_error() {
    let api = crm().remember(1 << 20).anonymous().build(Port::always(304, Value::Null)).unwrap();
    let e = exchange(&api).send(get("/a")).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_write_to_what_changed_meanwhile_is_a_conflict() {
    let port = Port::new(|_, request| {
        let same = request.headers().get("if-match").is_some_and(|tag| tag == "\"2\"");
        Ok(reply(if same { 200 } else { 412 }, &[], &json!({})))
    });
    let api = crm().build(port.clone()).unwrap();
    let late = exchange(&api).send(post("/a").if_match("\"1\"").unwrap()).await.unwrap_err();
    assert_eq!((late.kind(), late.happened()), (ErrorKind::Conflict, Happened::No));
    exchange(&api).send(post("/a").if_match("\"2\"").unwrap()).await.unwrap();
    assert!(post("/a").if_match("a\r\nb").is_err());
}
