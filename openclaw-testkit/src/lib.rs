//! Proves a gateway before production does: clocks, remotes, agents and laws for tests.
//!
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`fault`]: faults at every seam, by script or by seed, and the plug of a process.
//! * [`platform`]: the other side of a channel.
//! * [`trace`]: what happened, in order.
//! * [`agent`]: agents that play a script, fail, hang, panic or change their words.

pub mod agent;
pub mod conformance;
pub mod disk;
pub mod env;
pub mod fault;
pub mod flow;
pub mod model;
pub mod platform;
pub mod remote;
pub mod trace;
