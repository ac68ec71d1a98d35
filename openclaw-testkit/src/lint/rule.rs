//! One thing to look for.

use openclaw_core::gateway::GatewayConfig;

use super::{Finding, Severity};

/// A rule over a configuration and one more thing that it serves.
pub(super) struct Rule<S: ?Sized> {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What is odd, in a few words; `None` when all is well.
    pub(super) odd: fn(&GatewayConfig, &S) -> Option<String>,
    pub(super) why: &'static str,
    pub(super) mend: &'static str,
}

impl<S: ?Sized> Rule<S> {
    pub(super) fn check(&self, config: &GatewayConfig, subject: &S) -> Option<Finding> {
        let what = (self.odd)(config, subject)?;
        let Self { id: rule, severity, why, mend, .. } = *self;
        Some(Finding { rule, severity, what, why, mend })
    }
}
