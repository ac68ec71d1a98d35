//! Whose budgets a call counts in, below its tenant.

use serde::{Deserialize, Serialize};

use crate::{AgentId, MessageId, SessionId};

/// Whose budgets a call counts in, below its tenant.
///
/// [Budgets](crate::records::Budgets) may limit each agent, each session and each run. A gateway
/// says who it is in the context of every turn; outside of one the host does. A call that does not
/// say it counts in no limit of that scope.
///
/// ```
/// use openclaw_core::{AgentId, Context, Payer, SessionId, TenantId};
///
/// let payer = Payer::new().of_agent(AgentId::new("clerk")?).in_session(SessionId::new("web/42")?);
/// let context = Context::new(TenantId::new("acme")?).with_payer(payer.clone());
/// assert_eq!(context.payer(), Some(&payer));
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Payer {
    /// The agent.
    pub agent: Option<AgentId>,
    /// The conversation: [`Conversation::session`](crate::Conversation::session) in a gateway.
    pub session: Option<SessionId>,
    /// The turn, whose id says when it began.
    pub run: Option<MessageId>,
}

impl Payer {
    /// Nobody below the tenant.
    #[must_use]
    pub const fn new() -> Self {
        Self { agent: None, session: None, run: None }
    }

    /// Names the agent.
    #[must_use]
    pub fn of_agent(mut self, agent: AgentId) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Names the session.
    #[must_use]
    pub fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Names the run, by an id that [`Env::next_id`](crate::Env::next_id) made when it began.
    #[must_use]
    pub const fn in_run(mut self, run: MessageId) -> Self {
        self.run = Some(run);
        self
    }
}
