//! Credentials that are one secret: where they go, how they are rotated, whom they reach.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use openclaw_core::{
    Call, Context, Error, ErrorKind, Happened, Result, Secret,
    http::{Body, Http},
};
use openclaw_skills::{
    api::{Authorize, Credential},
    auth::{ApiKey, Authorized, Leaks},
    secrets::{EnvSecrets, SecretProvider, SecretRef, SecretSource, Secrets},
};
use tokio::{task::JoinSet, time::sleep};

use crate::support::context;

/// A secret that an operator may change while all runs.
#[derive(Clone)]
struct Vault(Arc<Mutex<String>>);

impl Vault {
    fn new(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.to_owned())))
    }

    fn rotate(&self, text: &str) {
        text.clone_into(&mut self.0.lock().expect("not poisoned"));
    }

    fn secrets(&self) -> Secrets {
        let known = Arc::clone(&self.0);
        let env = EnvSecrets::of(move |_name| known.lock().ok().map(|text| text.clone()));
        let secrets = Secrets::builder().provider(SecretSource::Env, "default", env);
        secrets.build().expect("names")
    }
}

fn reference() -> SecretRef {
    SecretRef::env("KEY").expect("a name")
}

/// A shop that answers with these statuses, then with 200, and keeps what it was sent.
#[derive(Clone, Debug, Default)]
struct Shop {
    statuses: Arc<Mutex<VecDeque<u16>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    fn answering(statuses: impl IntoIterator<Item = u16>) -> Self {
        let shop = Self::default();
        shop.statuses.lock().expect("not poisoned").extend(statuses);
        shop
    }

    /// The header `Authorization` of each request.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Http for Shop {
    async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
        let header = call.payload().headers().get("authorization");
        let header = header.map(|value| value.to_str().expect("text").to_owned());
        self.heard.lock().expect("not poisoned").push(header.unwrap_or_default());
        let status = self.statuses.lock().expect("not poisoned").pop_front().unwrap_or(200);
        let mut response = Response::new(Body::full(""));
        *response.status_mut() = status.try_into().expect("a status");
        Ok(response)
    }
}

fn request(uri: &str) -> Call<Request<Bytes>> {
    Call::http(context(), Request::get(uri).body(Bytes::new()).expect("a request"))
}

async fn signed(key: &ApiKey, uri: &str) -> Request<Bytes> {
    let mut request = Request::get(uri).body(Bytes::new()).expect("a request");
    key.authorize(&context(), &mut request, None).await.expect("it is signed");
    request
}

#[tokio::test]
async fn each_way_puts_the_secret_in_its_place() {
    let secrets = Vault::new("s3cret/+").secrets();
    let uri = "https://shop.test/orders?a=1&key=old&b=2";
    let header = ApiKey::header(secrets.clone(), reference(), "X-Api-Key").expect("a header");
    assert_eq!(signed(&header, uri).await.headers()["x-api-key"], "s3cret/+");
    let bearer = ApiKey::bearer(secrets.clone(), reference());
    assert_eq!(signed(&bearer, uri).await.headers()["authorization"], "Bearer s3cret/+");
    let basic = ApiKey::basic(secrets.clone(), "user", reference()).expect("a name");
    let expected = "Basic dXNlcjpzM2NyZXQvKw==";
    assert_eq!(signed(&basic, uri).await.headers()["authorization"], expected);
    let query = ApiKey::query(secrets, reference(), "key", Leaks::Accepted).expect("accepted");
    let expected = "https://shop.test/orders?a=1&b=2&key=s3cret%2F%2B";
    assert_eq!(signed(&query, uri).await.uri(), expected);
    assert_eq!(signed(&query, "https://shop.test").await.uri().path(), "/");
    for key in [&header, &bearer, &basic] {
        let shown = format!("{key:?} {:?}", signed(key, uri).await);
        assert!(!shown.contains("s3cret") && !shown.contains("dXNlcj"), "{shown}");
    }
}

#[tokio::test]
async fn a_key_in_the_query_has_to_be_accepted_by_name() {
    let secrets = Vault::new("s3cret").secrets();
    let refused = ApiKey::query(secrets.clone(), reference(), "key", Leaks::default());
    assert_eq!(refused.expect_err("it leaks").kind(), ErrorKind::PermissionDenied);
    assert!(ApiKey::basic(secrets.clone(), "a:b", reference()).is_err());
    assert!(ApiKey::header(secrets, reference(), "no header").is_err());
}

#[tokio::test]
async fn a_secret_that_no_header_can_hold_is_refused_by_its_name() {
    let key = ApiKey::bearer(Vault::new("s3cret\nx-admin: 1").secrets(), reference());
    let mut request = Request::new(Bytes::new());
    let error = key.authorize(&context(), &mut request, None).await.expect_err("two lines");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::ValidationError, Happened::No));
    assert!(error.to_string().contains("env:default:KEY"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_key_that_was_rotated_is_taken_up_at_the_401() {
    let vault = Vault::new("old");
    let shop = Shop::answering([200, 401]);
    let key = ApiKey::bearer(vault.secrets(), reference());
    let client = Authorized::new(shop.clone(), key, "https://shop.test").expect("an origin");
    let get =
        async || client.send(request("https://shop.test/a")).await.map(|a| a.status().as_u16());
    assert_eq!(get().await.ok(), Some(200));
    vault.rotate("new");
    assert_eq!(get().await.ok(), Some(200));
    assert_eq!(shop.heard(), ["Bearer old", "Bearer old", "Bearer new"]);
}

#[tokio::test]
async fn a_key_that_is_still_the_same_is_not_tried_twice() {
    let shop = Shop::answering([401, 401, 401]);
    let key = ApiKey::bearer(Vault::new("old").secrets(), reference());
    let client = Authorized::new(shop.clone(), key, "https://shop.test").expect("an origin");
    let answer = client.send(request("https://shop.test/a")).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), shop.heard().len()), (401, 1));
}

#[tokio::test]
async fn a_second_401_is_the_answer() {
    let vault = Vault::new("old");
    let shop = Shop::answering([200, 401, 401, 200]);
    let key = ApiKey::bearer(vault.secrets(), reference());
    let client = Authorized::new(shop.clone(), key, "https://shop.test").expect("an origin");
    client.send(request("https://shop.test/a")).await.expect("an answer");
    vault.rotate("new");
    let answer = client.send(request("https://shop.test/a")).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), shop.heard().len()), (401, 3));
}

/// Signs so often, and then has nobody to ask.
#[derive(Debug)]
struct Locked(Mutex<usize>);

#[async_trait]
impl Authorize for Locked {
    async fn authorize(
        &self,
        _: &Context,
        _: &mut Request<Bytes>,
        _: Option<Credential>,
    ) -> Result<Credential> {
        let mut left = self.0.lock().expect("not poisoned");
        let locked = Error::new(ErrorKind::Unavailable, "the vault is locked");
        *left = left.checked_sub(1).ok_or(locked)?;
        Ok(Credential::of(&Secret::new("k")))
    }
}

#[tokio::test]
async fn what_could_not_be_signed_has_surely_not_happened() {
    for signatures in [0, 1] {
        let shop = Shop::answering([401, 200]);
        let locked = Locked(Mutex::new(signatures));
        let client = Authorized::new(shop.clone(), locked, "https://shop.test").expect("an origin");
        let error = client.send(request("https://shop.test/a")).await.expect_err("no signature");
        assert_eq!((error.kind(), error.happened()), (ErrorKind::Unavailable, Happened::No));
        assert_eq!(shop.heard().len(), signatures);
    }
}

#[tokio::test]
async fn credentials_go_to_their_origin_and_nowhere_else() {
    let shop = Shop::default();
    let key = ApiKey::bearer(Vault::new("s3cret").secrets(), reference());
    let client = Authorized::new(shop.clone(), key, "https://shop.test").expect("an origin");
    for ours in ["https://shop.test/a", "https://SHOP.test:443/b?c"] {
        assert!(client.send(request(ours)).await.is_ok(), "{ours}");
    }
    for other in [
        "http://shop.test/",
        "https://shop.test:8443/",
        "https://shop.test.evil.test/",
        "https://evil.test/shop.test",
        "https://shop.test@evil.test/",
        "https://user@shop.test/",
        "/a",
    ] {
        let error = client.send(request(other)).await.expect_err(other);
        assert_eq!((error.kind(), error.happened()), (ErrorKind::PermissionDenied, Happened::No));
    }
    assert_eq!(shop.heard().len(), 2);
}

#[tokio::test]
async fn a_late_refusal_does_not_drop_the_new_key() {
    let vault = Vault::new("old");
    let key = ApiKey::bearer(vault.secrets(), reference());
    let mut request = Request::new(Bytes::new());
    let old = key.authorize(&context(), &mut request, None).await.expect("it is signed");
    vault.rotate("new");
    let new = key.authorize(&context(), &mut request, Some(old)).await.expect("it is signed");
    assert_ne!(old, new);
    vault.rotate("newer");
    let again: Credential =
        key.authorize(&context(), &mut request, Some(old)).await.expect("it is signed");
    assert_eq!(again, new, "the refusal was of an older one");
}

/// A vault that takes its time and always has the same secret.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<AtomicU32>);

#[async_trait]
impl SecretProvider for Slow {
    async fn fetch(&self, _id: &str) -> Result<Secret> {
        self.0.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(100)).await;
        Ok(Secret::new("revoked"))
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_are_refused_at_once_hear_soon_that_there_is_no_other_key() {
    let vault = Slow::default();
    let secrets = Secrets::builder().provider(SecretSource::Env, "default", vault.clone());
    let key = ApiKey::bearer(secrets.build().expect("names"), reference());
    let mut request = Request::new(Bytes::new());
    let old = key.authorize(&context(), &mut request, None).await.expect("it is signed");
    let mut callers = JoinSet::new();
    for n in 0..40 {
        let key = key.clone();
        callers.spawn(async move {
            sleep(Duration::from_millis(90 * n)).await;
            let mut request = Request::new(Bytes::new());
            key.authorize(&context(), &mut request, Some(old)).await.map_err(|e| e.to_string())
        });
    }
    assert_eq!(callers.join_all().await, vec![Ok(old); 40], "so the 401 is the answer");
    assert!(vault.0.load(Ordering::Relaxed) <= 41, "one more read for each at most");
}
