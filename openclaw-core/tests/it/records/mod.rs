//! What is kept, and what may never become of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audit;
mod budgets;
mod formats;
mod formats_relay;
mod ledger;
mod rollouts;
