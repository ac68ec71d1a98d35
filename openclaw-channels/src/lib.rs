//! Channels for OpenClaw: where messages come from and where replies go.
//!
//! * [`memory`]: in this process, for tests, benchmarks and embedding.
//! * [`http`] (feature `http`): `POST /v1/messages`, signed hooks, probes.

#[cfg(feature = "http")]
pub mod http;
pub mod memory;
mod redelivery;
