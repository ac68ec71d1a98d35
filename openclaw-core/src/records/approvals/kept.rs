//! The approvals of a tenant in a store.

use std::{num::NonZeroUsize, sync::Arc};

use super::{Approval, ApprovalState, Vote};
use crate::{
    Digest, Error, ErrorKind, MessageId, Principal, Result, TenantId, Timestamp,
    records::{
        audit::AuditEntry,
        commit::{self, Known, unchanged},
        row::Row as _,
    },
    rules::Terms,
    store::{Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, Txn, Version},
};

/// The approvals of a tenant.
///
/// Reading works on any store, also beside a stopped gateway. Where a turn of a running gateway
/// waits, decide by `Gateway::decide_approval`: the turn goes on in the same commit.
#[derive(Clone, Debug)]
pub struct Approvals {
    pub(super) store: SharedStore,
    pub(super) tenant: TenantId,
}

/// An approval as it was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) approval: Approval,
    pub(crate) version: Version,
    /// The store's own time.
    pub(crate) now: Timestamp,
}

/// Rows that one call looks at: those that are decided are passed over.
const ROWS: usize = 4096;

/// Rows that are read at once.
pub(super) const PAGE: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Lost races before a caller hears of them.
const RACES: usize = 5;

impl Approvals {
    /// The approvals of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    pub(crate) fn key(&self, id: &str) -> Key {
        Key::of(&self.tenant, "ap").text(id).build()
    }

    /// The id of the request for exactly this: asked again, it is found again.
    pub(crate) fn id_of(
        turn: MessageId,
        operation: &str,
        digest: &Digest,
        terms: &[Terms],
    ) -> Arc<str> {
        let terms = serde_json::to_vec(terms).unwrap_or_default();
        let parts = [operation.as_bytes(), digest.as_bytes(), &terms];
        let name = Digest::of("openclaw.approval.id", parts).to_string();
        // By turn first, so that they are listed in the order of admission.
        format!("{turn}-{}", name.get(..16).unwrap_or_default()).into()
    }

    /// Records an approval that nobody had asked for, under a new id.
    ///
    /// # Errors
    /// `CONFLICT` when the id is taken.
    pub async fn grant(&self, id: &str, approval: &Approval) -> Result<()> {
        let key = self.key(id);
        let read = self.store.get_many(std::slice::from_ref(&key)).await?;
        let by = approval.decided_by().map_or("", |vote| &*vote.by);
        let entry = AuditEntry::new(read.as_of, approval.action(), approval.turn(), by);
        let txn = Txn::new("approve")
            .guard(Guard::Absent(key.clone()))
            .op(Op::put(key, approval.encode()?))
            .op(entry.because(format!("approval {id}")).append(&self.tenant)?);
        match commit::commit(&*self.store, txn).await? {
            Known::Applied(_) => Ok(()),
            Known::Lost { .. } => {
                Err(Error::new(ErrorKind::Conflict, "this approval id is taken")
                    .with("approval", id))
            }
        }
    }

    /// Reads an approval.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read.
    pub async fn get(&self, id: &str) -> Result<Option<Approval>> {
        Ok(self.find(id).await?.map(|found| found.approval))
    }

    /// What still waits for a decision behind this id, oldest message first, at most `limit`.
    ///
    /// One call looks at 4,096 rows at most. The second value is where to go on, while there
    /// is more: a page may be short, or empty, before the end.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn open(
        &self,
        after: Option<&str>,
        limit: NonZeroUsize,
    ) -> Result<(Vec<(Arc<str>, Approval)>, Option<Arc<str>>)> {
        let prefix = Key::of(&self.tenant, "ap").prefix();
        let (mut after, mut open) = (after.map(|id| self.key(id)), Vec::new());
        let mut last = None;
        for _ in 0..ROWS / PAGE {
            let query = ScanQuery::new(prefix.clone()).after(after.take()).limit(PAGE);
            let read = self.store.scan(query).await?;
            for (key, entry) in &read.value.rows {
                let Some(id) = key.behind(&prefix).and_then(id_in) else { continue };
                let approval = Approval::decode(&entry.value)?;
                last = Some(Arc::clone(&id));
                if approval.state_at(read.as_of) == ApprovalState::Requested {
                    open.push((id, approval));
                }
                if open.len() == limit.get() {
                    return Ok((open, last));
                }
            }
            after = read.value.rows.last().filter(|_| read.value.more).map(|(key, _)| key.clone());
            if after.is_none() {
                return Ok((open, None));
            }
        }
        Ok((open, last))
    }

    /// Records a person's word on a request for which no turn of a gateway waits.
    ///
    /// The same word of the same person again changes nothing. One no ends it, and takes back
    /// what was granted and not used.
    ///
    /// # Errors
    /// `NOT_FOUND` when the principal's tenant has no such approval; `PERMISSION_DENIED` when
    /// the person asked for it, or is not named in its terms; `CONFLICT` when it is decided.
    pub async fn decide(&self, by: &Principal, id: &str, vote: Vote) -> Result<ApprovalState> {
        for _ in 0..RACES {
            let found = self.of(by, id).await?;
            let Some(next) = found.voted(by, &vote)? else { return Ok(found.approval.state) };
            let (guard, ops) = self.step(id, &found, &next)?;
            let txn = Txn::new("approve").guard(guard).ops(ops);
            if let Known::Applied(_) = commit::commit(&*self.store, txn).await? {
                return Ok(next.state);
            }
        }
        Err(raced(id))
    }

    /// The approval, when this person may know of it.
    pub(crate) async fn of(&self, by: &Principal, id: &str) -> Result<Found> {
        let found = if by.tenant == self.tenant { self.find(id).await? } else { None };
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such approval").with("approval", id)
        })
    }

    /// Reads an approval, with its version and the store's time.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Found>> {
        Ok(self.look(id).await?.0)
    }

    /// Is this an approval of this turn that nobody can decide any more?
    pub(crate) async fn is_decided(&self, id: &str, turn: MessageId) -> Result<bool> {
        let decided = |found: &Found| {
            let state = found.approval.state_at(found.now);
            found.approval.turn() == turn && state != ApprovalState::Requested
        };
        Ok(self.find(id).await?.as_ref().is_some_and(decided))
    }

    /// Looks for an approval; the store's time, when there is none, too.
    pub(crate) async fn look(&self, id: &str) -> Result<(Option<Found>, Timestamp)> {
        let read = self.store.get_many(&[self.key(id)]).await?;
        let now = read.as_of;
        let Some(entry) = read.value.into_iter().flatten().next() else { return Ok((None, now)) };
        let approval = Approval::decode(&entry.value)?;
        Ok((Some(Found { approval, version: entry.version, now }), now))
    }

    /// The guard and the operations of a step, its audit entry among them.
    pub(crate) fn step(
        &self,
        id: &str,
        found: &Found,
        next: &Approval,
    ) -> Result<(Guard, [Op; 2])> {
        let key = self.key(id);
        let vote = next.decided_by().filter(|_| next.votes.len() > found.approval.votes.len());
        let by = vote.map_or("gateway", |vote| &*vote.by);
        let memo = vote.map_or("", |vote| &*vote.memo);
        let colon = if memo.is_empty() { "" } else { ": " };
        let entry = AuditEntry::new(found.now, next.action(), next.turn(), by)
            .because(format!("approval {id}{colon}{memo}"));
        let ops = [Op::put(key.clone(), next.encode()?), entry.append(&self.tenant)?];
        Ok((unchanged(key, found.version), ops))
    }
}

impl Found {
    /// The approval with this person's word; `None` when it is said already.
    pub(crate) fn voted(&self, by: &Principal, vote: &Vote) -> Result<Option<Approval>> {
        let name = by.subject.as_str().into();
        self.approval.after(Vote { by: name, at: self.now, ..vote.clone() })
    }
}

/// Several people decide at the same moment.
pub(crate) fn raced(id: &str) -> Error {
    Error::new(ErrorKind::Conflict, "others decide about it at this moment").with("approval", id)
}

/// How long the ids of requests are: a turn, a hyphen, and sixteen digits.
const ID: usize = 26 + 1 + 16;

/// Where the requests of this turn and of all later ones begin.
pub(crate) fn asked_from(tenant: &TenantId, turn: MessageId) -> Key {
    let whole = Key::of(tenant, "ap").text(&format!("{turn}-{:016}", 0)).build();
    Key::from_bytes(whole.as_bytes().strip_suffix(b"0").unwrap_or_default().to_vec())
}

/// The turn that asked for an approval, as its key tells; `None` when no turn did.
pub(crate) fn asked_by(key: &Key, approvals: &Prefix) -> Option<MessageId> {
    let id = key.behind(approvals).and_then(id_in).filter(|id| id.len() == ID)?;
    id.split_once('-')?.0.parse().ok()
}

/// The id in what stands behind the table in a key.
pub(super) fn id_in(rest: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(rest.get(2..)?).ok().map(Arc::from)
}
