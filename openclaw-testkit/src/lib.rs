//! Proves a gateway before production does: clocks, remotes, agents and laws for tests.
//!
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`sim`]: the whole gateway under a seed, with every fault there is.
//! * `servers` (feature, Unix): private redis, postgres, rabbitmq, mosquitto and nats processes.
//! * [`agent`]: agents that play a script, fail, hang, panic or change their words.
#![cfg_attr(feature = "proxy", doc = "* [`proxy`]: a TCP proxy that breaks connections on demand.")]
#![cfg_attr(feature = "stub", doc = "* [`stub`]: an HTTP server by script, broken on the wire.")]
//! * [`lint`]: is a gateway's configuration sound, and a tower stack in the right order?
#![cfg_attr(feature = "load", doc = "* [`load`]: load at a stated rate, overload and soak runs.")]

pub mod agent;
pub mod conformance;
pub mod disk;
pub mod env;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod lint;
#[cfg(feature = "load")]
pub mod load;
pub mod remote;
pub mod sim;
#[cfg(all(unix, feature = "servers"))]
pub mod servers;
#[cfg(feature = "stub")]
pub mod stub;
#[cfg(any(feature = "proxy", feature = "stub"))]
mod wire;
