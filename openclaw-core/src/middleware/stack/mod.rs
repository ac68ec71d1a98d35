//! Ready-made stacks from one configuration, so that nobody orders layers by hand.

mod check;
mod config;
mod inherit;
mod kind;
mod settings;
mod span;

pub use self::{
    config::{DEFAULT, Family, ResilienceConfig},
    inherit::Switch,
    kind::Kind,
    settings::{
        BreakerSettings, ConcurrencySettings, JitterSetting, RateSettings, RetrySettings, Settings,
    },
    span::{InvalidSpan, Span},
};
