//! The gateway from outside: a message in, an effect once, a reply out, whatever breaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod crash;
mod crash_send;
mod dedupe;
mod doubt;
mod outage;
mod way;
