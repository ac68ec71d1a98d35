//! The defects of the peers, and that ours have none of them.
//!
//! Each test asks one question of whatever implements its trait: of the published crate, which
//! must show the defect, and of our layer, which must not. A peer that mends its ways fails its
//! test here, and the claim goes. What is missing altogether (P11, P12) is in
//! `openclaw_benches::missing` too, as programs that do not compile.

#![allow(clippy::future_not_send, reason = "no test here leaves its thread")]

#[cfg(test)]
mod breaker;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod limit;
#[cfg(test)]
mod retry;
