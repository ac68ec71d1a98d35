//! The guarded skill call: claim, dispatch, run, settle; once per operation and turn.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{self, Poll},
};

use async_trait::async_trait;
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use super::Inner;
use crate::{
    Call, Context, Effect, Effects, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Result,
    TenantId,
    channel::Reconciled,
    middleware::{marked, stack::Resilience},
    records::{
        approvals::Approval,
        claims::{
            Claim, Claims, Fence, Heard, Left, Place, Slot, Wanted, failed_before, fingerprint,
            not_yet, subject,
        },
        ledger::{EffectRecord, EffectState, Plan, effect_key},
    },
    skill::{Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
    store::Guard,
    words::caught::caught,
    words::planted::{Bug, planted},
};

/// The skills as one attempt of a turn sees them.
#[derive(Debug)]
pub(super) struct TurnSkills {
    inner: Arc<Inner>,
    tenant: TenantId,
    turn: MessageId,
    fence: Guard,
    asked: Mutex<BTreeSet<Arc<str>>>,
    verdict: Mutex<Option<Arc<str>>>,
    /// When the store did not answer, the attempt is not the agent's fault.
    claims: Arc<Claims>,
    /// An effect of this attempt ended without anybody knowing whether it happened.
    in_doubt: AtomicBool,
}

impl TurnSkills {
    pub(super) fn new(inner: Arc<Inner>, tenant: TenantId, turn: MessageId, fence: Guard) -> Self {
        let claims = Claims::new(Arc::clone(&inner.store), inner.env.clone());
        Self {
            inner,
            tenant,
            turn,
            fence,
            asked: Mutex::default(),
            verdict: Mutex::default(),
            claims: Arc::new(claims),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Did the store fail to answer in this attempt?
    pub(super) fn stalled(&self) -> bool {
        self.claims.stalled()
    }

    /// Did an effect of this attempt end in doubt?
    pub(super) fn in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// Why the turn has to be parked, whatever the agent makes of the error.
    pub(super) fn verdict(&self) -> Option<Arc<str>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Did the agent ask for this operation in this attempt?
    pub(super) fn asked(&self, operation: &str) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(operation)
    }

    fn park_turn(&self, reason: &str) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }

    async fn guarded(
        &self,
        skill: &Arc<dyn Skill>,
        call: Call<Arc<Value>>,
        request: &SkillRequest,
    ) -> Result<SkillAnswer> {
        let outcome = self.once(skill, call, request).await;
        if self.claims.fenced() {
            self.inner.outlived();
        }
        outcome
    }

    /// Claims the effect, does what its record asks for, and settles what is left.
    async fn once(
        &self,
        skill: &Arc<dyn Skill>,
        call: Call<Arc<Value>>,
        request: &SkillRequest,
    ) -> Result<SkillAnswer> {
        let mut claim = self.claim(skill.manifest(), &call, request).await?;
        if claim.record.fingerprint != fingerprint(call.target(), call.payload())
            && !planted(Bug::ArgumentsIgnored)
        {
            let reason = format!(
                "the agent asked for something else under the operation {:?}",
                request.operation
            );
            self.park_turn(&reason);
            return Err(Error::new(ErrorKind::Conflict, reason).with("turn", self.turn));
        }
        loop {
            match self.claims.plan(&claim) {
                Plan::Dispatch => return self.dispatch(skill, call, claim).await,
                Plan::Replay => return self.replay(&claim),
                Plan::Park(reason) => {
                    self.claims.park(&mut claim, reason).await?;
                    return Err(self.parked(&claim, reason));
                }
                Plan::Reconcile => {
                    if let Some(answer) = self.reconcile(&**skill, &call, &mut claim).await? {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Records the effect, or finds the record of an earlier attempt.
    async fn claim(
        &self,
        manifest: &SkillManifest,
        call: &Call<Arc<Value>>,
        request: &SkillRequest,
    ) -> Result<Claim> {
        let idempotency =
            call.key().ok_or_else(|| Error::new(ErrorKind::Unclassified, "the call has no key"))?;
        let wanted = request.approval.as_ref().map(|id| Wanted {
            id: Arc::clone(id),
            digest: Approval::digest_of(manifest.id.as_str(), &manifest.version, &request.input),
        });
        let record = EffectRecord {
            target: call.target().into(),
            fingerprint: fingerprint(call.target(), call.payload()),
            request: Arc::clone(call.payload()),
            effect: call.effect(),
            approval: None,
            state: EffectState::NEW,
        };
        let place = Place {
            tenant: self.tenant.clone(),
            message: self.turn,
            key: effect_key(&self.tenant, self.turn, idempotency),
            fence: Fence::Held(self.fence.clone()),
            subject: subject(call.target(), &request.operation),
        };
        self.claims.claim(place, record, wanted).await
    }

    /// Has the call made under its claim, and settles what is left of it.
    async fn dispatch(
        &self,
        skill: &Arc<dyn Skill>,
        call: Call<Arc<Value>>,
        claim: Claim,
    ) -> Result<SkillAnswer> {
        let slot = Slot::new(Arc::clone(&self.claims), claim);
        let call = call.with_slot(Arc::<Slot>::clone(&slot));
        let e = match through(self.inner.resilience.as_ref(), skill, call).await {
            Ok(answer) => return Ok(answer),
            Err(e) => e,
        };
        let mut claim = slot.claim.lock().await;
        match self.claims.left(&mut claim, e).await? {
            Left::Known(e) => Err(e),
            Left::InDoubt(e) => {
                self.in_doubt.store(true, Ordering::Relaxed);
                Err(e)
            }
            Left::Parked(reason, e) => Err(self.parked(&claim, reason).with_source(e)),
        }
    }

    fn replay(&self, claim: &Claim) -> Result<SkillAnswer> {
        match &claim.record.state {
            EffectState::Done { answer } => Ok(answer.clone()),
            EffectState::Failed { kind, message, happened } => {
                Err(failed_before(*kind, message, *happened))
            }
            state => {
                let reason = match state {
                    EffectState::Parked { reason, .. } => Arc::clone(reason),
                    _ => state.name().into(),
                };
                Err(self.parked(claim, &reason))
            }
        }
    }

    /// Asks the owner of an effect in doubt. `None`: look at the record again.
    async fn reconcile(
        &self,
        skill: &dyn Skill,
        call: &Call<Arc<Value>>,
        claim: &mut Claim,
    ) -> Result<Option<SkillAnswer>> {
        let intent = claim.intent(call, Arc::clone(call.payload()));
        let answer = match (skill.reconcile(), intent) {
            (Some(hook), Some(intent)) => {
                let asked = caught("the reconcile hook", hook.reconcile(&intent));
                let late =
                    |_| Err(Error::new(ErrorKind::Timeout, "the reconcile hook did not answer"));
                let limit = skill.manifest().timeout;
                let answer = tokio::time::timeout(limit, asked).await.unwrap_or_else(late);
                // Whatever the agent makes of the error: nobody knows yet.
                if answer.is_err() {
                    self.in_doubt.store(true, Ordering::Relaxed);
                }
                answer?
            }
            _ => Reconciled::CannotKnow,
        };
        match self.claims.heard(claim, answer).await? {
            Heard::Happened(answer) => Ok(Some(answer)),
            Heard::Again => Ok(None),
            Heard::NotYet(retry_after) => {
                self.in_doubt.store(true, Ordering::Relaxed);
                Err(not_yet(call.target(), retry_after))
            }
            Heard::Parked(reason) => Err(self.parked(claim, reason)),
        }
    }

    /// Parks the turn of an effect that is parked.
    fn parked(&self, claim: &Claim, reason: &str) -> Error {
        self.park_turn(reason);
        Error::new(ErrorKind::Conflict, format!("parked: {reason}"))
            .with("target", &claim.record.target)
            .with_happened(Happened::Maybe)
    }
}

/// Makes the call through the skill's stack, where the host has one.
async fn through(
    resilience: Option<&Resilience>,
    skill: &Arc<dyn Skill>,
    call: Call<Arc<Value>>,
) -> Result<SkillAnswer> {
    let Some(resilience) = resilience else { return leaf(Arc::clone(skill), call).await };
    let stack = resilience.skill(skill.manifest().id.as_str());
    let mut service = stack.layer(Leaf(Arc::clone(skill)));
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(call).await
}

/// The innermost service of a skill's stack.
#[derive(Clone, Debug)]
struct Leaf(Arc<dyn Skill>);

impl Service<Call<Arc<Value>>> for Leaf {
    type Response = SkillAnswer;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<SkillAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<Arc<Value>>) -> Self::Future {
        Box::pin(leaf(Arc::clone(&self.0), call))
    }
}

/// The innermost service of a skill call: the mark, then the skill.
async fn leaf(skill: Arc<dyn Skill>, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
    marked(call, async |call| run(&*skill, call).await).await
}

/// One attempt at the skill itself: a panic or a timeout leaves the outcome unknown.
async fn run(skill: &dyn Skill, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
    let limit = skill.manifest().timeout;
    let late = || {
        Error::new(ErrorKind::Timeout, "the skill did not answer in time")
            .with("limit_ms", limit.as_millis())
            .with_happened(Happened::Maybe)
    };
    let outcome = tokio::time::timeout(limit, caught("the skill", skill.run(call))).await;
    outcome.unwrap_or_else(|_| Err(late()))
}

#[async_trait]
impl SkillPort for TurnSkills {
    fn manifests(&self) -> Vec<&SkillManifest> {
        self.inner.skills.values().map(|skill| skill.manifest()).collect()
    }

    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        let missing = || {
            Error::new(ErrorKind::NotFound, "there is no such skill").with("skill", &request.skill)
        };
        let skill = self.inner.skills.get(&request.skill).ok_or_else(missing)?;
        skill.validate(&request.input)?;
        let key = IdempotencyKey::of(self.turn, &request.operation)
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(&request.operation));
        let call = Call::skill(context.clone(), skill.manifest(), Arc::clone(&request.input))
            .with_key(key);
        match (call.effect(), context.effects()) {
            (Effect::Pure, _) => through(self.inner.resilience.as_ref(), skill, call).await,
            (_, Effects::Live) => self.guarded(skill, call, &request).await,
            (_, Effects::Withheld) => {
                let why = "effects are withheld in this run";
                Err(Error::new(ErrorKind::Unsupported, why).with("skill", &request.skill))
            }
        }
    }
}
