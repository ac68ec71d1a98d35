//! The layers, each tried as a host would use it.

mod breaker;
mod config;
mod lift;
mod policy;
