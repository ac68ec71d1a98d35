//! `POST /hooks/{source}`: only what was signed, just now, for the first time.

use std::time::Duration;

use openclaw_channels::http::{Hook, HttpChannelBuilder, sign};
use openclaw_core::{Content, Env, Secret, SenderKind, SystemRng};
use openclaw_testkit::env::{EPOCH, ManualClock};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;

use super::{Answer, Served, builder, request, serve};

const SECRET: &str = "correct horse battery staple";
const NONCE: &str = "7890abcdef7890abcdef";
const BODY: &str = r#"{"a":1}"#;

fn now() -> u64 {
    EPOCH.as_millis() / 1000
}

fn with_hook(hook: Hook) -> (HttpChannelBuilder, ManualClock) {
    let clock = ManualClock::new(EPOCH);
    let builder = builder().env(Env::new(clock.clone(), SystemRng::default())).hook(hook);
    (builder, clock)
}

async fn shop() -> Served {
    serve(with_hook(Hook::new("shop", Secret::new(SECRET))).0).await
}

fn lines(timestamp: &str, nonce: &str, signature: &str) -> String {
    format!(
        "X-OpenClaw-Timestamp: {timestamp}\r\nX-OpenClaw-Nonce: {nonce}\r\nX-OpenClaw-Signature: {signature}\r\n"
    )
}

fn signed(secret: &str, timestamp: u64, nonce: &str, body: &str) -> String {
    let signature = sign(&Secret::new(secret), timestamp, nonce, body.as_bytes());
    lines(&timestamp.to_string(), nonce, &signature)
}

impl Served {
    async fn hook(&self, headers: &str, body: &str) -> Answer {
        self.request("POST", "/hooks/shop", headers, body.as_bytes()).await
    }
}

#[tokio::test]
async fn a_signed_request_is_taken_with_its_bytes() {
    let served = shop().await;
    let body = "{\"a\" : 1,  \"emoji\":\"\\u00e9😀\"}";
    let answer = served.hook(&signed(SECRET, now(), NONCE, body), body).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("queued")));
    let envelope = served.desk.admitted().remove(0);
    assert_eq!(envelope.content, Content::json(json!({"a": 1, "emoji": "é😀"})));
    assert_eq!(&envelope.raw[..], body.as_bytes());
    assert_eq!((&*envelope.kind, &*envelope.sender.id), ("webhook", "shop"));
    assert!(envelope.sender.verified && envelope.sender.kind == SenderKind::Bot);
}

#[tokio::test]
async fn a_replay_is_refused_and_the_nonce_is_handed_over() {
    let served = shop().await;
    let headers = signed(SECRET, now(), NONCE, BODY);
    assert_eq!(served.hook(&headers, BODY).await.status, 202);
    served.hook(&headers, BODY).await.refuses(401, "AUTHENTICATION_FAILED");
    let nonces = served.desk.state().nonces.clone();
    assert_eq!(nonces.into_iter().next(), Some(("hook:shop/web".to_owned(), NONCE.to_owned())));
    assert_eq!(served.desk.admitted().len(), 1);
}

#[tokio::test]
async fn the_window_is_300_seconds_both_ways() {
    let (builder, clock) = with_hook(Hook::new("shop", Secret::new(SECRET)));
    let served = serve(builder).await;
    for (shift, status) in [(-301, 401), (-300, 202), (300, 202), (301, 401)] {
        let timestamp = now().checked_add_signed(shift).unwrap();
        let nonce = format!("nonce-nonce-nonce-{}", shift + 1000);
        let answer = served.hook(&signed(SECRET, timestamp, &nonce, BODY), BODY).await;
        assert_eq!(answer.status, status, "{shift}");
    }
    clock.advance(Duration::from_secs(301));
    let headers = signed(SECRET, now(), "nonce-nonce-later", BODY);
    served.hook(&headers, BODY).await.refuses(401, "AUTHENTICATION_FAILED");
}

#[tokio::test]
async fn every_header_is_there_exactly_once_in_its_only_form() {
    let served = shop().await;
    let good = signed(SECRET, now(), NONCE, BODY);
    let [timestamp, nonce, signature]: [&str; 3] =
        good.split_inclusive("\r\n").collect::<Vec<_>>().try_into().unwrap();
    let spelled = |text: &str| good.replace("v1=", text);
    let cases = [
        String::new(),
        [nonce, signature].concat(),
        [timestamp, signature].concat(),
        [timestamp, nonce].concat(),
        [timestamp, timestamp, nonce, signature].concat(),
        [timestamp, nonce, nonce, signature].concat(),
        [timestamp, nonce, signature, signature].concat(),
        [timestamp, nonce, signature, "x-openclaw-signature: v1=00\r\n"].concat(),
        [timestamp, nonce, "X-OpenClaw-Signature:\r\n"].concat(),
        spelled("v0="),
        spelled(""),
        spelled("v1=v1="),
        spelled("V1="),
    ];
    for headers in cases {
        served.hook(&headers, BODY).await.refuses(401, "AUTHENTICATION_FAILED");
    }
    for nonce in
        ["short", "with.a.dot.in.the.middle", "with a space in the middle", &"x".repeat(65)]
    {
        let answer = served.hook(&signed(SECRET, now(), nonce, BODY), BODY).await;
        answer.refuses(401, "AUTHENTICATION_FAILED");
    }
    assert!(served.desk.admitted().is_empty() && served.desk.state().nonces.is_empty());
}

#[tokio::test]
async fn each_source_has_its_own_secrets_and_rotation_has_two() {
    let next = "the next secret, while both are in use";
    let (builder, _) = with_hook(Hook::new("shop", Secret::new(SECRET)).also(Secret::new(next)));
    let served =
        serve(builder.hook(Hook::new("bank", Secret::new("a third one, of the bank")))).await;
    let other = signed("a third one, of the bank", now(), NONCE, BODY);
    served.hook(&other, BODY).await.refuses(401, "AUTHENTICATION_FAILED");
    for (secret, nonce) in [(SECRET, "nonce-0123456789-a"), (next, "nonce-0123456789-b")] {
        assert_eq!(served.hook(&signed(secret, now(), nonce, BODY), BODY).await.status, 202);
    }
    let unknown = served.request("POST", "/hooks/nobody", &other, BODY.as_bytes()).await;
    unknown.refuses(404, "NOT_FOUND");
}

#[tokio::test]
async fn signed_json_is_read_strictly_and_only_once_the_signature_fits() {
    let served = shop().await;
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for (n, (body, pointer)) in [
        (r#"{"approved":false,"approved":true}"#, "/approved"),
        (deep.as_str(), &"/0".repeat(64)),
        ("{", ""),
        ("not json", ""),
        ("", ""),
        (r#"{"a":1} {}"#, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let nonce = format!("nonce-0123456789-{n}");
        let answer = served.hook(&signed(SECRET, now(), &nonce, body), body).await;
        answer.refuses(400, "VALIDATION_ERROR");
        assert_eq!(answer.pointer(), Some(pointer), "{body}");
        let unsigned =
            served.hook(&signed("another secret of 24 bytes", now(), &nonce, body), body).await;
        unsigned.refuses(401, "AUTHENTICATION_FAILED");
    }
    assert!(served.desk.admitted().is_empty());
}

#[tokio::test]
async fn an_event_that_is_signed_anew_is_known_by_its_id() {
    let (builder, _) = with_hook(Hook::new("shop", Secret::new(SECRET)).event_id("/id"));
    let served = serve(builder).await;
    let send = async |nonce: &str, body: &str| {
        served.hook(&signed(SECRET, now(), nonce, body), body).await
    };
    let first = send("nonce-0123456789-a", r#"{"id":"e-1","n":1}"#).await;
    let again = send("nonce-0123456789-b", r#"{"n":1,"id":"e-1"}"#).await;
    assert_eq!((first.status, &first.body), (202, &again.body));
    send("nonce-0123456789-c", r#"{"id":"e-1","n":2}"#).await.refuses(422, "CONFLICT");
    send("nonce-0123456789-d", r#"{"n":2}"#).await.refuses(400, "VALIDATION_ERROR");
}

/// All bytes of a request that its signature covers, and the signature.
fn flipped(field: usize, at: usize, bit: u8, nonce: &str, body: &str) -> Vec<u8> {
    let timestamp = now();
    let signature = sign(&Secret::new(SECRET), timestamp, nonce, body.as_bytes());
    let mut parts = [timestamp.to_string(), nonce.to_owned(), signature, body.to_owned()]
        .map(String::into_bytes);
    let part = &mut parts[field % 4];
    let length = part.len();
    part[at % length] ^= 1 << (bit % 8);
    let [timestamp, nonce, signature, body] = parts;
    let mut bytes = b"POST /hooks/shop HTTP/1.1\r\nhost: test\r\nconnection: close\r\n".to_vec();
    for (name, value) in [("Timestamp", timestamp), ("Nonce", nonce), ("Signature", signature)] {
        bytes.extend_from_slice(format!("X-OpenClaw-{name}: ").as_bytes());
        bytes.extend_from_slice(&value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

#[tokio::test]
async fn no_bit_of_a_signed_request_can_be_flipped() {
    let served = shop().await;
    for (field, length) in [(0, 10), (1, NONCE.len()), (2, 67), (3, BODY.len())] {
        for at in 0..length {
            for bit in 0..8 {
                let answer = served.raw(flipped(field, at, bit, NONCE, BODY)).await;
                // A flip can make a header that is none: then it is no request at all.
                let status = answer.status;
                assert!(
                    status == 401 || status == 400 && field < 3,
                    "{field} {at} {bit}: {answer:?}"
                );
            }
        }
    }
    assert!(served.desk.admitted().is_empty() && served.desk.state().nonces.is_empty());
    let good = served.hook(&signed(SECRET, now(), NONCE, BODY), BODY).await;
    assert_eq!(good.status, 202);
}

#[test]
fn no_bit_of_any_signed_request_can_be_flipped() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let served = runtime.block_on(shop());
    let config =
        ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    let cases = (0..4_usize, any::<usize>(), 0..8_u8, "[A-Za-z0-9_-]{16,64}", "\\PC{1,200}");
    let mut runner = TestRunner::new(config);
    runner
        .run(&cases, |(field, at, bit, nonce, text)| {
            let body = json!({ "text": text }).to_string();
            let good = signed(SECRET, now(), &nonce, &body);
            let (answer, taken) = runtime.block_on(async {
                let answer = served.raw(flipped(field, at, bit, &nonce, &body)).await;
                (answer, served.raw(request("POST", "/hooks/shop", &good, body.as_bytes())).await)
            });
            prop_assert!(answer.status == 401 || answer.status == 400 && field < 3, "{answer:?}");
            prop_assert_eq!(taken.status, 202);
            Ok(())
        })
        .unwrap();
}

#[test]
fn secrets_that_are_no_secrets_are_refused_at_build() {
    let hook = |source: &str, secret: &str| Hook::new(source, Secret::new(secret));
    for secret in ["", "undefined", "null", "changeme", "secret", "short-but-random-9fk2"] {
        assert!(builder().hook(hook("shop", secret)).build().is_err(), "{secret}");
    }
    let twice = builder().hook(hook("shop", SECRET)).hook(hook("bank", SECRET)).build();
    assert!(twice.unwrap_err().to_string().contains("hook bank is also the secret of hook shop"));
    let same =
        builder().hook(hook("shop", SECRET)).hook(hook("shop", "another secret of 24 bytes"));
    assert!(same.build().is_err());
    assert!(builder().hook(hook("a/b", SECRET)).build().is_err());
    assert!(builder().hook(hook("shop", SECRET)).build().is_ok());
}
