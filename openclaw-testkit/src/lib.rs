//! Proves a gateway before production does: clocks, remotes, agents and laws for tests.
//!
//! Start with the [`guide`]: it tests one gateway, from a first reply to a crash.
//!
//! * [`flow`]: scenarios of your own gateway, and golden transcripts.
//! * [`mod@env`]: time and randomness that a test holds in its hand.
//! * [`conformance`]: the laws of core's traits, run on your own types by one line.
//! * [`disk`]: a disk that loses what was not synced.
//! * [`remote`]: a business system that counts its effects and misbehaves on demand.
//! * [`fault`]: faults at every seam, by script or by seed, and the plug of a process.
//! * [`platform`]: the other side of a channel.
//! * [`trace`]: what happened, in order.
//! * [`agent`], [`model`]: they play a script, fail, hang, panic, attack or change their words.

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

#[doc = include_str!("guide.md")]
pub mod guide {}
