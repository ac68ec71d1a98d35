//! Trouble: what an error knows, and what it keeps to itself.

use bytes::Bytes;
use http::{HeaderValue, Method};
use openclaw_core::{Call, Error, Happened};

use super::{Meets, Trial};
use crate::conformance::run::quotes;

const METHODS: [Method; 3] = [Method::GET, Method::PUT, Method::POST];

/// A server that read the request and hung up may have acted on it.
pub async fn a_hang_up_may_have_happened(trial: &Trial<'_>) {
    for method in METHODS {
        trial.meets(Meets::HangUp).await;
        let e = trial.send(trial.call(method, "/hang-up", "x")).await.err();
        let e = e.expect("no head came back");
        assert_ne!(e.happened(), Happened::No, "{e:?}");
    }
}

/// A send whose connection broke is not made again.
pub async fn a_hang_up_is_not_tried_again(trial: &Trial<'_>) {
    for (n, method) in (0..).zip(METHODS) {
        // With a connection that is open already, and may be used again.
        trial.get("/warm").await.expect("a response");
        trial.meets(Meets::HangUp).await;
        drop(trial.send(trial.call(method.clone(), "/hang-up", "x")).await);
        trial.quiet().await;
        assert_eq!(trial.heard().await.len(), 2 * (n + 1), "requests, behind a {method}");
    }
}

/// Behind a broken connection the next send is made as usual.
pub async fn a_client_outlives_a_hang_up(trial: &Trial<'_>) {
    for trouble in [Meets::HangUp, Meets::Break(Bytes::from_static(b"half"))] {
        trial.meets(trouble).await;
        drop(trial.read(trial.call(Method::GET, "/hang-up", "")).await);
        let body = trial.read(trial.call(Method::GET, "/next", "")).await.expect("a body");
        assert_eq!(body, "/next");
    }
}

/// Where nobody listens nobody has read the request: it may be repeated.
pub async fn an_unreachable_server_has_read_nothing(trial: &Trial<'_>) {
    let nobody = trial.unreachable().expect("a place where nobody listens");
    let call = Trial::call_at(&nobody, Method::POST, "/", "x");
    let e = trial.send(call).await.expect_err("nobody listens");
    assert_eq!(e.happened(), Happened::No, "{e:?}");
    assert!(e.kind().is_transient(), "somebody may listen later: {e:?}");
}

const SECRETS: [&str; 3] = ["query-5f2c", "header-5f2c", "body-5f2c"];

fn secretly(call: Call<http::Request<Bytes>>) -> Call<http::Request<Bytes>> {
    call.map(|mut request| {
        request.headers_mut().insert("authorization", HeaderValue::from_static("header-5f2c"));
        request
    })
}

fn says_nothing(e: &Error) {
    for secret in SECRETS {
        assert!(!quotes(e, secret), "it quotes {secret}: {e:?}");
    }
}

/// No error quotes query, headers or body.
pub async fn errors_quote_no_request(trial: &Trial<'_>) {
    let call = || secretly(trial.call(Method::POST, "/secret?token=query-5f2c", "body-5f2c"));
    for trouble in [Meets::HangUp, Meets::Break(Bytes::from_static(b"half"))] {
        trial.meets(trouble).await;
        says_nothing(&trial.read(call()).await.expect_err("it broke"));
    }
    let Some(nobody) = trial.unreachable() else { return };
    let call = Trial::call_at(&nobody, Method::POST, "/secret?token=query-5f2c", "body-5f2c");
    says_nothing(&trial.send(secretly(call)).await.expect_err("nobody listens"));
}
