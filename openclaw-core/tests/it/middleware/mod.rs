//! The layers, each tried as a host would use it.

mod breaker;
mod concurrency;
mod config;
mod fallback;
mod ledger;
mod lift;
mod policy;
mod rate_limit;
mod retry;
mod timeout;
mod trace;
mod validate;
