//! Scopes: for whom calls are counted together, within a tenant.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{AgentId, MessageId, Payer, SessionId};

/// For whom a limit counts calls together, within one tenant.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetScope {
    /// All calls of the tenant. The default.
    #[default]
    Tenant,
    /// Those of each agent for itself.
    Agent,
    /// Those of each session, which is a conversation, for itself.
    Session,
    /// Those of each run, which is a turn with all its attempts, for itself.
    Run,
}

/// Whose account it is, within its tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Holder {
    /// The tenant's own. The default.
    #[default]
    Tenant,
    /// That of an agent.
    Agent(AgentId),
    /// That of a session.
    Session(SessionId),
    /// That of a run.
    Run(MessageId),
}

impl BudgetScope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Agent, Self::Session, Self::Run];

    /// The name, as it is configured.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::Session => "session",
            Self::Run => "run",
        }
    }

    /// Who that is for a call of this payer; `None` when the payer does not say.
    pub(super) fn holder(self, payer: Option<&Payer>) -> Option<Holder> {
        Some(match self {
            Self::Tenant => Holder::Tenant,
            Self::Agent => Holder::Agent(payer?.agent.clone()?),
            Self::Session => Holder::Session(payer?.session.clone()?),
            Self::Run => Holder::Run(payer?.run?),
        })
    }
}

impl Holder {
    /// The scope of its account.
    #[must_use]
    pub const fn scope(&self) -> BudgetScope {
        match self {
            Self::Tenant => BudgetScope::Tenant,
            Self::Agent(_) => BudgetScope::Agent,
            Self::Session(_) => BudgetScope::Session,
            Self::Run(_) => BudgetScope::Run,
        }
    }

    /// Its name within its scope; `None` for the tenant.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Tenant => None,
            Self::Agent(id) => Some(id.as_str().into()),
            Self::Session(id) => Some(id.as_str().into()),
            Self::Run(id) => Some(id.to_string().into()),
        }
    }

    /// The holder of this name in a scope that has names.
    pub(super) fn named(scope: &str, name: &str) -> Option<Self> {
        match BudgetScope::ALL.into_iter().find(|known| known.name() == scope)? {
            BudgetScope::Tenant => None,
            BudgetScope::Agent => AgentId::new(name).ok().map(Self::Agent),
            BudgetScope::Session => SessionId::new(name).ok().map(Self::Session),
            BudgetScope::Run => name.parse().ok().map(Self::Run),
        }
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.scope()),
            None => f.write_str("the tenant"),
        }
    }
}
