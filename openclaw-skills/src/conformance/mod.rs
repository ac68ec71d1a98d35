//! The laws of this crate's ports, each as a public function.
//!
//! They are to these traits what the laws of openclaw-testkit are to core's: one line runs them
//! all on a type of a host's own, a test for each.
//!
//! | one line | laws of |
//! |---|---|
//! | `secret_provider_laws!` | [`SecretProvider`](crate::secrets::SecretProvider), alone and behind [`Secrets`](crate::secrets::Secrets) |
//! | `authorize_laws!` | [`Authorize`](crate::api::Authorize) |
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a broken law panics: that is the answer"
)]

pub mod authorize;
pub mod secret_provider;

#[doc(hidden)]
pub use openclaw_testkit as testkit;
