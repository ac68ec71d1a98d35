//! The vocabulary: what each word promises to those who use it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod any;
mod call;
mod delivery;
mod envelope;
mod error;
mod id;
mod json;
mod render;
