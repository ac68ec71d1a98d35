//! Channels for OpenClaw: where messages come from and where replies go.
//!
//! * [`memory`]: in this process, for tests, benchmarks and embedding.
//! * [`terminal`] (feature `terminal`): a person types, the gateway answers.
//! * [`http`] (feature `http`): `POST /v1/messages`, signed hooks, probes.
//! * [`guarded_http`] (feature `http-client`): the `Http` port, with a guard and limits; `https`
//!   by the feature `http-client-tls`.

#[cfg(feature = "http-client")]
pub mod guarded_http;
#[cfg(feature = "http")]
pub mod http;
pub mod memory;
mod redelivery;
#[cfg(feature = "terminal")]
pub mod terminal;
