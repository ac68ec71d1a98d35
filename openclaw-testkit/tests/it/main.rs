//! The testkit's behaviour tests: each thing does what its name says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agents;
mod broken;
mod broken_agents;
mod broken_authorizers;
mod broken_channels;
mod broken_env;
mod broken_http;
#[cfg(feature = "tower")]
mod broken_layers;
mod broken_models;
mod broken_skills;
mod broken_sources;
mod broken_stores;
mod env;
mod fault;
mod flaws;
mod flow;
mod history;
mod law_snapshot;
mod lint;
#[cfg(feature = "load")]
mod load;
mod models;
mod naive_agent;
mod naive_authorizer;
mod naive_channel;
mod naive_env;
mod naive_http;
#[cfg(feature = "tower")]
mod naive_layer;
mod naive_model;
mod naive_skill;
mod naive_source;
mod naive_store;
mod platform;
#[cfg(feature = "proxy")]
mod proxy;
mod remote;
#[cfg(all(unix, feature = "servers"))]
mod servers;
mod sim;
#[cfg(feature = "stub")]
mod stub;
mod versions;
