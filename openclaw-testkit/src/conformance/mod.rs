//! The laws of core's traits: what a store or a channel promises, each as a public function.
//!
//! A law is a named `async fn` that panics when it is broken. Which laws a type must hold
//! follows from its declared capabilities. One line runs them all, a test for each:
//!
//! ```
//! # mod tests {
//! use openclaw_core::store::MemoryStore;
//! use openclaw_testkit::{conformance::store, store_laws};
//!
//! store_laws!(store::on(MemoryStore::new));
//! # }
//! ```
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a broken law panics: that is its answer"
)]

pub mod channel;
mod run;
pub mod store;

pub use self::run::{Report, Verdict};
