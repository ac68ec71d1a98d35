//! Agents for tests: they play a script, fail, hang, panic, or change their words.

mod flaky;
mod rewording;
mod script;
mod words;

pub use self::{
    flaky::{FlakyAgent, Trouble},
    rewording::RewordingAgent,
    script::{Scene, ScriptedAgent},
};
