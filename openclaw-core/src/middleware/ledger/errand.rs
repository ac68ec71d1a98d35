//! What a call of a skill brings to the ledger: its skill, and what was decided of it.

use std::{sync::Arc, time::Duration};

use super::{NAME, Payload, mark::in_doubt};
use crate::{
    AgentId, Call, Error, ErrorKind, Happened, Reason, Refusal, Result, Timestamp,
    channel::Reconcile,
    records::{
        approvals::Asked,
        claims::{Claim, Claims, Fit, GONE, Gate, Guarded, Leave, Place, fit},
    },
    rules::Decision,
    skill::{Skill, SkillManifest},
};

/// A call of a skill, as far as its head does not say it.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) skill: Arc<dyn Skill>,
    /// What the rules make of it.
    pub(crate) decision: Decision,
    /// The agent that asks, when it is one.
    pub(crate) agent: Option<AgentId>,
    /// The approval that the caller names.
    pub(crate) approval: Option<Arc<str>>,
    /// The version that its record named when the skill was chosen.
    pub(crate) begun: Option<Arc<str>>,
}

impl Errand {
    pub(super) fn version(&self) -> &Arc<str> {
        &self.manifest().version
    }

    /// Whom to ask about an effect in doubt, and for how long.
    pub(super) fn owner(&self) -> (Option<&dyn Reconcile>, Duration) {
        (self.skill.reconcile(), self.manifest().timeout)
    }

    fn manifest(&self) -> &SkillManifest {
        self.skill.manifest()
    }

    /// On which terms the call may be claimed, by its rules and by what people said.
    pub(super) async fn leave<P: Payload>(
        &self,
        claims: &Claims,
        place: Place,
        call: &Call<P>,
        input: &Arc<serde_json::Value>,
    ) -> Result<Leave> {
        let guarded = Guarded {
            asked: self.asked(&place, call, Arc::clone(input)),
            named: self.approval.clone(),
        };
        match claims.gate(&place, guarded, self.decision.clone()).await? {
            Gate::Pass(Some(wanted)) => Ok(Leave::Approved(wanted)),
            Gate::Pass(None) if self.decision == Decision::Allow => Ok(Leave::Free),
            Gate::Pass(None) => Ok(Leave::Recorded),
            Gate::Refused(e) | Gate::Waits(_, e) => Err(e),
            Gate::Unapproved(why) => Err(conflict(why, call)),
        }
    }

    /// The call, as people are asked about it: the key is its operation, and no turn waits for it.
    fn asked<P>(&self, place: &Place, call: &Call<P>, input: Arc<serde_json::Value>) -> Asked {
        let (context, manifest) = (call.context(), self.manifest());
        let asker = context.principal().map(|principal| principal.subject.as_str());
        Asked {
            at: Timestamp::default(),
            turn: place.message,
            operation: call.key().map(|key| key.as_str().into()).unwrap_or_default(),
            agent: self.agent.as_ref().map(|agent| agent.as_str().into()).unwrap_or_default(),
            sender: asker.map(Into::into).unwrap_or_default(),
            trust: context.trust(),
            skill: manifest.id.as_str().into(),
            version: Arc::clone(&manifest.version),
            input,
        }
    }

    /// Goes on with the version of this errand, where the record may.
    pub(super) async fn fit<P: Payload>(
        &self,
        claims: &Claims,
        claim: &mut Claim,
        call: &Call<P>,
    ) -> Result<()> {
        match fit(&claim.record, self.manifest()) {
            Fit::Same => Ok(()),
            Fit::Adopt => {
                claim.adopt(Arc::clone(self.version()), call.effect());
                Ok(())
            }
            // Begun since the skill was chosen: whoever asks again meets the version.
            Fit::Gone if claim.record.version != self.begun => {
                let refusal = Refusal::new(Reason::InProgress, NAME);
                Err(refusal.with_retry_after(Duration::from_millis(1)).into())
            }
            Fit::Gone if claim.record.state.is_in_doubt() => {
                claims.park(claim, GONE).await?;
                Err(in_doubt(GONE))
            }
            Fit::Gone => Err(conflict(GONE, call)),
        }
    }
}

fn conflict<P>(why: &'static str, call: &Call<P>) -> Error {
    let error = Error::new(ErrorKind::Conflict, why).with_happened(Happened::No);
    error.with("target", call.target()).exhausted()
}
