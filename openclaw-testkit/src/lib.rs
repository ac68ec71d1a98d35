//! Proves a gateway before production does: clocks, faults, servers, laws, and a simulator.
//!
//! Without a server, in paused time:
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//! * [`agent`]: agents that play a script, or change their words at every attempt.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`fault`]: faults at every seam, by script or by seed, and the plug of a process.
//! * [`platform`]: the other side of a channel.
//! * [`trace`]: what happened, in order.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`sim`]: the whole gateway under a seed, with every fault there is.
//!
//! Laws and checks:
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`lint`]: is a gateway's configuration sound, and a tower stack in the right order?
//!
//! On the wire and under load, behind features of the same names:
//! * `servers` (Unix): private redis, postgres, rabbitmq, mosquitto and nats processes.
//! * `proxy`: a TCP proxy that breaks connections on demand.
//! * `stub`: an HTTP server by script, broken on the wire.
//! * `load`: load at a stated rate, overload and soak runs.

pub mod agent;
pub mod conformance;
pub mod disk;
pub mod env;
pub mod fault;
pub mod lint;
#[cfg(feature = "load")]
pub mod load;
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
