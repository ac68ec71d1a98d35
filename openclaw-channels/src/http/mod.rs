//! Messages over HTTP: `POST /v1/messages`, signed hooks, and probes.
//!
//! | route | answers |
//! |---|---|
//! | `POST /v1/messages` | 202 once the message is durable; with `?wait=<ms>` 200 and the reply |
//! | `GET /v1/messages/{id}` | 200 with the status and the reply |
//! | `POST /hooks/{source}` | 202 once the signed message is durable |
//! | `GET /healthz`, `GET /readyz` | 200 or 503 |
//!
//! `wait` is 0 to 60,000. A message whose fate is not known within 30 s answers 503: it is sent
//! again under its key. A signature counts for 300 s before and behind the time of its signing.
//!
//! What is refused answers `{"error":{"code","message","pointer"?}}`.

mod body;
mod builder;
mod channel;
mod desk;
mod hook;
mod intake;
mod message;
mod problem;
mod routes;
mod secrets;
mod server;
mod signature;

pub use self::{
    builder::HttpChannelBuilder,
    channel::HttpChannel,
    desk::{Condition, Desk, Standing},
    hook::Hook,
    server::HttpServer,
    signature::{NONCE, SIGNATURE, TIMESTAMP, sign},
};
