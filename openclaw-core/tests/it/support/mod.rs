//! A small world for the gateway: a platform, a store that can be watched and broken, a plug.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod crowd;
mod platform;
mod power;
mod probe;
mod trace;
mod world;

/// Longer than anything a healthy gateway takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

pub(crate) use self::{
    crowd::{Crowd, Moody, Step},
    platform::{Platform, Sending, Ticket, Verdict},
    power::Power,
    probe::{Fault, Probe},
    trace::{Event, Trace},
    world::{Run, World, chat, echo, envelope, number, tenant},
};
