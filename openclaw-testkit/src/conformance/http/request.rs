//! The request: it arrives as it was given, once.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};

use super::{Meets, Trial};
use crate::conformance::run::together;

/// Method, path and query arrive as they were given.
pub async fn method_path_and_query_arrive(trial: &Trial<'_>) {
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    let paths = ["/", "/a/b%20c", "/a//b?q=1&q=2&e=", "/%F0%9F%98%80?a=%26"];
    let mut sent = Vec::new();
    for method in methods {
        for path in paths {
            trial.send(trial.call(method.clone(), path, "")).await.expect("a response");
            sent.push(format!("{method} {path}"));
        }
    }
    let path = |uri: &http::Uri| uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let heard = trial.heard().await;
    let heard: Vec<_> = heard.iter().map(|r| format!("{} {}", r.method(), path(r.uri()))).collect();
    assert_eq!(heard, sent);
}

/// Headers arrive: every name, every value, and the values of one name in order.
pub async fn headers_arrive(trial: &Trial<'_>) {
    let values = ["one", "two; q=0.5, three", "\u{e9}"]
        .map(|v| HeaderValue::from_bytes(v.as_bytes()).expect("a value"));
    let call = trial.call(Method::POST, "/headers", "x").map(|mut request| {
        for value in &values {
            request.headers_mut().append("x-law", value.clone());
        }
        let headers = request.headers_mut();
        headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
        headers.insert("idempotency-key", HeaderValue::from_static("k-1"));
        headers.insert("content-type", HeaderValue::from_static("text/x-law"));
        request
    });
    trial.send(call).await.expect("a response");
    let heard = trial.only().await;
    let all: Vec<_> = heard.headers().get_all("x-law").iter().cloned().collect();
    assert_eq!(all, values, "the values of x-law");
    for (name, value) in [
        ("authorization", "Bearer abc"),
        ("idempotency-key", "k-1"),
        ("content-type", "text/x-law"),
    ] {
        let all: Vec<_> = heard.headers().get_all(name).iter().collect();
        assert_eq!(all, [value], "the values of {name}");
    }
}

/// A body arrives byte by byte, whatever is in it, however long it is.
pub async fn a_request_body_arrives_whole(trial: &Trial<'_>) {
    let bytes: Vec<u8> = (0..=255).collect();
    let bodies = [Bytes::new(), Bytes::from(bytes.clone()), Bytes::from(bytes.repeat(1_000))];
    for body in &bodies {
        trial.send(trial.call(Method::PUT, "/body", body.clone())).await.expect("a response");
    }
    let heard = trial.heard().await;
    let same: Vec<bool> =
        heard.iter().zip(&bodies).map(|(heard, body)| heard.body() == body).collect();
    assert_eq!(same, [true; 3], "did the empty, the short and the long body arrive?");
}

/// One send is one request, whatever the status.
pub async fn one_send_is_one_request(trial: &Trial<'_>) {
    let codes = [200, 408, 429, 500, 502, 503, 504];
    for (n, code) in (1..).zip(codes) {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(code).expect("a status");
        response.headers_mut().insert("retry-after", HeaderValue::from_static("0"));
        trial.meets(Meets::Answer(response)).await;
        trial.get("/once").await.expect("a response");
        trial.quiet().await;
        assert_eq!(trial.heard().await.len(), n, "requests, behind a {code}");
    }
}

/// Sends side by side get their own answers.
pub async fn sends_side_by_side_keep_their_answers(trial: &Trial<'_>) {
    let send = async |n: u32| {
        let call = trial.call(Method::GET, &format!("/side?n={n}"), "");
        trial.read(call).await.expect("a body")
    };
    let bodies = together((0..16).map(send)).await;
    for (n, body) in bodies.iter().enumerate() {
        assert_eq!(*body, format!("/side?n={n}"), "the answer to request {n}");
    }
}
