//! The testkit's behaviour tests: each thing does what its name says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agents;
mod broken_channels;
mod broken_stores;
mod env;
mod flaws;
mod flow;
mod models;
mod naive_channel;
mod naive_store;
mod remote;
