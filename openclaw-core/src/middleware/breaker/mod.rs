//! Refuses calls to a service that fails, until it has had time to recover.
//!
//! [`BreakerLayer`] has the settings; [`BreakerHandle`] watches and steers.

mod circuit;
mod config;
mod handle;
mod layer;
mod lease;
mod machine;
#[cfg(test)]
mod model;
mod one;
mod registry;
mod service;
mod state;
#[cfg(test)]
mod threads;
mod window;

pub use self::{
    config::{BreakerConfig, OnCancel, Window},
    handle::{BreakerHandle, Snapshot, Transitions},
    layer::{BreakerBuilder, BreakerLayer},
    machine::Transition,
    one::One,
    registry::{Breakers, PerKey},
    service::{Breaker, BreakerFuture},
    state::State,
};
