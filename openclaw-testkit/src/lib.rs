//! Proves a gateway before production does: clocks, faults, servers, laws, and a simulator.
//!
//! Start with the [`guide`]: it tests one gateway, from a first reply to a whole run under a seed.
//!
//! Scenarios, in paused time and without a server:
//! * [`flow`]: scenarios of your own gateway, and golden transcripts.
//! * [`sim`]: the whole gateway under a seed, with every fault there is.
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//!
//! What stands around a gateway:
//! * [`agent`], [`model`]: they play a script, attack, or change their words.
//! * [`platform`]: the other side of a channel: people, and what they are sent.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`fault`]: every seam broken by script or by seed, and proof that it broke.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`trace`]: what happened, in order.
//!
//! Laws and checks:
//! * [`attacks`]: what has to be refused, and what only looks like it, as tables.
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`history`]: what many clients saw of a store, and whether some order explains it.
//! * [`lint`]: is a gateway's configuration sound, and a tower stack in the right order?
//!
//! On the wire and under load, behind features of the same names:
//! * `servers` (Unix): private redis, postgres, rabbitmq, mosquitto and nats processes.
//! * `proxy`: a TCP proxy that breaks connections on demand.
//! * `stub`: an HTTP server by script, broken on the wire.
//! * `load`: load at a stated rate, overload and soak runs.

pub mod agent;
pub mod attacks;
pub mod conformance;
pub mod disk;
pub mod env;
pub mod fault;
pub mod flow;
pub mod history;
pub mod lint;
#[cfg(feature = "load")]
pub mod load;
pub mod model;
pub mod platform;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod remote;
#[cfg(all(unix, feature = "servers"))]
pub mod servers;
pub mod sim;
#[cfg(feature = "stub")]
pub mod stub;
pub mod trace;
#[cfg(any(feature = "proxy", feature = "stub"))]
mod wire;

#[doc = include_str!("guide.md")]
pub mod guide {}
