//! NATS.

use openclaw_testkit::servers::Nats;

use super::{Client, assert_gone};

async fn session(port: u16) -> Client {
    let mut client = Client::connect(port).await;
    assert!(client.line().await.starts_with("INFO {"));
    client.send("CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n").await;
    assert_eq!(client.line().await, "PONG");
    client
}

/// Asks with an inbox of its own; the answer's payload.
async fn ask(client: &mut Client, subject: &str, payload: &str) -> String {
    client.send(format!("SUB in.{subject} 7\r\nUNSUB 7 1\r\n")).await;
    let length = payload.len();
    client.send(format!("PUB {subject} in.{subject} {length}\r\n{payload}\r\n")).await;
    let head = client.line().await;
    assert!(head.starts_with(&format!("MSG in.{subject} 7 ")), "{head}");
    client.line().await
}

#[tokio::test]
async fn nats_passes_a_message_on_and_leaves_nothing() {
    let builder = Nats::builder().jetstream(false);
    let Some(nats) = builder.start_or_skip().await.unwrap() else { return };
    let dir = nats.dir().to_owned();
    let (mut reader, mut writer) = (session(nats.port()).await, session(nats.port()).await);
    reader.send("SUB orders 1\r\nPING\r\n").await;
    assert_eq!(reader.line().await, "PONG");
    writer.send("PUB orders 4\r\n1042\r\n").await;
    assert_eq!(reader.line().await, "MSG orders 1 4");
    assert_eq!(reader.line().await, "1042");
    nats.stop().await.unwrap();
    assert_gone(&dir);
}

#[tokio::test]
async fn nats_keeps_what_jetstream_acknowledged_before_sigkill() {
    let Some(mut nats) = Nats::builder().start_or_skip().await.unwrap() else { return };
    let mut client = session(nats.port()).await;
    let stream = r#"{"name":"S","subjects":["orders"],"storage":"file"}"#;
    let made = ask(&mut client, "$JS.API.STREAM.CREATE.S", stream).await;
    assert!(!made.contains("\"error\""), "{made}");
    assert_eq!(ask(&mut client, "orders", "1042").await, r#"{"stream":"S", "seq":1}"#);

    nats.kill().await.unwrap();
    nats.restart().await.unwrap();
    let mut client = session(nats.port()).await;
    let found = ask(&mut client, "$JS.API.STREAM.MSG.GET.S", r#"{"seq":1}"#).await;
    assert!(found.contains("\"data\":\"MTA0Mg==\""), "{found}");
}
