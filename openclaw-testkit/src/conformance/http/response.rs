//! The response: a status is data, and a body is whole or an error.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use openclaw_core::Happened;
use tokio::time::timeout;

use super::{Meets, Trial};

fn response(code: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
}

/// A status is an answer, whatever it says.
pub async fn a_status_is_an_answer(trial: &Trial<'_>) {
    for code in [200, 201, 204, 304, 400, 401, 404, 409, 418, 429, 500, 503, 599] {
        trial.meets(Meets::Answer(response(code, ""))).await;
        let answer = trial.get("/status").await;
        let answer = answer.unwrap_or_else(|e| panic!("a {code} is an answer, no error: {e:?}"));
        assert_eq!(answer.status().as_u16(), code);
    }
}

/// Response headers come back: every name, and the values of one name in order.
pub async fn response_headers_come_back(trial: &Trial<'_>) {
    let mut answer = response(200, "x");
    for value in ["a=1", "b=2; Path=/"] {
        answer.headers_mut().append("set-cookie", HeaderValue::from_static(value));
    }
    answer.headers_mut().insert("retry-after", HeaderValue::from_static("120"));
    trial.meets(Meets::Answer(answer)).await;
    let answer = trial.get("/headers").await.expect("a response");
    let all: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(all, ["a=1", "b=2; Path=/"]);
    assert_eq!(answer.headers().get("retry-after").map(HeaderValue::as_bytes), Some(&b"120"[..]));
}

/// A body is read whole: empty, binary, long, in pieces.
pub async fn a_response_body_is_read_whole(trial: &Trial<'_>) {
    let bytes: Vec<u8> = (0..=255).collect();
    for body in [Vec::new(), bytes.clone(), bytes.repeat(100)] {
        trial.meets(Meets::Answer(response(200, body.clone()))).await;
        let read = trial.read(trial.call(Method::GET, "/body", "")).await.expect("a body");
        assert!(read == body, "{} bytes came, {} were sent", read.len(), body.len());
    }
    let pieces = ["one, ", "two, ", "three"].map(Bytes::from);
    trial.meets(Meets::Pieces(pieces.to_vec())).await;
    let read = trial.read(trial.call(Method::GET, "/pieces", "")).await.expect("a body");
    assert_eq!(read, "one, two, three");
}

/// The head is given as soon as it is here, whatever becomes of the body.
pub async fn a_head_comes_before_its_body(trial: &Trial<'_>) {
    trial.meets(Meets::Stall(Bytes::from_static(b"begin"))).await;
    let answer = timeout(trial.soon() / 4, trial.get("/stall")).await;
    let answer = answer.expect("`send` waits for the body").expect("a response");
    assert_eq!(answer.status(), StatusCode::OK);
}

/// A body that breaks off is an error, never a short body; the request may have had its effect.
pub async fn a_body_that_breaks_is_an_error(trial: &Trial<'_>) {
    trial.meets(Meets::Break(Bytes::from_static(b"half of "))).await;
    // A client may also see the break while it waits for the head.
    let e = match trial.read(trial.call(Method::POST, "/break", "x")).await {
        Ok(body) => panic!("the body broke off, and yet {body:?}"),
        Err(e) => e,
    };
    assert_ne!(e.happened(), Happened::No, "{e:?}");
}

/// A redirect is an answer: nobody else decides where a request goes.
pub async fn a_redirect_is_an_answer(trial: &Trial<'_>) {
    for (n, code) in (1..).zip([301, 302, 303, 307, 308]) {
        let mut answer = response(code, "");
        answer.headers_mut().insert("location", HeaderValue::from_static("/elsewhere"));
        trial.meets(Meets::Answer(answer)).await;
        let answer = trial.get("/redirect").await.expect("a response");
        assert_eq!(answer.status().as_u16(), code);
        assert_eq!(trial.heard().await.len(), n, "requests, behind a {code}");
    }
}

/// A client that follows a redirect to another origin leaves credentials and body behind.
pub async fn a_followed_redirect_leaves_credentials_behind(trial: &Trial<'_>) {
    const NAMES: [&str; 3] = ["authorization", "cookie", "x-api-key"];
    for code in [301, 302, 303, 307, 308] {
        let before = trial.heard().await.len();
        let mut answer = response(code, "");
        let to = format!("{}/elsewhere", trial.elsewhere());
        answer.headers_mut().insert("location", to.parse().expect("a location"));
        trial.meets(Meets::Answer(answer)).await;
        let call = trial.call(Method::POST, "/redirect", "body-5f2c").map(|mut request| {
            for name in NAMES {
                request.headers_mut().insert(name, HeaderValue::from_static("secret-5f2c"));
            }
            request
        });
        trial.send(call).await.expect("a response");
        // The first one was meant; whatever comes behind it was not.
        for next in trial.heard().await.iter().skip(before + 1) {
            let told: Vec<_> =
                NAMES.iter().filter(|name| next.headers().contains_key(**name)).collect();
            assert!(told.is_empty(), "behind a {code} another origin was told {told:?}");
            assert!(next.body().is_empty(), "behind a {code} another origin was told the body");
        }
    }
}

/// A body over the client's limit is an error of the read, not of the send.
pub async fn a_body_over_the_limit_is_an_error_of_the_read(trial: &Trial<'_>) {
    let max = trial.max_response();
    trial.meets(Meets::Answer(response(200, vec![b'x'; max]))).await;
    let body = trial.read(trial.call(Method::GET, "/max", "")).await.expect("a body that fits");
    assert_eq!(body.len(), max);
    for body in [Meets::Answer(response(200, vec![b'x'; max + 1])), too_much(max)] {
        trial.meets(body).await;
        let answer = trial.get("/over").await.expect("the head");
        let e = trial.collect(answer.into_body()).await.expect_err("over the limit");
        assert_ne!(e.happened(), Happened::No, "{e:?}");
    }
}

/// One byte over the limit, in pieces whose sum nobody announces.
fn too_much(max: usize) -> Meets {
    Meets::Pieces(vec![Bytes::from(vec![b'x'; max]), Bytes::from_static(b"x")])
}
