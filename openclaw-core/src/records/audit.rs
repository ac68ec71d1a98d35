//! The audit trail: appended with each decision, sealed in ranges, verifiable.

use std::{num::NonZeroUsize, sync::Arc};

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

    /// The operation that appends it: belongs into the commit of the decision.
    pub(crate) fn append(&self, tenant: &TenantId) -> Result<Op> {
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
    /// # Errors
    /// The store does not answer. What is wrong with the trail is in the report.
    pub async fn verify(&self, anchor: Option<&Anchor>) -> Result<AuditReport> {
        let rows = self.store.scan_all(trail(&self.tenant)).await?;
        let seals = self.store.scan_all(Key::of(&self.tenant, "as").prefix()).await?;
        let mut report = AuditReport { sealed: 0, open: 0, problems: Vec::new() };
        let mut before = genesis();
        let mut rest = &rows[..];
        let mut seen: Option<Digest> = None;
        for (n, (_, entry)) in (1_u64..).zip(&seals) {
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
        if anchor.is_some_and(|anchor| seen != Some(anchor.digest)) {
            report
                .problems
                .push("the anchored seal is missing: the end of the trail was cut off".to_owned());
        }
        Ok(report)
    }

    async fn last_seal(&self) -> Result<Option<(u64, SealRow)>> {
        let prefix = Key::of(&self.tenant, "as").prefix();
        let query = ScanQuery::new(prefix.clone()).reversed().limit(NonZeroUsize::MIN);
        let page = self.store.scan(query).await?.value;
        let Some((key, entry)) = page.rows.first() else { return Ok(None) };
        let number =
            key.behind(&prefix).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Some((number, SealRow::decode(&entry.value)?)))
    }
}
