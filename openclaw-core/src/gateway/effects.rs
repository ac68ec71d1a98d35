//! The guarded skill call: claim, dispatch, run, settle; once per operation and turn.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::Value;

use super::{
    Inner,
    versions::{Choice, Chosen, Versions},
};
use crate::{
    AgentId, Call, Context, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Payer, Result,
    TenantId, Timestamp,
    channel::Reconciled,
    middleware::skill_stack::{GuardedPort, Nested, Way, decide, equipped, through, way},
    records::{
        approvals::Asked,
        claims::{
            Claim, Claims, Fence, Fit, GONE, Gate, Guarded, Heard, Left, Place, Slot, Who,
            broken_before, failed_before, fingerprint, fit, not_yet, subject,
        },
        ledger::{EffectRecord, EffectState, Plan, effect_key},
    },
    rules::{Ask, Decision},
    skill::{Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
    store::{Guard, Key},
    words::caught::caught,
    words::planted::{Bug, planted},
};

/// The skills as one attempt of a turn sees them.
#[derive(Debug)]
pub(super) struct TurnSkills {
    me: Weak<Self>,
    inner: Arc<Inner>,
    tenant: TenantId,
    turn: MessageId,
    asker: Asker,
    fence: Guard,
    versions: Versions,
    /// The first approval of this attempt that nobody has decided yet.
    waits: Mutex<Option<Arc<str>>>,
    asked: Mutex<BTreeSet<Arc<str>>>,
    /// The guarded calls that are under way, and those that nobody waited for.
    calls: Mutex<Calls>,
    verdict: Mutex<Option<Arc<str>>>,
    /// When the store did not answer, the attempt is not the agent's fault.
    claims: Arc<Claims>,
    /// An effect of this attempt ended without anybody knowing whether it happened.
    in_doubt: AtomicBool,
}

/// The guarded calls of an attempt, by operation.
#[derive(Debug, Default)]
struct Calls {
    running: BTreeSet<Arc<str>>,
    /// Their future was dropped before its end.
    dropped: BTreeSet<Arc<str>>,
    /// The attempt is over.
    over: bool,
}

/// A guarded call that is under way.
struct Running<'a> {
    skills: &'a TurnSkills,
    operation: Arc<str>,
    ended: bool,
}

impl<'a> Running<'a> {
    /// Refuses a second call under one operation, and any behind the attempt's end.
    fn begin(skills: &'a TurnSkills, operation: &Arc<str>) -> Result<Self> {
        let mut calls = skills.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let why = if calls.over {
            "the attempt of the turn is over"
        } else if !calls.running.insert(Arc::clone(operation)) {
            "this operation is under way: wait for its end"
        } else {
            return Ok(Self { skills, operation: Arc::clone(operation), ended: false });
        };
        let error = Error::new(ErrorKind::Conflict, why).with_happened(Happened::No);
        Err(error.with("operation", operation))
    }

    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut calls = self.skills.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.running.remove(&self.operation);
        if !self.ended {
            calls.dropped.insert(Arc::clone(&self.operation));
        }
    }
}

/// Who wants it done: an agent, for somebody.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) agent: AgentId,
    /// Whose message the agent answers.
    pub(super) sender: Arc<str>,
    /// Whose budgets its calls count in, below the tenant.
    pub(super) payer: Arc<Payer>,
}

impl TurnSkills {
    /// The skills of a turn in this lane; `again` when an earlier run may have begun effects.
    pub(super) fn new(
        inner: Arc<Inner>,
        (tenant, turn): (TenantId, MessageId),
        asker: Asker,
        fence: Guard,
        (lane, again): (&Key, bool),
    ) -> Arc<Self> {
        let claims =
            Claims::new(Arc::clone(&inner.store), inner.env.clone(), inner.budgets.clone());
        let versions = Versions::new(lane, again);
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            inner,
            tenant,
            turn,
            asker,
            fence,
            versions,
            waits: Mutex::default(),
            asked: Mutex::default(),
            calls: Mutex::default(),
            verdict: Mutex::default(),
            claims: Arc::new(claims),
            in_doubt: AtomicBool::new(false),
        })
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

    /// The approval that this attempt asked for first and did not get.
    pub(super) fn waits(&self) -> Option<Arc<str>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Did the agent ask for this operation in this attempt?
    pub(super) fn asked(&self, operation: &str) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(operation)
    }

    /// The guarded calls whose end nobody of this attempt saw; no more are begun.
    pub(super) fn unheard(&self) -> BTreeSet<Arc<str>> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.over = true;
        calls.running.union(&calls.dropped).cloned().collect()
    }

    fn park_turn(&self, reason: &str) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }

    async fn guarded(
        &self,
        skill: &Arc<dyn Skill>,
        call: Call<Arc<Value>>,
        request: &SkillRequest,
        decision: Decision,
    ) -> Result<SkillAnswer> {
        let outcome = self.once(skill, call, request, decision).await;
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
        decision: Decision,
    ) -> Result<SkillAnswer> {
        let mut claim = self.claim(skill.manifest(), &call, request, decision).await?;
        if let Err(e) = self.same(&claim, request) {
            self.claims.give_back(&mut claim).await?;
            return Err(e);
        }
        match fit(&claim.record, skill.manifest()) {
            Fit::Same => {}
            Fit::Adopt => claim.adopt(Arc::clone(&skill.manifest().version), call.effect()),
            Fit::Gone => return Err(self.gone(claim).await?),
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

    /// Parks the turn of an agent that asks for something else than what is recorded.
    fn same(&self, claim: &Claim, request: &SkillRequest) -> Result<()> {
        let asked = fingerprint(request.skill.as_str(), &request.input);
        if claim.record.fingerprint == asked || planted(Bug::ArgumentsIgnored) {
            return Ok(());
        }
        let operation = &request.operation;
        let reason =
            format!("the agent asked for something else under the operation {operation:?}");
        self.park_turn(&reason);
        Err(Error::new(ErrorKind::Conflict, reason).with("turn", self.turn))
    }

    /// What is recorded of an effect whose skill is not here: its end, or a parked turn.
    ///
    /// What was surely not sent, and nobody approved, ends as the look-up did.
    async fn recorded(&self, request: &SkillRequest, missing: Error) -> Result<SkillAnswer> {
        let key = self.asked_for(request)?;
        let place = self.place(request.skill.as_str(), &request.operation, &key);
        let Some(record) = self.claims.look(&place).await? else { return Err(missing) };
        if matches!(record.state, EffectState::Claimed { .. }) && record.approval.is_none() {
            return Err(missing);
        }
        let claim = self.claims.claim(place, record, None).await?;
        self.same(&claim, request)?;
        if claim.record.state.is_final() {
            return self.replay(&claim);
        }
        Err(self.gone(claim).await?)
    }

    /// Notes that the agent asked for an operation; the key of its effect.
    fn asked_for(&self, request: &SkillRequest) -> Result<IdempotencyKey> {
        let key = IdempotencyKey::of(self.turn, &request.operation)
            .map_err(|e| Error::new(ErrorKind::ValidationError, e.to_string()))?;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(Arc::clone(&request.operation));
        Ok(key)
    }

    /// Where the effect of an operation is recorded.
    fn place(&self, target: &str, operation: &str, key: &IdempotencyKey) -> Place {
        Place {
            tenant: self.tenant.clone(),
            payer: Some(Arc::clone(&self.asker.payer)),
            message: self.turn,
            key: effect_key(&self.tenant, self.turn, key),
            fence: Fence::Held(self.fence.clone()),
            subject: subject(target, operation),
        }
    }

    /// The call, as people are asked about it.
    fn guarded_call(
        &self,
        manifest: &SkillManifest,
        call: &Call<Arc<Value>>,
        request: &SkillRequest,
    ) -> Guarded {
        let asked = Asked {
            at: Timestamp::default(),
            turn: self.turn,
            operation: Arc::clone(&request.operation),
            agent: self.asker.agent.as_str().into(),
            sender: Arc::clone(&self.asker.sender),
            trust: call.context().trust(),
            skill: manifest.id.as_str().into(),
            version: Arc::clone(&manifest.version),
            input: Arc::clone(call.payload()),
        };
        Guarded { asked, named: request.approval.clone() }
    }

    /// Records the effect, or finds the record of an earlier attempt.
    async fn claim(
        &self,
        manifest: &SkillManifest,
        call: &Call<Arc<Value>>,
        request: &SkillRequest,
        decision: Decision,
    ) -> Result<Box<Claim>> {
        let idempotency =
            call.key().ok_or_else(|| Error::new(ErrorKind::Unclassified, "the call has no key"))?;
        let record = EffectRecord {
            target: call.target().into(),
            fingerprint: fingerprint(call.target(), call.payload()),
            request: Arc::clone(call.payload()),
            effect: call.effect(),
            approval: None,
            version: Some(Arc::clone(&manifest.version)),
            state: EffectState::NEW,
            breach: None,
            costs: Vec::new(),
        };
        let place = self.place(call.target(), &request.operation, idempotency);
        if decision == Decision::Allow && request.approval.is_none() {
            return self.claims.claim(place, record, None).await;
        }
        let guarded = self.guarded_call(manifest, call, request);
        match self.claims.gate(&place, guarded, decision).await? {
            Gate::Pass(wanted) => self.claims.claim(place, record, wanted).await,
            Gate::Refused(e) => Err(e),
            Gate::Waits(approval, e) => {
                let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
                waits.get_or_insert(approval);
                Err(e)
            }
            Gate::Unapproved(reason) => {
                self.park_turn(reason);
                Err(Error::new(ErrorKind::Conflict, reason).with("target", call.target()))
            }
        }
    }

    /// Has the call made under its claim, and settles what is left of it.
    async fn dispatch(
        &self,
        skill: &Arc<dyn Skill>,
        call: Call<Arc<Value>>,
        claim: Box<Claim>,
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
            EffectState::Done { answer } => {
                broken_before(&claim.record).map_or_else(|| Ok(answer.clone()), Err)
            }
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
        if let Reconciled::Happened(output) = &answer
            && let Err(e) = SkillAnswer::Done(Arc::clone(output)).judged_by(skill)
        {
            let output = Arc::clone(output);
            return Err(self.claims.broken("reconcile", claim, output, &e).await?);
        }
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

    /// Parks an effect whose version is not here any more, and its turn.
    async fn gone(&self, mut claim: Box<Claim>) -> Result<Error> {
        if claim.record.state.is_in_doubt() {
            self.claims.park(&mut claim, GONE).await?;
            return Ok(self.parked(&claim, GONE));
        }
        self.claims.give_back(&mut claim).await?;
        Ok(self.parked(&claim, GONE).with_happened(Happened::No))
    }

    /// Parks the turn of an effect that is parked.
    fn parked(&self, claim: &Claim, reason: &str) -> Error {
        self.park_turn(reason);
        Error::new(ErrorKind::Conflict, format!("parked: {reason}"))
            .with("target", &claim.record.target)
            .with_happened(Happened::Maybe)
    }
}

#[async_trait]
impl SkillPort for TurnSkills {
    fn manifests(&self) -> Vec<&SkillManifest> {
        self.versions.list(&self.inner.skills)
    }

    async fn call(&self, context: &Context, request: SkillRequest) -> Result<SkillAnswer> {
        self.call_for(None, context, request).await
    }
}

impl TurnSkills {
    /// Has it done for the agent, or for the skill that asks for it.
    async fn call_for(
        &self,
        parent: Option<&Nested>,
        context: &Context,
        request: SkillRequest,
    ) -> Result<SkillAnswer> {
        let of = (&*self.claims, &self.tenant, self.turn);
        let choice = self.versions.choose(&self.inner.skills, &request, of).await?;
        let Chosen { skill, begun, ended } = match choice {
            Choice::Skill(chosen) => chosen,
            Choice::Gone(missing) => return Box::pin(self.recorded(&request, missing)).await,
        };
        if let Some(parent) = parent {
            parent.covers(skill.manifest())?;
        }
        if !ended {
            skill.validate(&request.input)?;
        }
        let key = self.asked_for(&request)?;
        let call = Call::skill(context.clone(), skill.manifest(), Arc::clone(&request.input))
            .with_key(key);
        let call = equipped(|| self.me.upgrade(), parent, &skill, &request.operation, call);
        let ask = Ask::new(context, skill.manifest(), &request.input).by(&self.asker.agent);
        let decision = decide(self.inner.authorizer.as_deref(), &ask, request.needs_approval);
        match way(&call, begun, decision)? {
            Way::Free => {
                let run = |call| through(self.inner.resilience.as_ref(), &skill, call);
                let alone = skill.manifest().calls.is_empty();
                let who = Who {
                    tenant: &self.tenant,
                    payer: Some(&self.asker.payer),
                    message: self.turn,
                    subject: Arc::clone(call.shared_target()),
                    fence: Some(&self.fence),
                };
                self.claims.charged(who, alone, call, run).await
            }
            Way::Guarded(decision) => {
                let running = Running::begin(self, &request.operation)?;
                self.versions.begin(&request.operation, skill.manifest());
                let outcome = self.guarded(&skill, call, &request, decision).await;
                running.end();
                outcome
            }
        }
    }
}

#[async_trait]
impl GuardedPort for TurnSkills {
    async fn call_for(
        &self,
        parent: &Nested,
        context: &Context,
        request: SkillRequest,
    ) -> Result<SkillAnswer> {
        self.call_for(Some(parent), context, request).await
    }
}
