//! The laws of core's traits: what a store or a skill promises, each as a public function.
//!
//! A law is a named `async fn` that panics when it is broken. Which laws a type must hold
//! follows from its declared capabilities. One line runs them all, a test for each; with a
//! name before the harness there is one more test, `conformance`, that prints how many laws
//! were held and compares that with a file (see [`snapshot`]):
//!
//! ```
//! # mod tests {
//! use openclaw_core::store::MemoryStore;
//! use openclaw_testkit::{conformance::store, store_laws};
//!
//! store_laws!(store::on(MemoryStore::new));
//! # }
//! ```
//!
//! | one line | laws of |
//! |---|---|
//! | `store_laws!` | [`StateStore`](openclaw_core::store::StateStore) |
//! | `channel_laws!` | [`Channel`](openclaw_core::channel::Channel), with its rendering and its hook |
//! | `skill_laws!` | [`Skill`](openclaw_core::skill::Skill), with its hook |
//! | `skill_source_laws!` | [`SkillSource`](openclaw_core::skill::SkillSource) |
//! | `authorizer_laws!` | [`Authorizer`](openclaw_core::rules::Authorizer) |
//! | `agent_laws!` | [`Agent`](openclaw_core::agent::Agent) |
//! | `model_laws!` | [`Model`](openclaw_core::model::Model) and its streams |
//! | `http_laws!` | [`Http`](openclaw_core::http::Http) |
//! | `layer_laws!` | tower layers around any of them (feature `tower`) |
//! | `disk_laws!` | [`Disk`](openclaw_core::store::Disk) |
//! | `clock_laws!`, `rng_laws!` | [`Clock`](openclaw_core::Clock), [`Rng`](openclaw_core::Rng) |
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a broken law panics, and a report is printed: those are the answers"
)]

pub mod agent;
pub mod authorizer;
pub mod channel;
pub mod clock;
pub mod disk;
pub mod http;
mod law;
#[cfg(feature = "tower")]
pub mod layer;
mod list;
pub mod model;
pub mod rng;
mod run;
pub mod skill;
pub mod skill_source;
mod snapshot;
pub mod store;

// For the laws of crates with traits of their own.
pub use self::{
    law::Law,
    run::{Report, Verdict},
    snapshot::snapshot,
};
#[doc(hidden)]
pub use self::{
    law::{check as __check, check_all as __check_all},
    run::{abandon as __abandon, quotes as __quotes, together as __together},
};
