//! Opens a claim: new, found, or somebody else's.

use std::{sync::Arc, time::Duration};

use super::{
    Claim, Claims, Fence, Lease, LeaseRow, Wanted,
    budget::{Reserved, Who, raced},
    guard_of,
};
use crate::{
    Error, ErrorKind, MessageId, Payer, Result, TenantId, Timestamp,
    records::{
        approvals::{Approvals, Slot},
        audit::{AuditAction, AuditEntry},
        commit::{self, Known, unchanged},
        ledger::EffectRecord,
        row::Row,
    },
    store::{Entry, Guard, Key, Op, StateStore as _, StoreError, Txn, Version},
    words::{
        meter::Meter,
        planted::{Bug, planted},
    },
};

/// Where a claim is written, and by which right.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    /// Whose budgets it counts in, below the tenant.
    pub(crate) payer: Option<Arc<Payer>>,
    pub(crate) message: MessageId,
    pub(crate) key: Key,
    pub(crate) fence: Fence,
    pub(crate) subject: Arc<str>,
}

impl Place {
    /// Whose claim it is.
    pub(super) fn who(&self) -> Who<'_> {
        let Self { tenant, payer, message, fence, subject, .. } = self;
        let (payer, subject) = (payer.as_deref(), Arc::clone(subject));
        Who { tenant, payer, message: *message, subject, fence: fence.held() }
    }
}

/// What a claim under a lease needs to be new.
#[derive(Debug)]
pub(crate) enum Leave {
    /// Nothing.
    Free,
    /// This approval, which it consumes.
    Approved(Wanted),
    /// It can't be new: only what is recorded goes on.
    Recorded,
}

/// What became of a claim under a lease.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It is ours: new, or taken over.
    Ours(Box<Claim>),
    /// It ended before; the record and how long it still counts.
    Ended(EffectRecord, Duration),
    /// Somebody else runs it; the lease ends in this time.
    Busy(Duration),
    /// The key was used for another request.
    Reused,
}

/// Bytes that the end of an effect needs in its row: the words of an error, or of a breach.
const END: usize = 16 << 10;

/// Lost races before a caller hears of them.
const RACES: usize = 5;

impl Claims {
    /// Records the effect, or finds its record, under a fence that the caller holds.
    pub(crate) async fn claim(
        &self,
        place: Place,
        record: EffectRecord,
        wanted: Option<Wanted>,
    ) -> Result<Box<Claim>> {
        let mut claim = Claim::new(place, record);
        for _ in 0..RACES {
            let slot = self.slot(&claim, wanted.as_ref(), false).await?;
            let apart = slot.as_ref().filter(|_| planted(Bug::ApprovalApart));
            let apart = apart.map(|slot| slot.op.clone());
            let reserved = self.reserved(&claim, false).await?;
            let absent = Guard::Absent(claim.key.clone());
            let txn = self.opening(&mut claim, absent, slot, reserved)?;
            let guards = txn.guards.len();
            match self.commit(txn).await? {
                Known::Applied(applied) => {
                    self.time.told(applied.as_of);
                    if let Some(op) = apart {
                        self.commit(Txn::new("consume").guard(claim.fence.guard()).op(op)).await?;
                    }
                    claim.opened(applied.version);
                    return Ok(claim);
                }
                Known::Lost { guard: 1, current: Some(row) } => {
                    return self.known(claim, &row).await;
                }
                // Somebody else has reserved what was left.
                Known::Lost { guard, .. } if guard >= guards => {}
                Known::Lost { guard: 2, .. } => return Err(used()),
                lost @ Known::Lost { .. } => return Err(self.lost(lost)),
            }
        }
        Err(raced())
    }

    /// The claim of an earlier attempt. It has a reservation, unless it was given back.
    async fn known(&self, mut claim: Box<Claim>, row: &Entry) -> Result<Box<Claim>> {
        let asked = claim.record.fingerprint;
        claim.found(EffectRecord::decode(&row.value)?, row.version);
        if !claim.record.state.is_final() {
            // It is judged and dated by the store's time, which a lost commit does not tell.
            let read = self.store.get_many(std::slice::from_ref(&claim.key)).await;
            self.time.told(self.noted(read.map_err(Error::from))?.as_of);
        }
        if claim.record.fingerprint == asked {
            self.reserve_again(&mut claim).await?;
        }
        Ok(claim)
    }

    /// Records the effect under a lease of its own, takes it over, or says who has it.
    pub(crate) async fn lease(&self, mut claim: Box<Claim>, leave: Leave) -> Result<Opened> {
        let wanted = if let Leave::Approved(wanted) = &leave { Some(wanted) } else { None };
        let (mut absent, mut spent) = (Guard::Absent(claim.key.clone()), false);
        for _ in 0..RACES {
            let replaces = !matches!(absent, Guard::Absent(_));
            let slot = self.slot(&claim, wanted, replaces).await?;
            let reserved = self.reserved(&claim, replaces).await?;
            // With a record there is nothing to open. Should it go meanwhile, nothing is opened unapproved.
            if slot.is_some() || matches!(leave, Leave::Free) {
                let txn = self.opening(&mut claim, absent, slot, reserved)?;
                let guards = txn.guards.len();
                match self.commit(txn).await? {
                    Known::Applied(applied) => {
                        claim.opened(applied.version);
                        return self.begun(claim, applied.as_of).await;
                    }
                    Known::Lost { guard, .. } if guard < guards && guard >= 2 => {
                        return Err(used());
                    }
                    // Somebody else has reserved what was left, or holds the key.
                    Known::Lost { guard, .. } => spent = guard >= guards,
                }
            }
            // Boxed, as all that is rare: every claim would carry the room for it.
            match Box::pin(self.found(&mut claim)).await? {
                Found::Ours => return Box::pin(self.ours(claim)).await,
                Found::Opened(opened) => return Ok(opened),
                Found::Expired(version) => absent = guard_of(&claim.key, version),
                Found::Raced => absent = Guard::Absent(claim.key.clone()),
            }
        }
        if spent { Err(raced()) } else { Ok(Opened::Busy(Duration::ZERO)) }
    }

    /// A new claim, whose lease is as long by the store's clock as it is by ours.
    async fn begun(&self, mut claim: Box<Claim>, as_of: Timestamp) -> Result<Opened> {
        self.time.told(as_of);
        if !claim.is_dated(as_of) {
            Box::pin(self.renew(&mut claim)).await?;
        }
        Ok(Opened::Ours(claim))
    }

    /// A claim that was taken over, with a reservation.
    async fn ours(&self, mut claim: Box<Claim>) -> Result<Opened> {
        if let Err(e) = self.reserve_again(&mut claim).await {
            // Whoever asks next need not wait.
            drop(self.release(&mut claim).await);
            return Err(e);
        }
        Ok(Opened::Ours(claim))
    }

    /// Looks at what stands in the way, and takes it over when its lease has run out.
    async fn found(&self, claim: &mut Claim) -> Result<Found> {
        let Fence::Leased(lease) = &mut claim.fence else { return Ok(Found::Raced) };
        let keys = [claim.key.clone(), lease.key.clone()];
        let read = self.noted(self.store.get_many(&keys).await.map_err(Error::from))?;
        let now = read.as_of;
        self.time.told(now);
        let mut rows = read.value.into_iter();
        let (found, holder) = (rows.next().flatten(), rows.next().flatten());
        lease.version = holder.as_ref().map(|entry| entry.version);
        let holder = holder.map(|entry| LeaseRow::decode(&entry.value)).transpose()?;
        let Some(entry) = found else { return Ok(Found::Expired(None)) };
        if holder.as_ref().is_some_and(|holder| holder.expired(now)) {
            return Ok(Found::Expired(Some(entry.version)));
        }
        let known = EffectRecord::decode(&entry.value)?;
        if known.fingerprint != claim.record.fingerprint {
            return Ok(Found::Opened(Opened::Reused));
        }
        if known.state.is_final() {
            let expires = holder.and_then(|holder| holder.expires);
            let left = expires.map_or(Duration::ZERO, |at| at.since(now));
            return Ok(Found::Opened(Opened::Ended(known, left)));
        }
        let owner = lease.row.owner;
        // This layer has at most one call under a key: an older one of it was dropped.
        let busy = holder.filter(|holder| holder.owner != owner && holder.until > now);
        if let Some(holder) = busy {
            return Ok(Found::Opened(Opened::Busy(holder.until.since(now))));
        }
        self.take_over(claim, known, &entry).await
    }

    pub(super) async fn take_over(
        &self,
        claim: &mut Claim,
        known: EffectRecord,
        entry: &Entry,
    ) -> Result<Found> {
        let Fence::Leased(Lease { key, row, length, .. }) = &mut claim.fence else {
            return Ok(Found::Raced);
        };
        *row = row.renewed(self.time.now(), *length);
        let put = Op::put(key.clone(), row.encode()?);
        let txn = Txn::new("takeover")
            .guard(claim.fence.guard())
            .guard(unchanged(claim.key.clone(), entry.version))
            .op(put);
        match self.commit(txn).await? {
            Known::Applied(applied) => {
                claim.found(known, entry.version);
                claim.fence.written(applied.version);
                Ok(Found::Ours)
            }
            Known::Lost { .. } => Ok(Found::Raced),
        }
    }

    /// The commit of a new claim; a lease begins now.
    fn opening(
        &self,
        claim: &mut Claim,
        absent: Guard,
        slot: Option<Slot>,
        reserved: Reserved,
    ) -> Result<Txn> {
        let now = self.env.now();
        let subject = Arc::clone(&claim.subject);
        let action = AuditAction::EffectClaimed;
        let mut entry = AuditEntry::new(now, action, claim.message, subject);
        if let Some(slot) = &slot {
            entry = entry.because(format!("approval {}", slot.id));
        }
        let mut txn = Txn::new("claim").guard(claim.fence.guard()).guard(absent);
        if let Fence::Leased(lease) = &mut claim.fence {
            lease.row = lease.row.renewed(self.time.by_store(now), lease.length);
            // First, as the witness of this commit: no other call writes the same.
            txn = txn.op(Op::put(lease.key.clone(), lease.row.encode()?));
        }
        let record = &mut claim.record;
        record.costs = reserved.costs;
        record.approval = slot.as_ref().map(|slot| Arc::clone(&slot.id));
        let head = claim.head.insert(record.head()?);
        let row = EffectRecord::row(head, &record.costs, &record.state, None)?;
        self.fits(row.len())?;
        let put = Op::put(claim.key.clone(), row);
        txn = txn.op(put).op(entry.append(&claim.tenant)?);
        if let Some(slot) = slot {
            txn = txn.guard(slot.guard).ops((!planted(Bug::ApprovalApart)).then_some(slot.op));
        }
        Ok(txn.ops(reserved.ops))
    }

    /// Refuses what would have no room for its own end.
    fn fits(&self, size: usize) -> Result<()> {
        let limit = self.store.capabilities().max_value;
        let size = size.saturating_add(END.min(limit / 4));
        if size <= limit {
            return Ok(());
        }
        Err(StoreError::TooLarge { what: "the record of an effect", size, limit }.into())
    }

    /// The slot of the approval that is asked for, unless the effect is claimed already.
    async fn slot(
        &self,
        claim: &Claim,
        wanted: Option<&Wanted>,
        replaces: bool,
    ) -> Result<Option<Slot>> {
        let Some(wanted) = wanted else { return Ok(None) };
        // Boxed: every claim would carry the room for it.
        Box::pin(self.slot_of(claim, wanted, replaces)).await
    }

    async fn slot_of(
        &self,
        claim: &Claim,
        wanted: &Wanted,
        replaces: bool,
    ) -> Result<Option<Slot>> {
        if !replaces {
            let known = commit::read::<EffectRecord>(&*self.store, &claim.key).await;
            if self.noted(known)?.is_some() {
                return Ok(None);
            }
        }
        let approvals = Approvals::new(Arc::clone(&self.store), claim.tenant.clone());
        let slot = approvals.slot(wanted, claim.message).await;
        match slot {
            Err(e) if e.kind() == ErrorKind::ApprovalRequired => Err(e),
            slot => self.noted(slot).map(Some),
        }
    }
}

pub(super) enum Found {
    /// It was taken over.
    Ours,
    Opened(Opened),
    /// Nothing that counts; the version of what is there all the same.
    Expired(Option<Version>),
    Raced,
}

impl Claim {
    /// What is to be recorded here, and is not yet.
    ///
    /// On the heap from the start: it passes through many hands, and is large.
    pub(crate) fn new(place: Place, record: EffectRecord) -> Box<Self> {
        let Place { tenant, payer, message, key, fence, subject } = place;
        let version = Version::default();
        let (head, meter, adopted, stale) = (None, None, None, false);
        Box::new(Self {
            tenant,
            payer,
            message,
            record,
            key,
            version,
            fence,
            subject,
            head,
            meter,
            adopted,
            stale,
        })
    }

    /// Where it is recorded.
    pub(crate) fn place(&self) -> Place {
        let Self { tenant, payer, message, key, fence, subject, .. } = self;
        let (tenant, payer, key) = (tenant.clone(), payer.clone(), key.clone());
        let (fence, subject) = (fence.clone(), Arc::clone(subject));
        Place { tenant, payer, message: *message, key, fence, subject }
    }

    /// It was recorded anew, in this version.
    pub(super) fn opened(&mut self, version: Version) {
        self.version = version;
        self.fence.written(version);
        self.meter = self.record.reserves().then(Meter::default);
    }

    /// It was recorded before: like this, in this version.
    fn found(&mut self, record: EffectRecord, version: Version) {
        self.meter = record.reserves().then(Meter::default);
        (self.record, self.version, self.head) = (record, version, None);
    }
}

fn used() -> Error {
    Error::new(ErrorKind::ApprovalRequired, "the approval was used by somebody else")
}
