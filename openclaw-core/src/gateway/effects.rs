//! The guarded skill call: claim, dispatch, run, settle; once per operation and turn.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{Inner, tasks::caught};
use crate::{
    Call, Context, Digest, Effect, Effects, Error, ErrorKind, Happened, IdempotencyKey, MessageId,
    Result, TenantId,
    channel::{Intent, Reconciled},
    records::{
        approvals::{Approval, Approvals, Slot},
        audit::{AuditAction, AuditEntry},
        commit::{self, Known, unchanged},
        ledger::{EffectRecord, EffectState, Event, Plan, effect_key, heard, plan},
        row::Row,
    },
    skill::{Skill, SkillAnswer, SkillManifest, SkillPort, SkillRequest},
    store::{Guard, Key, Op, Txn, Version},
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
    /// The store did not answer: the attempt is not the agent's fault.
    stalled: AtomicBool,
    /// The store is being waited for; it stays so when the attempt is cut off meanwhile.
    in_store: AtomicBool,
    /// An effect of this attempt ended without anybody knowing whether it happened.
    in_doubt: AtomicBool,
}

/// An effect with its row's version.
struct Recorded {
    key: Key,
    record: EffectRecord,
    version: Version,
}

impl TurnSkills {
    pub(super) fn new(inner: Arc<Inner>, tenant: TenantId, turn: MessageId, fence: Guard) -> Self {
        Self {
            inner,
            tenant,
            turn,
            fence,
            asked: Mutex::default(),
            verdict: Mutex::default(),
            stalled: AtomicBool::new(false),
            in_store: AtomicBool::new(false),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Did the store fail to answer in this attempt?
    pub(super) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed) || self.in_store.load(Ordering::Relaxed)
    }

    /// Did an effect of this attempt end in doubt?
    pub(super) fn in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }

    async fn commit(&self, txn: Txn) -> Result<Known> {
        self.in_store.store(true, Ordering::Relaxed);
        let known = commit::commit(&*self.inner.store, txn).await;
        self.in_store.store(false, Ordering::Relaxed);
        self.noted(known)
    }

    /// An answer of the store; a failure makes this attempt nobody's.
    fn noted<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            self.stalled.store(true, Ordering::Relaxed);
        }
        answer
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
        skill: &dyn Skill,
        call: Call<Arc<Value>>,
        request: &SkillRequest,
    ) -> Result<SkillAnswer> {
        let mut recorded = self.claim(skill.manifest(), &call, request).await?;
        if recorded.record.fingerprint != fingerprint(call.target(), call.payload())
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
            match plan(&recorded.record.state, recorded.record.effect, self.inner.env.now()) {
                Plan::Dispatch => return self.dispatch(skill, call, recorded).await,
                Plan::Replay => return self.replay(&recorded),
                Plan::Park(reason) => return Err(self.park(recorded, reason).await?),
                Plan::Reconcile => {
                    if let Some(answer) = self.reconcile(skill, &call, &mut recorded).await? {
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
    ) -> Result<Recorded> {
        let idempotency =
            call.key().ok_or_else(|| Error::new(ErrorKind::Unclassified, "the call has no key"))?;
        let key = effect_key(&self.tenant, self.turn, idempotency);
        let slot = self.approval(manifest, request, &key).await?;
        let record = EffectRecord {
            target: call.target().into(),
            fingerprint: fingerprint(call.target(), call.payload()),
            request: Arc::clone(call.payload()),
            effect: call.effect(),
            approval: slot.as_ref().map(|slot| Arc::clone(&slot.id)),
            state: EffectState::NEW,
        };
        let subject = format!("{}/{}", call.target(), request.operation);
        let note = slot.as_ref().map_or_else(String::new, |slot| format!("approval {}", slot.id));
        let entry = self.entry(AuditAction::EffectClaimed, &subject).because(note);
        let mut txn = Txn::new("claim")
            .guard(self.fence.clone())
            .guard(Guard::Absent(key.clone()))
            .op(Op::put(key.clone(), record.encode()?))
            .op(entry.append(&self.tenant)?);
        if let Some(slot) = slot {
            txn = txn.guard(slot.guard).op(slot.op);
        }
        match self.commit(txn).await? {
            Known::Applied(applied) => Ok(Recorded { key, record, version: applied.version }),
            Known::Lost { guard: 1, current: Some(row) } => Ok(Recorded {
                key,
                record: EffectRecord::decode(&row.value)?,
                version: row.version,
            }),
            Known::Lost { guard: 2, .. } => Err(Error::new(
                ErrorKind::ApprovalRequired,
                "the approval was used by somebody else",
            )),
            lost @ Known::Lost { .. } => Err(self.inner.fenced(lost)),
        }
    }

    /// The slot of the approval that the request names, unless the effect is claimed already.
    async fn approval(
        &self,
        manifest: &SkillManifest,
        request: &SkillRequest,
        key: &Key,
    ) -> Result<Option<Slot>> {
        let Some(id) = &request.approval else { return Ok(None) };
        let known = commit::read::<EffectRecord>(&*self.inner.store, key).await;
        if self.noted(known)?.is_some() {
            return Ok(None);
        }
        let digest = Approval::digest_of(manifest.id.as_str(), &manifest.version, &request.input);
        let approvals = Approvals::new(Arc::clone(&self.inner.store), self.tenant.clone());
        let slot = approvals.slot(id, &digest, self.inner.env.now()).await;
        match slot {
            Err(e) if e.kind() == ErrorKind::ApprovalRequired => Err(e),
            slot => self.noted(slot).map(Some),
        }
    }

    async fn dispatch(
        &self,
        skill: &dyn Skill,
        call: Call<Arc<Value>>,
        recorded: Recorded,
    ) -> Result<SkillAnswer> {
        let early = if planted(Bug::EffectBeforeDispatch) {
            Some(run(skill, call.clone()).await)
        } else {
            None
        };
        let at = self.inner.env.now();
        let recorded = self.step("dispatch", recorded, Event::Dispatch { at }, None).await?;
        let subject =
            format!("{}/{}", call.target(), call.key().map_or("", IdempotencyKey::operation));
        let outcome = match early {
            Some(outcome) => outcome,
            None => run(skill, call).await,
        };
        match outcome {
            Ok(answer) => {
                let entry = self.entry(AuditAction::EffectDone, &subject);
                self.step("settle", recorded, Event::Succeeded(answer.clone()), Some(entry))
                    .await?;
                Ok(answer)
            }
            Err(e) => Err(self.unanswered(recorded, e, &subject).await?),
        }
    }

    /// Records an effect without an answer: not done yet, failed for good, or in doubt.
    async fn unanswered(&self, recorded: Recorded, e: Error, subject: &str) -> Result<Error> {
        let e = Arc::new(e);
        let event = match e.happened() {
            Happened::Maybe => Event::Lost,
            Happened::No if e.kind().is_transient() => Event::NotSent,
            Happened::No | Happened::Yes => Event::Failed(Arc::clone(&e)),
        };
        // An early try in doubt outweighs a later one that surely failed.
        let action = match recorded.record.after(event.clone())?.state {
            EffectState::Unknown { .. } => Some(AuditAction::EffectUnknown),
            EffectState::Failed { .. } => Some(AuditAction::EffectFailed),
            _ => None,
        };
        let entry = action.map(|action| self.entry(action, subject).because(e.kind().code()));
        let recorded = self.step("settle", recorded, event, entry).await?;
        let e = Arc::into_inner(e)
            .unwrap_or_else(|| Error::new(ErrorKind::Unclassified, "the effect failed"));
        if !recorded.record.state.is_in_doubt() {
            return Ok(e);
        }
        match plan(&recorded.record.state, recorded.record.effect, self.inner.env.now()) {
            Plan::Park(reason) => Ok(self.park(recorded, reason).await?.with_source(e)),
            Plan::Dispatch | Plan::Replay | Plan::Reconcile => {
                self.in_doubt.store(true, Ordering::Relaxed);
                Ok(e.with_happened(Happened::Maybe))
            }
        }
    }

    fn replay(&self, recorded: &Recorded) -> Result<SkillAnswer> {
        match &recorded.record.state {
            EffectState::Done { answer } => Ok(answer.clone()),
            EffectState::Failed { kind, message, happened } => {
                Err(Error::new(*kind, message.to_string())
                    .with_happened(*happened)
                    .with("replayed", true))
            }
            state => {
                let reason = match state {
                    EffectState::Parked { reason, .. } => Arc::clone(reason),
                    _ => state.name().into(),
                };
                self.park_turn(&reason);
                Err(parked(&recorded.record.target, &reason))
            }
        }
    }

    /// Asks the owner of an effect in doubt. `None`: look at the record again.
    async fn reconcile(
        &self,
        skill: &dyn Skill,
        call: &Call<Arc<Value>>,
        recorded: &mut Recorded,
    ) -> Result<Option<SkillAnswer>> {
        let answer = match (skill.reconcile(), call.key(), &recorded.record.state) {
            (
                Some(hook),
                Some(key),
                EffectState::Dispatching { first_at, .. } | EffectState::Unknown { first_at, .. },
            ) => {
                let intent =
                    Intent::new(key.clone(), call.target(), Arc::clone(call.payload()), *first_at);
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
        let here = Recorded {
            key: recorded.key.clone(),
            record: recorded.record.clone(),
            version: recorded.version,
        };
        match heard(answer) {
            Reconciled::Happened(output) => {
                let answer = SkillAnswer::Done(output);
                let entry =
                    self.entry(AuditAction::EffectDone, call.target()).because("reconciled");
                self.step("reconcile", here, Event::Succeeded(answer.clone()), Some(entry)).await?;
                Ok(Some(answer))
            }
            Reconciled::DidNotHappen => {
                *recorded = self.step("reconcile", here, Event::DidNotHappen, None).await?;
                Ok(None)
            }
            Reconciled::NotYetKnown { retry_after } => {
                self.in_doubt.store(true, Ordering::Relaxed);
                let e = Error::new(
                    ErrorKind::Unavailable,
                    "its owner does not know yet whether the effect happened",
                );
                Err(e
                    .with("target", call.target())
                    .with_retry_after(retry_after)
                    .with_happened(Happened::Maybe))
            }
            Reconciled::CannotKnow => {
                Err(self.park(here, "nobody can tell whether it happened").await?)
            }
        }
    }

    async fn park(&self, recorded: Recorded, reason: &str) -> Result<Error> {
        let target = Arc::clone(&recorded.record.target);
        let entry = self.entry(AuditAction::Parked, &target).because(reason);
        self.step("park", recorded, Event::Park(reason.into()), Some(entry)).await?;
        self.park_turn(reason);
        Ok(parked(&target, reason))
    }

    /// Moves the record on, in one commit with its audit entry.
    async fn step(
        &self,
        label: &'static str,
        from: Recorded,
        event: Event,
        entry: Option<AuditEntry>,
    ) -> Result<Recorded> {
        let record = from.record.after(event)?;
        let bytes: Bytes = record.encode()?;
        let mut txn = Txn::new(label)
            .guard(self.fence.clone())
            .guard(unchanged(from.key.clone(), from.version))
            .op(Op::put(from.key.clone(), bytes));
        if let Some(entry) = entry {
            txn = txn.op(entry.append(&self.tenant)?);
        }
        match self.commit(txn).await? {
            Known::Applied(applied) => {
                Ok(Recorded { key: from.key, record, version: applied.version })
            }
            lost @ Known::Lost { .. } => Err(self.inner.fenced(lost)),
        }
    }

    fn entry(&self, action: AuditAction, subject: &str) -> AuditEntry {
        AuditEntry::new(self.inner.env.now(), action, self.turn, subject)
    }
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

fn fingerprint(target: &str, input: &Value) -> [u8; 16] {
    let arguments = Digest::of_json("openclaw.arguments", input);
    Digest::of("openclaw.request", [target.as_bytes(), arguments.as_bytes()]).short()
}

fn parked(target: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("parked: {reason}"))
        .with("target", target)
        .with_happened(Happened::Maybe)
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
            (Effect::Pure, _) => run(&**skill, call).await,
            (_, Effects::Live) => self.guarded(&**skill, call, &request).await,
            (_, Effects::Withheld) => {
                let why = "effects are withheld in this run";
                Err(Error::new(ErrorKind::Unsupported, why).with("skill", &request.skill))
            }
        }
    }
}
