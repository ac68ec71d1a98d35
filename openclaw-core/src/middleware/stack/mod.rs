//! Ready-made stacks from one configuration, so that nobody orders layers by hand.

mod check;
mod config;
mod inherit;
mod kind;
mod layer;
mod resilience;
mod settings;

pub use self::{
    config::{DEFAULT, Family, ResilienceConfig},
    inherit::Switch,
    kind::Kind,
    layer::{StackLayer, StackSnapshot, Stacked},
    resilience::Resilience,
    settings::{
        BreakerSettings, ConcurrencySettings, JitterSetting, RateSettings, RetrySettings, Settings,
    },
};
pub use crate::words::span::{InvalidSpan, Span};
