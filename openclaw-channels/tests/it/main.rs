//! The behaviour of every channel, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

#[cfg(feature = "http-client")]
mod guarded_http;
#[cfg(feature = "http")]
mod http;
mod laws;
mod memory;
#[cfg(feature = "terminal")]
mod terminal;
