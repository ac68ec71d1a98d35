//! The seams: what a host implements, and what the gateway asks of it.

pub mod agent;
pub mod channel;
mod forward;
pub mod http;
pub mod model;
pub mod policy;
pub(crate) mod render;
pub mod skill;
pub(crate) mod store;
