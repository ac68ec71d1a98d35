//! Claims: the one place where an effect is claimed, moved on, reconciled and parked.

mod budget;
mod charge;
mod decide;
mod fence;
mod fit;
mod gate;
mod open;
mod output;
mod settle;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Mutex;

pub(crate) use self::{
    budget::{Reserved, Who},
    fence::{Fence, Lease, LeaseRow},
    fit::{Fit, GONE, fit},
    gate::{Gate, Guarded, refused},
    open::{Leave, Opened, Place},
    output::{broken_before, broken_message, unstorable},
    settle::{Heard, Left},
};
pub(crate) use super::approvals::Wanted;
use super::{
    audit::{AuditAction, AuditEntry},
    budgets::{Budgets, Share},
    commit::{self, Known},
    ledger::EffectRecord,
};
use crate::{
    Call, Digest, Effect, Env, Error, ErrorKind, Happened, IdempotencyKey, MessageId, Payer,
    Result, TenantId, Timestamp,
    channel::Intent,
    records::ledger::EffectState,
    store::{Applied, Guard, Key, Op, Prefix, SharedStore, StoreTime, Txn, Version},
    words::{meter::Meter, scratch::scratch},
};

/// Claims effects in one store, and moves them on.
#[derive(Debug)]
pub(crate) struct Claims {
    store: SharedStore,
    env: Env,
    budgets: Budgets,
    /// The store did not answer once.
    stalled: AtomicBool,
    /// The store is being waited for; it stays so when the caller is cut off meanwhile.
    in_store: AtomicBool,
    /// A commit lost its fence.
    fenced: AtomicBool,
    /// A call under one of these claims has come to a mark.
    marks: AtomicBool,
    /// What leases and first tries are dated by: whoever judges them reads the store's time.
    time: StoreTime,
}

/// An effect that was claimed here, with its row's version and the right to write it.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) tenant: TenantId,
    /// Whose budgets it counts in, below the tenant.
    payer: Option<Arc<Payer>>,
    pub(crate) message: MessageId,
    pub(crate) record: EffectRecord,
    key: Key,
    version: Version,
    fence: Fence,
    /// For the audit trail: target and operation.
    subject: Arc<str>,
    /// The bytes of the record's row between costs and state, once they are known.
    head: Option<Bytes>,
    /// What its call says it has spent, when something is reserved for it.
    meter: Option<Meter>,
    /// The version that it went over to, and what that declares.
    adopted: Option<(Arc<str>, Effect)>,
    /// A commit was begun, and nobody here saw how it ended.
    stale: bool,
}

impl Claims {
    pub(crate) fn new(store: SharedStore, env: Env, budgets: Budgets) -> Self {
        Self {
            store,
            time: StoreTime::new(env.clone()),
            env,
            budgets,
            stalled: AtomicBool::new(false),
            in_store: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            marks: AtomicBool::new(false),
        }
    }

    pub(crate) const fn store(&self) -> &SharedStore {
        &self.store
    }

    pub(crate) const fn env(&self) -> &Env {
        &self.env
    }

    /// Did the store fail to answer, or is it waited for?
    pub(crate) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed) || self.in_store.load(Ordering::Relaxed)
    }

    /// Did a commit lose its fence?
    pub(crate) fn fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Has a call under one of these claims come to a mark?
    pub(crate) fn has_marks(&self) -> bool {
        self.marks.load(Ordering::Relaxed)
    }

    async fn commit(&self, txn: Txn) -> Result<Known> {
        self.in_store.store(true, Ordering::Relaxed);
        let known = commit::commit(&*self.store, txn).await;
        self.in_store.store(false, Ordering::Relaxed);
        self.noted(known)
    }

    /// An answer of the store; without one, nothing that follows is the caller's fault.
    ///
    /// What it refuses for good is: there no wait helps.
    pub(crate) fn noted<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.as_ref().is_err_and(|e| e.kind().is_transient()) {
            self.stalled.store(true, Ordering::Relaxed);
        }
        answer
    }

    fn lost(&self, lost: Known) -> Error {
        if matches!(lost, Known::Lost { guard: 0, .. }) {
            self.fenced.store(true, Ordering::Relaxed);
        }
        lost.or_fenced().err().unwrap_or_else(|| Error::new(ErrorKind::Conflict, "lost a commit"))
    }

    fn entry(&self, claim: &Claim, action: AuditAction, subject: &Arc<str>) -> AuditEntry {
        AuditEntry::new(self.env.now(), action, claim.message, Arc::clone(subject))
    }

    /// Reads again what a commit without an answer may have changed.
    async fn refresh(&self, claim: &mut Claim) -> Result<()> {
        if !claim.stale {
            return Ok(());
        }
        let mut keys = vec![claim.key.clone()];
        keys.extend(claim.fence.lease().map(|lease| lease.key.clone()));
        let read = self.noted(self.store.get_many(&keys).await.map_err(Error::from))?;
        self.time.told(read.as_of);
        let mut rows = read.value.into_iter();
        let gone = || self.lost(Known::Lost { guard: 0, current: None });
        let record = rows.next().flatten().ok_or_else(gone)?;
        if let Fence::Leased(lease) = &mut claim.fence {
            let row = rows.next().flatten().ok_or_else(gone)?;
            if !lease.adopt(&row)? {
                return Err(gone());
            }
        }
        claim.record = super::row::Row::decode(&record.value)?;
        claim.head = None;
        if let (EffectState::Claimed { .. }, Some((version, effect))) =
            (&claim.record.state, claim.adopted.clone())
        {
            claim.adopt(version, effect);
        }
        claim.version = record.version;
        claim.stale = false;
        Ok(())
    }

    async fn apply(&self, claim: &mut Claim, txn: Txn) -> Result<Applied> {
        claim.stale = true;
        match self.commit(txn).await? {
            Known::Applied(applied) => {
                claim.stale = false;
                Ok(applied)
            }
            lost @ Known::Lost { .. } => Err(self.lost(lost)),
        }
    }

    /// Says that the one who runs the effect is alive: its lease goes on.
    pub(crate) async fn renew(&self, claim: &mut Claim) -> Result<()> {
        self.refresh(claim).await?;
        for _ in 0..2 {
            let Fence::Leased(lease) = &claim.fence else { return Ok(()) };
            let row = lease.row.renewed(self.time.now(), lease.length);
            self.put_lease(claim, "renew", row).await?;
            // Our clock may have jumped since the store last told its time.
            if claim.is_dated(self.time.now()) {
                break;
            }
        }
        Ok(())
    }

    /// Gives the lease of an unfinished effect up: whoever asks next need not wait for it.
    pub(crate) async fn release(&self, claim: &mut Claim) -> Result<()> {
        self.refresh(claim).await?;
        let Fence::Leased(lease) = &claim.fence else { return Ok(()) };
        if claim.record.state.is_final() {
            return Ok(());
        }
        let row = lease.row.given_up();
        self.put_lease(claim, "release", row).await
    }

    async fn put_lease(&self, claim: &mut Claim, label: &'static str, row: LeaseRow) -> Result<()> {
        let Fence::Leased(lease) = &claim.fence else { return Ok(()) };
        let put = Op::put(lease.key.clone(), super::row::Row::encode(&row)?);
        let txn = Txn::new(label).guard(claim.fence.guard()).op(put);
        let applied = self.apply(claim, txn).await?;
        self.time.told(applied.as_of);
        claim.fence.leased_at(row, applied.version);
        Ok(())
    }
}

impl Claim {
    /// Goes over to another version of its skill, whose declaration counts from now on.
    ///
    /// Only for what was never sent. The next step of the record writes it down.
    pub(crate) fn adopt(&mut self, version: Arc<str>, effect: Effect) {
        self.adopted = Some((Arc::clone(&version), effect));
        self.record.version = Some(version);
        self.record.effect = effect;
        self.head = None;
    }

    /// The row of its record with these costs, in this state.
    fn row(&mut self, costs: &[Share], state: &EffectState) -> Result<Bytes> {
        let head = match self.head.take() {
            Some(head) => head,
            None => self.record.head()?,
        };
        EffectRecord::row(self.head.insert(head), costs, state, self.record.breach.as_ref())
    }

    /// What its owner is asked when nobody knows whether it happened.
    pub(crate) fn intent<P>(
        &self,
        call: &Call<P>,
        request: Arc<serde_json::Value>,
    ) -> Option<Intent> {
        match (&self.record.state, call.key()) {
            (
                EffectState::Dispatching { first_at, .. } | EffectState::Unknown { first_at, .. },
                Some(key),
            ) => Some(Intent::new(key.clone(), call.target(), request, *first_at)),
            _ => None,
        }
    }

    /// Was it surely not sent, when each try is marked?
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self.record.state, EffectState::Claimed { .. })
    }

    /// Does its lease end when it should, by what the store's clock shows now?
    ///
    /// A commit has taken its time meanwhile: a third of the lease is left for that.
    fn is_dated(&self, now: Timestamp) -> bool {
        let Some(lease) = self.fence.lease() else { return true };
        let due = now.after(lease.length);
        let until = lease.row.until;
        due.since(until).max(until.since(due)) <= lease.length / 3
    }

    /// Is it known what the store holds?
    pub(crate) const fn is_fresh(&self) -> bool {
        !self.stale
    }
}

/// Where the outermost and the innermost layer of one call meet: the claim between them.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) claims: Arc<Claims>,
    /// Held over a commit, by one call and its renewal: whoever writes is alone.
    pub(crate) claim: Mutex<Box<Claim>>,
    /// What the call is asked to fill, when something is reserved for it.
    pub(crate) meter: Option<Meter>,
    /// The call has come to its mark.
    marked: AtomicBool,
}

impl Slot {
    pub(crate) fn new(claims: Arc<Claims>, claim: Box<Claim>) -> Arc<Self> {
        let meter = claim.meter.clone();
        Arc::new(Self { claims, claim: Mutex::new(claim), meter, marked: AtomicBool::new(false) })
    }

    /// The call has come to its mark.
    pub(crate) fn mark(&self) {
        self.marked.store(true, Ordering::Relaxed);
        self.claims.marks.store(true, Ordering::Relaxed);
    }

    /// Has the call come to its mark?
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Relaxed)
    }

    /// The slot that came with a call.
    pub(crate) fn of<P>(call: &Call<P>) -> Option<Arc<Self>> {
        Arc::clone(call.slot()?).downcast().ok()
    }
}

/// The digest by which two requests under one key are told apart.
pub(crate) fn fingerprint(target: &str, input: &serde_json::Value) -> [u8; 16] {
    let arguments = Digest::of_json("openclaw.arguments", input);
    Digest::of("openclaw.request", [target.as_bytes(), arguments.as_bytes()]).short()
}

/// What the audit trail calls an effect: its target and its operation.
pub(crate) fn subject(target: &str, operation: &str) -> Arc<str> {
    let parts = [target, "/", operation];
    scratch(|text| {
        parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        String::from_utf8_lossy(text).into()
    })
}

/// The keys of an effect that no turn asked for: its record, and its lease.
pub(crate) fn keyed(tenant: &TenantId, key: &IdempotencyKey) -> (Key, Key) {
    let of = |table| Key::of(tenant, table).text(key.as_str()).build();
    (of("ik"), of("il"))
}

/// The leases of all effects of a tenant that no turn asked for.
pub(crate) fn lease_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "il").prefix()
}

/// The key of the record that a lease is for.
pub(crate) fn record_of(tenant: &TenantId, lease: &Key) -> Option<Key> {
    let name = lease.behind(&lease_rows(tenant))?;
    let records = Key::of(tenant, "ik").prefix();
    Some(Key::from_bytes([records.as_bytes(), name].concat()))
}

/// What the mark tells when its commit behind a run got no answer.
pub(crate) fn unsettled(e: Error) -> Error {
    e.with_happened(Happened::Maybe).exhausted()
}

/// A failure that is told again.
pub(crate) fn failed_before(kind: ErrorKind, message: &str, happened: Happened) -> Error {
    Error::new(kind, message.to_owned()).with_happened(happened).with("replayed", true)
}

/// Its owner does not know yet.
pub(crate) fn not_yet(target: &str, retry_after: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, "its owner does not know yet whether the effect happened")
        .with("target", target)
        .with_retry_after(retry_after)
        .with_happened(Happened::Maybe)
}

fn guard_of(key: &Key, version: Option<Version>) -> Guard {
    match version {
        Some(version) => commit::unchanged(key.clone(), version),
        None => Guard::Absent(key.clone()),
    }
}
