//! The laws of this crate's ports, on what there is, and on what is broken on purpose.

mod authorize;
mod broken;
mod naive_authorize;
mod naive_provider;
mod providers;
