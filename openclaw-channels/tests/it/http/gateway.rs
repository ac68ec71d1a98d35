//! The HTTP channel in front of a real gateway: every verdict as its client reads it.

use std::{sync::Arc, time::Duration};

use openclaw_channels::http::{Hook, HttpChannelBuilder, sign};
use openclaw_core::{
    AgentId, Env, Secret,
    agent::{Answer, agent_fn},
    gateway::{Gateway, GatewayBuilder},
    store::MemoryStore,
};
use serde_json::json;

use super::{Desktop, Served, builder};

const SECRET: &str = "correct horse battery staple";

async fn served(
    http: HttpChannelBuilder,
    compose: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
) -> (Served, Gateway) {
    let env = Env::system();
    let channel = http.build().unwrap();
    let store = MemoryStore::new(env.clock());
    let gateway = compose(Gateway::builder(env, store).channel(channel.clone()));
    let gateway = gateway.start().await.unwrap();
    let server = channel.serve(([127, 0, 0, 1], 0), gateway.clone()).await.unwrap();
    let desk = Arc::new(Desktop::default());
    (Served { server, desk, gateway: tokio::spawn(async {}) }, gateway)
}

fn echo(gateway: GatewayBuilder) -> GatewayBuilder {
    let id = AgentId::new("echo").unwrap();
    gateway.agent(agent_fn(id, |turn| async move { Ok(Answer::text(&*turn.text())) }))
}

#[tokio::test]
async fn a_message_goes_in_and_its_reply_comes_out() {
    let (served, _gateway) = served(builder(), echo).await;
    let body = br#"{"channel_id":"web","payload":"hello"}"#;
    let answer = served.request("POST", "/v1/messages?wait=5000", "", body).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("done")), "{answer:?}");
    assert_eq!(answer.body["reply"], json!("hello"));
    let again = served.get(&format!("/v1/messages/{}", answer.id())).await;
    assert_eq!((again.status, &again.body), (200, &answer.body));
    let other = "/v1/messages/00000000000000000000000001";
    served.get(other).await.refuses(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_key_is_good_for_one_body() {
    let (served, _gateway) = served(builder(), echo).await;
    let send = async |body: &str| {
        let path = "/v1/messages?wait=5000";
        served.request("POST", path, "idempotency-key: k-1\r\n", body.as_bytes()).await
    };
    let first = send(r#"{"channel_id":"web","payload":{"order":1}}"#).await;
    let again = send(r#"{"channel_id":"web","payload":{ "order" : 1 }}"#).await;
    assert_eq!((first.status, &first.body), (200, &again.body));
    send(r#"{"channel_id":"web","payload":{"order":2}}"#).await.refuses(422, "CONFLICT");
}

#[tokio::test]
async fn a_hook_is_taken_once() {
    let (served, _gateway) =
        served(builder().hook(Hook::new("shop", Secret::new(SECRET))), echo).await;
    let seconds = Env::system().now().as_millis() / 1000;
    let signature = sign(&Secret::new(SECRET), seconds, "nonce-0123456789", b"{}");
    let headers = format!(
        "x-openclaw-timestamp: {seconds}\r\nx-openclaw-nonce: nonce-0123456789\r\nx-openclaw-signature: {signature}\r\n"
    );
    let send = async || served.request("POST", "/hooks/shop", &headers, b"{}").await;
    assert_eq!(send().await.status, 202);
    send().await.refuses(401, "AUTHENTICATION_FAILED");
}

#[tokio::test]
async fn without_an_agent_for_it_a_message_is_not_found_a_home() {
    let (served, _gateway) = served(builder(), |gateway| gateway).await;
    served.post(r#"{"channel_id":"web","payload":1}"#).await.refuses(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_drained_gateway_takes_nothing_and_says_so() {
    let (served, gateway) = served(builder(), echo).await;
    assert_eq!(served.get("/readyz").await.status, 200);
    gateway.drain(Duration::from_secs(5)).await.unwrap();
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["status"]), (503, &json!("draining")));
    let refused = served.post(r#"{"channel_id":"web","payload":1}"#).await;
    refused.refuses(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
}
