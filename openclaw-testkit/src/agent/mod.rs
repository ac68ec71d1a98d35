//! Agents for tests: they play a script, fail, hang, panic, attack, or change their words.

pub(crate) mod corpus;
mod flaky;
mod hostile;
pub(crate) mod rewording;
mod script;
mod words;

pub use self::{
    flaky::{FlakyAgent, Trouble},
    hostile::{Attack, HostileAgent},
    rewording::RewordingAgent,
    script::{Scene, ScriptedAgent},
};
