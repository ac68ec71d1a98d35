//! Faults at the seams: one plan, one list of faults, one thin wrapper for each trait.

mod kind;
mod pass;
mod plan;
mod power;
mod store;

pub use self::{kind::Fault, plan::Plan, power::Power, store::FaultStore};
