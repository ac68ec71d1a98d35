//! Proves a gateway before production does: clocks, remotes, agents and laws for tests.
//!
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`agent`]: agents that play a script, fail, hang, panic or change their words.
#![cfg_attr(feature = "proxy", doc = "* [`proxy`]: a TCP proxy that breaks connections on demand.")]
#![cfg_attr(feature = "stub", doc = "* [`stub`]: an HTTP server by script, broken on the wire.")]

pub mod agent;
pub mod conformance;
pub mod disk;
pub mod env;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod remote;
#[cfg(feature = "stub")]
pub mod stub;
#[cfg(any(feature = "proxy", feature = "stub"))]
mod wire;
