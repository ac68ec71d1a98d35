//! Is a gateway's configuration sound, and a tower stack in the right order?
//!
//! * [`Setup`] looks at a [`GatewayConfig`](openclaw_core::gateway::GatewayConfig) with the
//!   channels and skills that it serves: bounds that contradict each other, times that cut each
//!   other off, effects that are declared more harmless than the data they touch.
//! * [`Stack`] looks at the order of a stack of tower layers, named one by one or read from the
//!   type of any composed service by [`stack_of`].
//!
//! Both answer [`Finding`]s: what is odd, why that matters, and how to mend it. A default
//! configuration and the recommended stack have none.

mod channels;
mod numbers;
mod order;
mod part;
mod rule;
mod setup;
mod skills;
mod stack;
mod times;
mod type_name;

use std::{fmt, time::Duration};

pub use self::{
    part::Part,
    setup::{ChannelFacts, Setup, config, setup_rules},
    stack::{Stack, stack_rules},
    type_name::{Reader, stack_of},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// It works, and does something that few people want.
    Warn,
    /// It does not do what it is there for, or it endangers an effect.
    Error,
}

/// Something that should not be as it is. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule's name; it does not change.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about it.
    pub mend: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warn => "warning",
            Severity::Error => "error",
        };
        let Self { rule, what, why, mend, .. } = self;
        write!(f, "{severity}[{rule}]: {what}: {why}; {mend}")
    }
}

/// A duration as people write it, for messages.
fn span(of: Duration) -> String {
    format!("{of:?}")
}
