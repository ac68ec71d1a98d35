//! Models for tests: they play a script, fail, cut their streams, attack, or change their words.

mod flaky;
mod hostile;
mod pieces;
mod rewording;
mod script;

pub use self::{
    flaky::{FlakyModel, Glitch},
    hostile::{HostileModel, Mischief},
    rewording::RewordingModel,
    script::ScriptedModel,
};
