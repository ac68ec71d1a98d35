//! The audit trail: appended with each decision, sealed in ranges, verifiable.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{commit, row::Row};
use crate::{
    Digest, Error, ErrorKind, MessageId, Result, TenantId, Timestamp,
    store::{
        Entry, Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, StateStoreExt as _,
        Txn,
    },
};

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditAction {
    /// A turn ended with a reply.
    Replied,
    /// A turn ended with nothing to say.
    Silent,
    /// A turn waits.
    Suspended,
    /// What a turn waited for is here.
    Resumed,
    /// An effect was claimed; an approval may have been consumed.
    EffectClaimed,
    /// An effect is done.
    EffectDone,
    /// An effect failed for good.
    EffectFailed,
    /// Nobody knows whether an effect happened.
    EffectUnknown,
    /// A person said whether a parked effect happened.
    EffectDecided,
    /// A message or an effect is parked.
    Parked,
    /// A message is a dead letter.
    DeadLettered,
    /// A dead or parked letter was sent on its way again.
    Replayed,
    /// A dead or parked letter was removed.
    Purged,
    /// A rule refused a call.
    CallDenied,
    /// People were asked to approve a call.
    ApprovalRequested,
    /// Somebody said yes to it, and more have to.
    ApprovalVoted,
    /// It is approved.
    ApprovalGranted,
    /// Somebody said no to it.
    ApprovalDenied,
    /// Nobody decided about it in time.
    ApprovalExpired,
    /// A budget is spent: the first call in its window was refused.
    BudgetSpent,
    /// An operator has added to what was spent, or taken from it.
    BudgetAdjusted,
    /// The rollout of a skill was changed: a stage, a canary, a shadow.
    RolloutChanged,
    /// A version of a skill failed, and nobody meets it any more.
    RolledBack,
    /// A package is not what was approved: it does not run.
    PackageHeld,
    /// The content of a package was approved.
    PackageApproved,
    /// A person let the gateway act elsewhere in their name.
    GrantAuthorised,
    /// What a person had granted is over: only a person can renew it.
    GrantEnded,
    /// An effect is done, and its output breaks its contract: a person should look.
    OutputBroken,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// What was decided.
    pub action: AuditAction,
    /// About which message.
    pub message: MessageId,
    /// By or about whom: an agent, a skill's operation, an operator.
    pub subject: Arc<str>,
    /// Why, in words for operators. No payloads.
    pub note: Arc<str>,
}

impl Row for AuditEntry {
    const NAME: &'static str = "the audit trail";
    const FORMAT: u8 = 1;
}

impl AuditEntry {
    /// A decision about a message.
    #[must_use]
    pub fn new(
        at: Timestamp,
        action: AuditAction,
        message: MessageId,
        subject: impl Into<Arc<str>>,
    ) -> Self {
        Self { at, action, message, subject: subject.into(), note: Arc::default() }
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = note.into();
        self
    }

    /// A decision that is about no message.
    #[must_use]
    pub fn apart(at: Timestamp, action: AuditAction, subject: impl Into<Arc<str>>) -> Self {
        Self::new(at, action, NO_MESSAGE, subject)
    }

    /// The operation that appends it: it belongs into the commit of the decision.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it can't be written.
    pub fn append(&self, tenant: &TenantId) -> Result<Op> {
        Ok(Op::append(trail(tenant), self.encode()?))
    }
}

/// A seal over a range of the trail, chained to the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SealRow {
    first: Vec<u8>,
    last: Vec<u8>,
    count: u64,
    before: Digest,
    digest: Digest,
}

impl Row for SealRow {
    const NAME: &'static str = "audit seals";
    const FORMAT: u8 = 1;
}

/// What the retention has removed: everything up to a seal, that one included.
///
/// It is written before the first row goes, so that a half-removed range is no gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CutRow {
    seals: u64,
    entries: u64,
    last: Vec<u8>,
    digest: Option<Digest>,
}

impl Row for CutRow {
    const NAME: &'static str = "the cut of the audit trail";
    const FORMAT: u8 = 1;
}

/// A seal kept elsewhere: it shows when the end of the trail was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anchor {
    /// How many seals there were.
    pub seals: u64,
    /// The last one's digest.
    pub digest: Digest,
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// Entries under a seal.
    pub sealed: u64,
    /// Entries behind the last seal.
    pub open: u64,
    /// Entries that the retention removed, with their seals.
    pub removed: u64,
    /// What is wrong; empty when all is well.
    pub problems: Vec<String>,
}

impl AuditReport {
    /// Is all well?
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A piece of the trail on its way out: one commit.
#[derive(Debug)]
pub(crate) struct Trim {
    pub(crate) guard: Guard,
    pub(crate) ops: Vec<Op>,
    /// Entries that go with it.
    pub(crate) entries: u64,
}

/// Stands in entries that are about no message.
pub(crate) const NO_MESSAGE: MessageId = MessageId::from_u128(0);

/// The audit trail of a tenant.
#[derive(Clone, Debug)]
pub struct AuditLog {
    store: SharedStore,
    tenant: TenantId,
}

/// Entries under one seal at most.
const RANGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

fn trail(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "au").prefix()
}

fn genesis() -> Digest {
    Digest::of("openclaw.audit.v1", [b"genesis"])
}

fn chain(before: &Digest, rows: &[(Key, Entry)]) -> Digest {
    let parts = rows.iter().flat_map(|(key, entry)| [key.as_bytes(), &entry.value]);
    Digest::of("openclaw.audit.v1", std::iter::once(&before.as_bytes()[..]).chain(parts))
}

impl AuditLog {
    /// The trail of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Every entry, oldest first.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn entries(&self) -> Result<Vec<AuditEntry>> {
        let rows = self.store.scan_all(trail(&self.tenant)).await?;
        rows.iter().map(|(_, entry)| AuditEntry::decode(&entry.value)).collect()
    }

    /// Seals the next range, at most 4,096 entries. `None` when nothing is open.
    ///
    /// Sealing is apart from appending, so that the chain never serialises the commits.
    ///
    /// # Errors
    /// The store does not answer; `CONFLICT` when somebody else seals.
    pub async fn seal(&self) -> Result<Option<Anchor>> {
        let last = self.last_seal().await?;
        let (seals, before, after) = match last {
            Some((n, seal)) => (n, seal.digest, Some(Key::from_bytes(seal.last))),
            None => (0, genesis(), None),
        };
        let query = ScanQuery::new(trail(&self.tenant)).after(after).limit(RANGE);
        let page = self.store.scan(query).await?.value;
        let (Some((first, _)), Some((end, _))) = (page.rows.first(), page.rows.last()) else {
            return Ok(None);
        };
        let digest = chain(&before, &page.rows);
        let seal = SealRow {
            first: first.as_bytes().to_vec(),
            last: end.as_bytes().to_vec(),
            count: page.rows.len() as u64,
            before,
            digest,
        };
        let key = Key::of(&self.tenant, "as").number(seals + 1).build();
        let txn =
            Txn::new("seal").guard(Guard::Absent(key.clone())).op(Op::put(key, seal.encode()?));
        match commit::commit(&*self.store, txn).await? {
            commit::Known::Applied(_) => Ok(Some(Anchor { seals: seals + 1, digest })),
            commit::Known::Lost { .. } => {
                Err(Error::new(ErrorKind::Conflict, "somebody else seals this trail"))
            }
        }
    }

    /// Checks every sealed range; with an anchor also that no seal was cut off.
    ///
    /// What the retention removed is counted, and the rest is checked from there on. An anchor
    /// that is older than that can't be checked any more, which is a problem of the report.
    ///
    /// # Errors
    /// The store does not answer. What is wrong with the trail is in the report.
    pub async fn verify(&self, anchor: Option<&Anchor>) -> Result<AuditReport> {
        let rows = self.store.scan_all(trail(&self.tenant)).await?;
        let seals = self.store.scan_all(self.seals()).await?;
        // Read last: what was removed since the rows were read is below it.
        let (cut, _) = self.cut().await?;
        let mut report =
            AuditReport { sealed: 0, open: 0, removed: cut.entries, problems: Vec::new() };
        let mut before = cut.digest.unwrap_or_else(genesis);
        let gone = rows.partition_point(|(key, _)| key.as_bytes() <= &cut.last[..]);
        let mut rest = rows.get(gone..).unwrap_or_default();
        let mut seen = cut.digest.filter(|_| anchor.is_some_and(|a| a.seals == cut.seals));
        let seals = seals.iter().filter(|(key, _)| self.number_of(key) > cut.seals);
        for (n, (_, entry)) in (cut.seals + 1..).zip(seals) {
            let seal = match SealRow::decode(&entry.value) {
                Ok(seal) => seal,
                Err(e) => {
                    report.problems.push(format!("seal {n}: {}", e.message()));
                    break;
                }
            };
            let end = rest.partition_point(|(key, _)| key.as_bytes() <= &seal.last[..]);
            let (range, behind) = rest.split_at(end);
            if seal.before != before
                || range.len() as u64 != seal.count
                || chain(&before, range) != seal.digest
            {
                report
                    .problems
                    .push(format!("seal {n} does not match its {} entries", range.len()));
            }
            report.sealed += range.len() as u64;
            before = seal.digest;
            rest = behind;
            if anchor.is_some_and(|anchor| anchor.seals == n) {
                seen = Some(seal.digest);
            }
        }
        report.open = rest.len() as u64;
        if let Some(anchor) = anchor.filter(|anchor| seen != Some(anchor.digest)) {
            report.problems.push(if anchor.seals < cut.seals {
                "the retention has removed the anchored seal: take a newer anchor".to_owned()
            } else {
                "the anchored seal is missing: the end of the trail was cut off".to_owned()
            });
        }
        Ok(report)
    }

    /// The next piece of what is to be removed: sealed ranges whose last entry is this old.
    ///
    /// The last seal stays, with its range: the next one is chained to it.
    pub(crate) async fn trim(
        &self,
        keep: Duration,
        now: Timestamp,
        most: NonZeroUsize,
    ) -> Result<Option<Trim>> {
        let (cut, guard) = self.cut().await?;
        if let Some(clear) = self.clear(&cut, &guard, most).await? {
            return Ok(Some(clear));
        }
        let query = ScanQuery::new(self.seals()).limit(most);
        let seals = self.store.scan(query).await?.value.rows;
        let ends = seals.iter().map(|(_, entry)| SealRow::decode(&entry.value));
        let ends = ends.collect::<Result<Vec<_>>>()?;
        let keys: Vec<Key> = ends.iter().map(|seal| Key::from_bytes(seal.last.clone())).collect();
        let last = self.store.get_many(&keys).await?.value;
        let mut next = cut.clone();
        // The newest one of the page stays: it may be the last one there is.
        let older = seals.len().saturating_sub(1);
        for (((key, _), seal), end) in seals.iter().zip(&ends).zip(last).take(older) {
            let Some(end) = end else { break };
            if now.since(AuditEntry::decode(&end.value)?.at) < keep {
                break;
            }
            next = CutRow {
                seals: self.number_of(key),
                entries: next.entries + seal.count,
                last: seal.last.clone(),
                digest: Some(seal.digest),
            };
        }
        if next == cut {
            return Ok(None);
        }
        let entries = next.entries - cut.entries;
        let note = format!("{entries} entries of this trail, up to seal {}", next.seals);
        let entry = AuditEntry::apart(now, AuditAction::Purged, "retention");
        let ops = vec![
            Op::put(self.cut_key(), next.encode()?),
            entry.because(note).append(&self.tenant)?,
        ];
        Ok(Some(Trim { guard, ops, entries: 0 }))
    }

    async fn last_seal(&self) -> Result<Option<(u64, SealRow)>> {
        let query = ScanQuery::new(self.seals()).reversed().limit(NonZeroUsize::MIN);
        let page = self.store.scan(query).await?.value;
        let Some((key, entry)) = page.rows.first() else { return Ok(None) };
        Ok(Some((self.number_of(key), SealRow::decode(&entry.value)?)))
    }

    fn seals(&self) -> Prefix {
        Key::of(&self.tenant, "as").prefix()
    }

    fn number_of(&self, seal: &Key) -> u64 {
        let number = seal.behind(&self.seals()).and_then(|bytes| bytes.try_into().ok());
        number.map_or(0, u64::from_be_bytes)
    }

    fn cut_key(&self) -> Key {
        Key::of(&self.tenant, "ac").build()
    }

    /// What was removed so far, and the guard that it is still so.
    async fn cut(&self) -> Result<(CutRow, Guard)> {
        let key = self.cut_key();
        Ok(match commit::read::<CutRow>(&*self.store, &key).await? {
            Some((cut, version)) => (cut, Guard::VersionIs(key, version)),
            None => (CutRow::default(), Guard::Absent(key)),
        })
    }

    /// Rows below the cut, when some are left.
    async fn clear(&self, cut: &CutRow, guard: &Guard, most: NonZeroUsize) -> Result<Option<Trim>> {
        if cut.seals == 0 {
            return Ok(None);
        }
        let below = |query: ScanQuery| self.store.scan(query.limit(most));
        let entries = below(ScanQuery::new(trail(&self.tenant))).await?.value.rows;
        let keys = entries.into_iter().map(|(key, _)| key);
        let mut keys: Vec<Key> = keys.take_while(|key| key.as_bytes() <= &cut.last[..]).collect();
        let entries = keys.len() as u64;
        if keys.len() < most.get() {
            let seals = below(ScanQuery::new(self.seals())).await?.value.rows;
            let seals = seals.into_iter().map(|(key, _)| key);
            keys.extend(seals.take_while(|key| self.number_of(key) <= cut.seals));
            keys.truncate(most.get());
        }
        let ops: Vec<Op> = keys.into_iter().map(Op::delete).collect();
        Ok((!ops.is_empty()).then(|| Trim { guard: guard.clone(), ops, entries }))
    }
}
