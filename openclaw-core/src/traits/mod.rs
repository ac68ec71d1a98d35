//! The seams: what a host implements, and what the gateway asks of it.

pub mod agent;
pub mod channel;
mod forward;
pub mod http;
mod manifest;
pub mod model;
pub mod policy;
pub(crate) mod render;
pub mod rules;
pub mod skill;
mod skill_source;
pub(crate) mod store;
