//! Ports that others have.

use std::net::TcpListener;

use openclaw_testkit::servers::{Mosquitto, Nats, Postgres, Redis, ServerError};

use super::assert_gone;

/// A server that is given a port of somebody else says so, and does not take him for itself.
macro_rules! refuses_a_taken_port {
    ($name:ident, $server:ident) => {
        #[tokio::test]
        async fn $name() {
            let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = holder.local_addr().unwrap().port();
            match $server::builder().port(port).start_or_skip().await {
                Err(ServerError::PortTaken { port: told, .. }) => assert_eq!(told, port),
                Ok(None) => {}
                other => panic!("{other:?}"),
            }
        }
    };
}

refuses_a_taken_port!(redis_refuses_a_taken_port, Redis);
refuses_a_taken_port!(postgres_refuses_a_taken_port, Postgres);
refuses_a_taken_port!(mosquitto_refuses_a_taken_port, Mosquitto);
refuses_a_taken_port!(nats_refuses_a_taken_port, Nats);

#[tokio::test]
async fn a_server_of_the_same_kind_is_not_taken_for_ours() {
    let Some(first) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let second = Redis::builder().port(first.port()).start().await;
    assert!(matches!(second, Err(ServerError::PortTaken { .. })), "{second:?}");
}

#[tokio::test]
async fn a_restart_says_when_its_port_was_lost() {
    let Some(mut redis) = Redis::builder().start_or_skip().await.unwrap() else { return };
    let dir = redis.dir().to_owned();
    redis.kill().await.unwrap();
    let holder = TcpListener::bind(("127.0.0.1", redis.port())).unwrap();
    let lost = redis.restart().await;
    assert!(matches!(lost, Err(ServerError::PortTaken { .. })), "{lost:?}");
    drop(holder);
    redis.restart().await.expect("the port is free again");
    drop(redis);
    assert_gone(&dir);
}
