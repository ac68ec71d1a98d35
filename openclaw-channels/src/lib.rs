//! Channels for OpenClaw: where messages come from and where replies go.
//!
//! * [`memory`]: in this process, for tests, benchmarks and embedding.

pub mod memory;
mod redelivery;
