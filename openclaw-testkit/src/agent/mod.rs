//! Agents for tests: they play a script, or change their words at every attempt.

mod rewording;
mod script;
mod words;

pub use self::{
    rewording::RewordingAgent,
    script::{Scene, ScriptedAgent},
};
