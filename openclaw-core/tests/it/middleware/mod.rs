//! The layers, each tried as a host would use it.

mod advice;
#[cfg(feature = "backoff")]
mod backoff;
mod breaker;
mod concurrency;
mod config;
mod fallback;
mod ledger;
mod lift;
mod policy;
mod queue;
mod rate_limit;
mod rate_limit_keys;
mod rate_limit_model;
mod rate_limit_waits;
mod retry;
mod retry_after;
mod seat;
mod skill_stack;
mod stack;
mod telling;
#[cfg(feature = "counter")]
mod ticks;
mod timeout;
mod trace;
mod validate;
