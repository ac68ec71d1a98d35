//! The layers, each tried as a host would use it.

mod breaker;
mod concurrency;
mod config;
mod fallback;
mod lift;
mod policy;
mod queue;
mod rate_limit;
mod retry;
mod timeout;
mod trace;
mod validate;
