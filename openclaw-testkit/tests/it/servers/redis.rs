//! Redis.

use std::time::Duration;

use openclaw_testkit::servers::Redis;

use super::{Client, assert_gone, processes_in};

async fn say(client: &mut Client, words: &str) -> String {
    client.send(format!("{words}\r\n")).await;
    client.line().await
}

async fn get(client: &mut Client, key: &str) -> String {
    match say(client, &format!("GET {key}")).await.as_str() {
        "$-1" => "nothing".to_owned(),
        _ => client.line().await,
    }
}

#[tokio::test]
async fn redis_keeps_what_it_acknowledged_before_sigkill() {
    let Some(mut redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let (port, first) = (redis.port(), redis.pid().unwrap());
    let mut client = Client::connect(port).await;
    assert_eq!(say(&mut client, "SET order 1042").await, "+OK");

    redis.kill().await.unwrap();
    assert_eq!(redis.pid(), None);
    assert!(client.ends().await);
    assert_eq!(processes_in(redis.dir()).len(), 1, "the watchdog alone");

    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), Some(first));
    let mut client = Client::connect(port).await;
    assert_eq!(get(&mut client, "order").await, "1042");

    let log = redis.log();
    assert_eq!(log.matches("Ready to accept connections").count(), 2, "{log}");
}

#[tokio::test]
async fn redis_writes_before_it_answers_unless_told_otherwise() {
    let Some(redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let mut client = Client::connect(redis.port()).await;
    for (name, value) in [("appendfsync", "always"), ("appendonly", "yes"), ("save", "")] {
        client.send(format!("CONFIG GET {name}\r\n")).await;
        let mut lines = Vec::new();
        for _ in 0..5 {
            lines.push(client.line().await);
        }
        assert_eq!(lines[4], value, "{name}");
    }
    let builder = Redis::builder().setting("appendfsync", "everysec").setting("maxmemory", "8mb");
    let other = builder.setting("maxmemory-policy", "noeviction").start().await.unwrap();
    let mut client = Client::connect(other.port()).await;
    client.send("CONFIG GET appendfsync\r\n").await;
    client.take(|read| read.ends_with(b"everysec\r\n").then_some(read.len())).await;
}

#[tokio::test]
async fn redis_with_a_password_refuses_who_has_none() {
    let builder = Redis::builder().requirepass("a \"b\" c");
    let Some(redis) = builder.start_or_skip().await.unwrap() else { return };
    assert!(redis.url().starts_with("redis://:a%20%22b%22%20c@127.0.0.1:"), "{}", redis.url());
    let mut client = Client::connect(redis.port()).await;
    assert!(say(&mut client, "GET a").await.starts_with("-NOAUTH"));
    assert_eq!(say(&mut client, r#"AUTH "a \"b\" c""#).await, "+OK");
    assert_eq!(get(&mut client, "a").await, "nothing");
}

#[tokio::test]
async fn two_servers_side_by_side_share_nothing() {
    let Some(mut one) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let two = Redis::builder().start().await.unwrap();
    assert_ne!(one.port(), two.port());
    assert_ne!(one.dir(), two.dir());
    let (mut a, mut b) = (Client::connect(one.port()).await, Client::connect(two.port()).await);
    assert_eq!(say(&mut a, "SET k one").await, "+OK");
    assert_eq!(get(&mut b, "k").await, "nothing");
    one.kill().await.unwrap();
    assert_eq!(say(&mut b, "SET k two").await, "+OK", "the other one lives");
}

#[tokio::test]
async fn a_stopped_server_leaves_nothing() {
    let Some(redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let dir = redis.dir().to_owned();
    assert!(processes_in(&dir).len() >= 2, "a server and its watchdog");
    redis.stop().await.unwrap();
    assert_gone(&dir);
}

#[tokio::test]
async fn a_shut_down_server_comes_back_with_its_data() {
    let Some(mut redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let mut client = Client::connect(redis.port()).await;
    assert_eq!(say(&mut client, "SET k v").await, "+OK");
    redis.shut_down().await.unwrap();
    assert!(redis.log().contains("Redis is now ready to exit"), "{}", redis.log());
    redis.restart().await.unwrap();
    assert_eq!(get(&mut Client::connect(redis.port()).await, "k").await, "v");
}

#[tokio::test]
async fn a_paused_server_answers_later() {
    let Some(mut redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let mut client = Client::connect(redis.port()).await;
    redis.pause();
    client.send("PING\r\n").await;
    let state = std::fs::read_to_string(format!("/proc/{}/stat", redis.pid().unwrap())).unwrap();
    assert!(state.contains(") T "), "{state}");
    redis.resume();
    assert_eq!(client.line().await, "+PONG");
    redis.pause();
    redis.stop().await.expect("a paused server can stop");
}

#[tokio::test]
async fn a_server_that_can_not_start_shows_its_log() {
    let builder = Redis::builder().setting("appendfsync", "sometimes");
    match builder.start_or_skip().await {
        Ok(server) => assert!(server.is_none(), "it took a wrong setting"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("redis-server"), "{text}");
            assert!(text.contains("appendfsync \"sometimes\""), "{text}");
            assert!(text.contains("exit status: 1"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_get_ready_is_given_up() {
    // It runs, and listens on no port.
    let builder = Redis::builder().setting("port", "0").setting("unixsocket", "redis.sock");
    match builder.deadline(Duration::from_millis(300)).start_or_skip().await {
        Ok(server) => assert!(server.is_none(), "nobody can have answered"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("was not ready after 300ms"), "{text}");
            assert!(text.contains("refused"), "{text}");
        }
    }
}
