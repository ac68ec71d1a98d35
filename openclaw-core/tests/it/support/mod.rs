//! A small world for the gateway, built of what the testkit has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

/// Longer than anything a healthy gateway takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

pub(crate) use self::world::{Run, World, chat, echo, envelope, number, tenant};
