//! Agents for tests: they play a script, attack, or change their words at every attempt.

pub(crate) mod corpus;
mod hostile;
pub(crate) mod rewording;
mod script;
mod words;

pub use self::{
    hostile::{Attack, HostileAgent},
    rewording::RewordingAgent,
    script::{Scene, ScriptedAgent},
};
