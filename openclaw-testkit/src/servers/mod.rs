//! Private redis, postgres, rabbitmq, mosquitto and nats processes for tests.
//!
//! Each runs the program of this machine on a free port of 127.0.0.1, with its data in a
//! temporary directory of its own. Nothing of it is left when the value is dropped, when the
//! test panics, or when the test process is killed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), openclaw_testkit::servers::ServerError> {
//! use openclaw_testkit::servers::Redis;
//!
//! // Prints a line `NOT RUN: …` where there is no redis-server; in CI that is an error.
//! let Some(mut redis) = Redis::builder().start_or_skip().await? else { return Ok(()) };
//! // … a client connects to redis.url() …
//! redis.kill().await?;
//! // … and sees the connection break …
//! redis.restart().await?;
//! // … and finds its data again.
//! redis.stop().await
//! # }
//! ```
//!
//! # Programs
//! A program is looked for on PATH and in the usual places. `OPENCLAW_REDIS_BIN`,
//! `OPENCLAW_POSTGRES_BIN`, `OPENCLAW_RABBITMQ_BIN`, `OPENCLAW_MOSQUITTO_BIN` and
//! `OPENCLAW_NATS_BIN` name another one: the program, or the folder it lies in. The servers see
//! none of the environment but PATH and LD_LIBRARY_PATH.
//!
//! # Crashes
//! `kill` is SIGKILL to all processes of the server: what it had not handed to the system is
//! lost, what it had is not. It is no power cut; [`crate::disk`] is.
//!
//! # Limits
//! Starts, stops and handshakes need real time: don't use them under paused time. Where there is
//! no `/proc`, children that leave the server's process group are not found.

mod account;
mod error;
mod face;
mod home;
mod kind;
mod mosquitto;
mod nats;
mod ports;
mod postgres;
mod process;
mod program;
mod rabbitmq;
mod redis;
mod server;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod tree;
mod watchdog;
mod wire;

#[cfg(feature = "tls")]
pub use self::tls::{Authority, Certificate};
pub use self::{
    error::ServerError,
    mosquitto::{Mosquitto, MosquittoBuilder},
    nats::{Nats, NatsBuilder},
    postgres::{Postgres, PostgresBuilder},
    rabbitmq::{RabbitMq, RabbitMqBuilder},
    redis::{Redis, RedisBuilder},
    store::{StoreEngine, StorePlace},
};
