//! The server itself: paths and methods, probes, a taken port, an orderly end.

use std::time::Duration;

use openclaw_core::{
    Call, Context, Conversation, ErrorKind, TenantId,
    channel::{Channel, Health, Outbound, Part},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Desktop, answer, builder, request, serve};

#[tokio::test]
async fn wrong_paths_and_methods_are_answered_in_json() {
    let served = serve(builder()).await;
    for path in ["/", "/v1", "/v1/messages/1/2", "/hooks", "/hooks/", "/V1/messages"] {
        served.get(path).await.refuses(404, "NOT_FOUND");
    }
    for (method, path) in [
        ("GET", "/v1/messages"),
        ("DELETE", "/v1/messages"),
        ("OPTIONS", "/v1/messages"),
        ("POST", "/v1/messages/1"),
        ("GET", "/hooks/shop"),
        ("POST", "/healthz"),
    ] {
        let answer = served.request(method, path, "", b"").await;
        answer.refuses(405, "UNSUPPORTED");
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
}

#[tokio::test]
async fn probes_tell_live_from_ready() {
    let served = serve(builder()).await;
    let live = served.get("/healthz").await;
    assert_eq!((live.status, live.body), (200, json!({"ok": true, "status": "live"})));
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["status"]), (200, &json!("ready")));
    served.desk.state().draining = true;
    assert_eq!(served.get("/healthz").await.status, 200);
    let draining = served.get("/readyz").await;
    assert_eq!((draining.status, &draining.body["ok"]), (503, &json!(false)));
    assert_eq!(draining.body["status"], json!("draining"));
    assert_eq!(draining.body["problems"], json!(["draining"]));
}

#[tokio::test]
async fn a_taken_port_is_told_in_one_clear_line() {
    let served = serve(builder()).await;
    let at = served.server.local_addr();
    let channel = builder().build().unwrap();
    let e = channel.serve(at, Desktop::default()).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unavailable);
    let line = e.to_string();
    assert!(line.contains(&at.to_string()) && line.contains("choose another port"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[tokio::test]
async fn one_connection_takes_many_requests() {
    let served = serve(builder()).await;
    let mut stream = served.connect().await;
    let body = br#"{"channel_id":"web","payload":1}"#;
    for _ in 0..3 {
        stream.write_all(&request("POST", "/v1/messages", "", body)).await.unwrap();
        assert_eq!(answer(&mut stream).await.status, 202);
    }
}

#[tokio::test]
async fn a_shutdown_lets_running_requests_end_and_waits_for_no_reply() {
    let served = serve(builder()).await;
    let mut idle = served.connect().await;
    idle.write_all(&request("GET", "/healthz", "", b"")).await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 200);
    let mut waiting = served.connect().await;
    let body = br#"{"channel_id":"web","payload":1}"#;
    waiting.write_all(&request("POST", "/v1/messages?wait=60000", "", body)).await.unwrap();
    while served.desk.admitted().is_empty() {
        tokio::task::yield_now().await;
    }
    let at = served.server.local_addr();
    let ended = tokio::time::timeout(Duration::from_secs(5), served.server.shutdown());
    let (ended, told) = tokio::join!(ended, answer(&mut waiting));
    assert!(ended.is_ok(), "an idle connection holds nothing up");
    assert_eq!((told.status, &told.body["status"]), (202, &json!("queued")));
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(tokio::net::TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn a_post_is_read_from_the_gateway_and_nothing_else_can_be_sent() {
    let channel = builder().build().unwrap();
    assert!(matches!(channel.health().await, Health::Degraded(_)));
    let context = Context::new(TenantId::new("acme").unwrap());
    let to = Conversation::new(channel.id().clone(), "c1");
    let part = Part::new("hello".into());
    let post = Outbound::Post { to: to.clone(), part, reply_to: None };
    channel.send(Call::outbound(context.clone(), &channel, post)).await.unwrap();
    let typing = Call::outbound(context, &channel, Outbound::Typing { to });
    assert_eq!(channel.send(typing).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let _server = channel.serve(([127, 0, 0, 1], 0), Desktop::default()).await.unwrap();
    assert_eq!(channel.health().await, Health::Up);
}
