//! What the self-test says, and what it expects to hear.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use openclaw_channels::http::sign;
use openclaw_core::{Env, Secret};
use openclaw_examples::{Answer, Checks, ask};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::child::{Desk, refused};
use crate::app::{HTTP, SECRET, SOURCE};

const JSON: (&str, &str) = ("content-type", "application/json");

fn message(payload: &str, metadata: &Value) -> String {
    json!({"channel_id": HTTP, "payload": payload, "metadata": metadata}).to_string()
}

/// Says something in a conversation and waits for the reply.
async fn say(
    web: SocketAddr,
    conversation: &str,
    text: &str,
    key: Option<&str>,
) -> Result<Answer, String> {
    let body = message(text, &json!({"conversation_id": conversation, "sender_id": "ann"}));
    let mut headers = vec![JSON];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    ask(web, "POST /v1/messages?wait=10000", &headers, &body).await
}

async fn refunds(shop: SocketAddr) -> Result<Vec<Value>, String> {
    let answer = ask(shop, "GET /refunds", &[], "").await?;
    let list =
        answer.body.as_array().or_else(|| answer.body.get("refunds").and_then(Value::as_array));
    Ok(list.cloned().unwrap_or_default())
}

fn refunds_of(all: &[Value], order: &str) -> usize {
    all.iter().filter(|refund| refund.get("order").and_then(Value::as_str) == Some(order)).count()
}

/// Questions a person asks.
pub(super) async fn talk(desk: &Desk, checks: &mut Checks) -> Result<(), String> {
    for (path, word) in [("/healthz", "live"), ("/readyz", "ready")] {
        let probe = ask(desk.web, &format!("GET {path}"), &[], "").await?;
        checks.that(path, probe.status == 200 && probe.text("/status") == word, &probe);
    }
    let answer = say(desk.web, "talk", "where is order 1042?", None).await?;
    checks.that(
        "an order is looked up",
        answer.status == 200 && answer.text("/reply").contains("1042"),
        &answer,
    );
    let answer = say(desk.web, "talk", "where is order 9999?", None).await?;
    checks.that("an unknown order is named", answer.text("/reply").contains("9999"), &answer);
    let answer = say(desk.web, "talk", "help", None).await?;
    checks.that("help is given", answer.text("/reply").contains("refund"), &answer);
    let asked = say(desk.web, "talk", "where is my order?", None).await?;
    checks.that("it asks back", asked.text("/reply").contains('?'), &asked);
    let answer = say(desk.web, "talk", "1041", None).await?;
    checks.that(
        "the answer to its question completes it",
        answer.text("/reply").contains("1041"),
        &answer,
    );
    let id = answer.text("/message_id").to_owned();
    let again = ask(desk.web, &format!("GET /v1/messages/{id}"), &[], "").await?;
    checks.that("a reply can be read again", again.text("/reply") == answer.text("/reply"), &again);
    Ok(())
}

/// A refund, and the same request again.
pub(super) async fn repeat(desk: &Desk, checks: &mut Checks) -> Result<(), String> {
    let first = say(desk.web, "money", "refund order 1042", Some("key-1")).await?;
    checks.that("a refund is made", first.text("/reply").contains("49.90"), &first);
    let again = say(desk.web, "money", "refund order 1042", Some("key-1")).await?;
    let same = !first.text("/message_id").is_empty()
        && again.text("/message_id") == first.text("/message_id");
    checks.that("the same key and body answer as the first time", same, &again);
    let other = say(desk.web, "money", "refund order 1043", Some("key-1")).await?;
    checks.that("the same key with another body is 422", other.status == 422, &other);
    let all = refunds(desk.shop).await?;
    checks.that("there is one refund", all.len() == 1 && refunds_of(&all, "1042") == 1, &all);
    let body =
        json!({"topic": "orders", "payload": "where is order 1044?", "idempotency_key": "key-2"})
            .to_string();
    let answer = ask(desk.web, "POST /v1/messages", &[JSON], &body).await?;
    let queued = answer.status == 202 && answer.text("/status") == "queued";
    checks.that("the other body shape is queued", queued, &answer);
    let answer =
        ask(desk.web, "POST /v1/messages", &[JSON, ("idempotency-key", "key-3")], &body).await?;
    checks.that("two different keys are 400", answer.status == 400, &answer);
    Ok(())
}

/// A signed request, and everything that may be wrong with one.
pub(super) async fn signed(desk: &Desk, data: &Path, checks: &mut Checks) -> Result<(), String> {
    let secret = Secret::new(fs::read_to_string(data.join(SECRET)).map_err(|e| e.to_string())?);
    let now = Env::system().now().as_millis() / 1000;
    let line = format!("POST /hooks/{SOURCE}");
    let body = r#"{"text":"where is order 1041?"}"#;
    let post = async |time: u64, nonce: &str, body: &str, signature: &str| {
        let time = time.to_string();
        let headers = [
            ("x-openclaw-timestamp", time.as_str()),
            ("x-openclaw-nonce", nonce),
            ("x-openclaw-signature", signature),
        ];
        ask(desk.web, &line, &headers, body).await
    };
    let signature =
        |time: u64, nonce: &str, body: &str| sign(&secret, time, nonce, body.as_bytes());
    let good = "nonce-0123456789abcdef";
    let answer = post(now, good, body, &signature(now, good, body)).await?;
    checks.that("a signed request is queued", answer.status == 202, &answer);
    let answer = post(now, good, body, &signature(now, good, body)).await?;
    checks.that("a replayed one is 401", answer.status == 401, &answer);
    let nonce = "nonce-fedcba9876543210";
    let answer = post(now, nonce, body, &signature(now, "nonce-another-one-here", body)).await?;
    checks.that("a bad signature is 401", answer.status == 401, &answer);
    let stale = now - 301;
    let answer = post(stale, nonce, body, &signature(stale, nonce, body)).await?;
    checks.that("a stale one is 401", answer.status == 401, &answer);
    let answer = ask(desk.web, &line, &[], body).await?;
    checks.that("an unsigned one is 401", answer.status == 401, &answer);
    let twice = r#"{"text":"help","text":"refund order 1045"}"#;
    let answer = post(now, nonce, twice, &signature(now, nonce, twice)).await?;
    let named = answer.status == 400 && answer.text("/error/pointer") == "/text";
    checks.that("a duplicate key in signed JSON is 400 and named", named, &answer);
    Ok(())
}

/// Requests that mean no good.
pub(super) async fn hostile(desk: &Desk, checks: &mut Checks) -> Result<(), String> {
    let line = "POST /v1/messages";
    let answer = ask(desk.web, line, &[JSON, ("content-length", "2000000")], "").await?;
    checks.that("an oversized body is 413, unread", answer.status == 413, &answer);
    let answer = ask(desk.web, line, &[JSON], "{\"channel_id\":").await?;
    checks.that("broken JSON is 400", answer.status == 400, &answer);
    let deep =
        format!("{{\"channel_id\":\"{HTTP}\",\"payload\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let answer = ask(desk.web, line, &[JSON], &deep).await?;
    let placed = answer.status == 400 && answer.text("/error/pointer").starts_with("/payload/0");
    checks.that("JSON nested too deep is 400 with the place", placed, &answer);
    let answer =
        ask(desk.web, line, &[JSON], &json!({"channel_id": 7, "payload": "x"}).to_string()).await?;
    checks.that(
        "a wrong type is 400 with the place",
        answer.text("/error/pointer") == "/channel_id",
        &answer,
    );
    let answer = ask(desk.web, line, &[JSON], r#"{"channel_id":"nowhere","payload":"x"}"#).await?;
    checks.that("an unknown channel is 404", answer.status == 404, &answer);
    let answer = ask(desk.web, line, &[JSON], &message("x", &json!({"agent": "nobody"}))).await?;
    checks.that("an unknown agent is 404", answer.status == 404, &answer);
    let answer = ask(desk.web, "GET /v1/messages/00000000000000000000000001", &[], "").await?;
    checks.that("an unknown message is 404", answer.status == 404, &answer);
    Ok(())
}

/// Starts that can't work: each says in one line what to do.
pub(super) async fn starts(desk: &Desk, data: &Path, checks: &mut Checks) -> Result<(), String> {
    let one_line = |words: &str| words.lines().count() == 1;
    let (status, words) = refused(data, "0", &[]).await?;
    checks.that("a locked store is one clear line", !status.success() && one_line(&words), &words);
    let other = tempfile::tempdir().map_err(|e| e.to_string())?;
    let port = desk.web.port().to_string();
    let (status, words) = refused(other.path(), &port, &[]).await?;
    let clear = !status.success() && one_line(&words) && words.contains(&port);
    checks.that("a taken port is one clear line", clear, &words);
    let (status, words) = refused(other.path(), "0", &["--prot"]).await?;
    checks.that(
        "a wrong flag is one clear line",
        status.code() == Some(2) && one_line(&words),
        &words,
    );
    let file = other.path().join("file");
    fs::write(&file, "not a directory").map_err(|e| e.to_string())?;
    let (status, words) = refused(&file, "0", &[]).await?;
    checks.that(
        "an unusable directory is one clear line",
        !status.success() && one_line(&words),
        &words,
    );
    Ok(())
}

/// Killed between a refund and its receipt: the refund is there once, and the answer comes.
pub(super) async fn killed(desk: Desk, data: &Path, checks: &mut Checks) -> Result<(), String> {
    ask(desk.shop, "POST /_test/lose_next_answer?hold_ms=60000", &[], "").await?;
    let body = message("refund order 1043", &json!({"conversation_id": "killed"}));
    let queued =
        ask(desk.web, "POST /v1/messages", &[JSON, ("idempotency-key", "key-9")], &body).await?;
    checks.that("the request was acknowledged", queued.status == 202, &queued);
    let id = queued.text("/message_id").to_owned();
    let made = async {
        while refunds_of(&refunds(desk.shop).await?, "1043") == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        Ok::<(), String>(())
    };
    timeout(Duration::from_secs(10), made).await.map_err(|_late| "the refund was never made")??;
    desk.kill().await?;

    let desk = Desk::start(data).await?;
    checks.that("it says what it recovered", desk.recovered.contains("1 message"), &desk.recovered);
    let done = async {
        loop {
            let answer = ask(desk.web, &format!("GET /v1/messages/{id}"), &[], "").await?;
            if answer.text("/status") != "queued" && answer.text("/status") != "delivering" {
                return Ok::<_, String>(answer);
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = timeout(Duration::from_secs(10), done)
        .await
        .map_err(|_late| "the message was never answered")??;
    let told = answer.text("/status") == "done" && answer.text("/reply").contains("129.00");
    checks.that("the answer comes after the restart", told, &answer);
    let all = refunds(desk.shop).await?;
    checks.that(
        "there is exactly one refund of it",
        refunds_of(&all, "1043") == 1 && all.len() == 2,
        &all,
    );
    let again =
        ask(desk.web, "POST /v1/messages", &[JSON, ("idempotency-key", "key-9")], &body).await?;
    checks.that("the key still answers as the first time", again.text("/message_id") == id, &again);
    desk.kill().await
}
