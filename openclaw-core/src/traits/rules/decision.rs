//! What is decided of a call: allowed, refused, or a person's yes on stated terms.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::words::span::Span;

/// What is decided of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever enforces must handle all three")]
pub enum Decision {
    /// It may be made.
    Allow,
    /// It may not.
    Deny(Denial),
    /// It may be made once people have said yes, on all of these terms.
    RequireApproval(Vec<Terms>),
}

impl Decision {
    /// At least as strict as a wish for approval: never less than what was decided.
    ///
    /// ```
    /// use openclaw_core::rules::{Decision, Denial, Terms};
    ///
    /// let wish = || Terms::new("the model is not sure");
    /// assert_eq!(Decision::Allow.raised(wish), Decision::RequireApproval(vec![wish()]));
    /// let no = Decision::Deny(Denial::new("LIMIT", "too much"));
    /// assert_eq!(no.clone().raised(wish), no);
    /// ```
    #[must_use]
    pub fn raised(self, terms: impl FnOnce() -> Terms) -> Self {
        match self {
            Self::Allow => Self::RequireApproval(vec![terms()]),
            stricter => stricter,
        }
    }
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Denial {
    /// For machines: `"LIMIT_EXCEEDED"`.
    pub code: Arc<str>,
    /// For people, the one who asked included.
    pub reason: Arc<str>,
}

impl Denial {
    /// Refused, with this code, for this reason.
    #[must_use]
    pub fn new(code: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

/// On which terms people approve a call.
///
/// Whoever asked never counts. Where neither people nor roles are named, anybody else does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Terms {
    /// Who may decide, by name.
    #[serde(default)]
    pub approvers: BTreeSet<Arc<str>>,
    /// Who may decide, by role.
    #[serde(default)]
    pub roles: BTreeSet<Arc<str>>,
    /// How many different people have to say yes. 1; at most 64 in [`Rules`](super::Rules), and no
    /// more than are named there.
    #[serde(default = "one")]
    pub quorum: u32,
    /// How long they have, and how long their yes counts. 24 h; longer than zero.
    #[serde(default = "a_day")]
    pub ttl: Span,
    /// Why they are asked.
    pub reason: Arc<str>,
}

const fn one() -> u32 {
    1
}

fn a_day() -> Span {
    Duration::from_secs(24 * 60 * 60).into()
}

impl Terms {
    /// One yes of anybody else within a day, for this reason.
    #[must_use]
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        let (approvers, roles) = (BTreeSet::new(), BTreeSet::new());
        Self { approvers, roles, quorum: one(), ttl: a_day(), reason: reason.into() }
    }

    /// Names somebody who may decide.
    #[must_use]
    pub fn approver(mut self, name: impl Into<Arc<str>>) -> Self {
        self.approvers.insert(name.into());
        self
    }

    /// Names a role whose holders may decide.
    #[must_use]
    pub fn role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.roles.insert(role.into());
        self
    }

    /// Sets how many different people have to say yes; none is taken as one.
    #[must_use]
    pub const fn quorum(mut self, people: u32) -> Self {
        self.quorum = if people == 0 { 1 } else { people };
        self
    }

    /// Sets how long they have.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// May somebody of this name, with these roles, decide?
    #[must_use]
    pub fn accept(&self, name: &str, roles: &BTreeSet<Arc<str>>) -> bool {
        let anybody = self.approvers.is_empty() && self.roles.is_empty();
        anybody || self.approvers.contains(name) || !self.roles.is_disjoint(roles)
    }
}
