//! The guarded skill call, put together once: for hosts without a gateway, and as parts for it.

mod builder;
mod leaf;
mod nested;
mod run;
mod skills;
mod way;

use std::{fmt, sync::Arc};

use serde_json::Value;

pub use self::{builder::SkillStackBuilder, run::SkillRun};
pub(crate) use self::{
    leaf::through,
    nested::{GuardedPort, Nested, equipped},
    skills::Skills,
    way::{Way, decide, way},
};
use super::{
    TraceLayer,
    ledger::{LedgerLayer, LedgerSnapshot},
    stack::Resilience,
};
use crate::{
    Env, IdempotencyKey, Principal, Result, TenantId,
    records::{ApprovalState, Approvals, EffectRecord, Vote},
    rules::Authorizer,
    skill::SkillAnswer,
    store::SharedStore,
};

/// The guarded skill call for a host without a gateway.
#[doc = include_str!("guide.md")]
#[derive(Clone)]
pub struct SkillStack(Arc<Inner>);

struct Inner {
    skills: Skills,
    rules: Option<Arc<dyn Authorizer>>,
    resilience: Resilience,
    trace: TraceLayer,
    ledger: LedgerLayer<Arc<Value>, SkillAnswer>,
    store: SharedStore,
}

impl SkillStack {
    /// Starts a stack that records in this store.
    pub fn builder(store: SharedStore, env: Env) -> SkillStackBuilder {
        SkillStackBuilder::new(store, env)
    }

    /// The skills as one run of the host calls them.
    ///
    /// A run has a name that is the same at every attempt: the id of a request, of an event, of
    /// an order. The run's name and the operation's are the key of a call; other runs have other
    /// keys. Nothing is recorded for a run itself.
    #[must_use]
    pub fn run(&self, name: impl AsRef<[u8]>) -> SkillRun {
        SkillRun::new(self.clone(), name.as_ref())
    }

    /// The approvals of a tenant: what is asked, and what was decided.
    #[must_use]
    pub fn approvals(&self, tenant: &TenantId) -> Approvals {
        Approvals::new(Arc::clone(&self.0.store), tenant.clone())
    }

    /// Records a person's word on an approval; a yes counts for the next call under its key.
    ///
    /// The principal's tenant says whose approval it is, and its subject who decides. The word and
    /// its audit entry are one commit. One no ends the request, and takes back what was granted
    /// and not used; the same word of the same person again changes nothing.
    ///
    /// # Errors
    /// `NOT_FOUND` when the principal's tenant has no such approval; `PERMISSION_DENIED` when
    /// the person asked for it, or is not named in its terms; `CONFLICT` when it is decided, its
    /// time is over, or others decide at this moment; `VALIDATION_ERROR` for too long a memo.
    pub async fn decide_approval(
        &self,
        by: &Principal,
        id: &str,
        vote: Vote,
    ) -> Result<ApprovalState> {
        self.approvals(&by.tenant).decide(by, id, vote).await
    }

    /// What is recorded under a [key](SkillRun::key); `None` when nothing is, or counts no more.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn record(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
    ) -> Result<Option<EffectRecord>> {
        self.0.ledger.record(tenant, key).await
    }

    /// Says what became of an effect in doubt, after a person has looked.
    ///
    /// `Some(answer)`: it happened, with this answer, which whoever asks again gets. `None`: it
    /// did not, and the next call makes it. `by` is the person, for the audit trail.
    ///
    /// # Errors
    /// `NOT_FOUND` when nothing is recorded under the key; `CONFLICT` when it is not in doubt, or
    /// is on its way, or has just moved on; the store's error.
    pub async fn settle(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
        answer: Option<SkillAnswer>,
        by: impl Into<Arc<str>>,
    ) -> Result<()> {
        self.0.ledger.decide(tenant, key, answer, by).await
    }

    /// Removes a tenant's records that count no more, and what was asked for them long ago.
    ///
    /// As [`LedgerLayer::sweep`]: to be called now and then, by one process.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn sweep(&self, tenant: &TenantId) -> Result<u64> {
        self.0.ledger.sweep(tenant).await
    }

    /// How full its ledger is.
    #[must_use]
    pub fn snapshot(&self) -> LedgerSnapshot {
        self.0.ledger.snapshot()
    }

    /// The limits around its skills: to look at, and to change while it runs.
    #[must_use]
    pub fn resilience(&self) -> &Resilience {
        &self.0.resilience
    }
}

impl fmt::Debug for SkillStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkillStack")
            .field("skills", &self.0.skills)
            .field("rules", &self.0.rules)
            .finish_non_exhaustive()
    }
}
