//! Mosquitto.

use std::{fs, time::Duration};

use openclaw_testkit::servers::Mosquitto;
use tokio::time::{sleep, timeout};

use super::{Client, assert_gone};

/// A connection that has been accepted, MQTT 3.1.1.
async fn session(port: u16, id: &str) -> Client {
    let mut client = Client::connect(port).await;
    let mut body = b"\0\x04MQTT\x04\x02\0\x3c".to_vec();
    text(&mut body, id);
    client.send(packet(0x10, &body)).await;
    assert_eq!(take(&mut client).await, (0x20, vec![0, 0]));
    client
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 128, "one byte of length is enough here");
    [&[kind, length], body].concat()
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}

async fn take(client: &mut Client) -> (u8, Vec<u8>) {
    let whole = |read: &[u8]| {
        let length = usize::from(*read.get(1)?) + 2;
        (read.len() >= length).then_some(length)
    };
    let packet = client.take(whole).await;
    (packet[0], packet[2..].to_vec())
}

async fn subscribe(client: &mut Client, topic: &str) {
    let mut body = vec![0, 1];
    text(&mut body, topic);
    body.push(1);
    client.send(packet(0x82, &body)).await;
    assert_eq!(take(client).await, (0x90, vec![0, 1, 1]), "granted with QoS 1");
}

/// Publishes with QoS 1 and waits for the acknowledgement.
async fn publish(client: &mut Client, retain: bool, topic: &str, payload: &str) {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend([0, 9]);
    body.extend(payload.as_bytes());
    client.send(packet(0x32 | u8::from(retain), &body)).await;
    assert_eq!(take(client).await, (0x40, vec![0, 9]));
}

#[tokio::test]
async fn mosquitto_delivers_with_qos_1_and_leaves_nothing() {
    let Some(mosquitto) = Mosquitto::builder().start_or_skip().await.unwrap() else { return };
    let dir = mosquitto.dir().to_owned();
    let mut reader = session(mosquitto.port(), "reader").await;
    subscribe(&mut reader, "orders").await;
    let mut writer = session(mosquitto.port(), "writer").await;
    publish(&mut writer, false, "orders", "1042").await;
    let (kind, body) = take(&mut reader).await;
    assert_eq!((kind, &body[..8]), (0x32, b"\0\x06orders".as_slice()));
    assert!(body.ends_with(b"1042"), "{body:?}");
    reader.send(packet(0x40, &body[8..10])).await;
    mosquitto.stop().await.unwrap();
    assert_gone(&dir);
}

#[tokio::test]
async fn mosquitto_keeps_a_retained_message_over_sigkill() {
    let Some(mut mosquitto) = Mosquitto::builder().start_or_skip().await.unwrap() else { return };
    let mut writer = session(mosquitto.port(), "writer").await;
    publish(&mut writer, true, "state", "paid-1042").await;
    // It answers first and writes its file then.
    let file = mosquitto.dir().join("mosquitto.db");
    let written = || fs::read(&file).is_ok_and(|data| data.windows(9).any(|w| w == b"paid-1042"));
    let wait = async {
        while !written() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("it writes after each change");

    mosquitto.kill().await.unwrap();
    mosquitto.restart().await.unwrap();
    let mut reader = session(mosquitto.port(), "reader").await;
    subscribe(&mut reader, "state").await;
    let (kind, body) = take(&mut reader).await;
    assert_eq!(kind & 1, 1, "retained");
    assert!(body.ends_with(b"paid-1042"), "{body:?}");
}

#[tokio::test]
async fn mosquitto_without_persistence_writes_no_file() {
    let builder = Mosquitto::builder().persistence(false);
    let Some(mut mosquitto) = builder.start_or_skip().await.unwrap() else { return };
    let mut writer = session(mosquitto.port(), "writer").await;
    publish(&mut writer, true, "state", "paid").await;
    mosquitto.shut_down().await.unwrap();
    assert!(!mosquitto.dir().join("mosquitto.db").exists());
}
