//! Jobs: calls that wait in the store for their turn, and what became of them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    audit::AuditEntry,
    budgets::Share,
    commit::unchanged,
    ledger::{EffectRecord, EffectState},
    row::Row,
};
use crate::{
    Digest, IdempotencyKey, MessageId, Payer, Result, TenantId, Timestamp, TraceParent, Trust,
    store::{Guard, Key, Op, Prefix, Txn, Version},
};

/// A job, with the one state machine there is for effects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobRow {
    pub(crate) queue: Arc<str>,
    #[serde(with = "super::ledger::unversioned")]
    pub(crate) call: EffectRecord,
    pub(crate) key: IdempotencyKey,
    pub(crate) trust: Trust,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) withheld: bool,
    pub(crate) submitted_at: Timestamp,
    /// Nobody wants the answer behind this date.
    pub(crate) until: Option<Timestamp>,
    /// When it is looked at again: its turn, or the end of its owner's lease.
    pub(crate) due: Timestamp,
    /// Its turn, while `due` is the end of a lease.
    pub(crate) place: Timestamp,
    /// Who has it in hand.
    pub(crate) owner: Option<u64>,
    /// Attempts that failed.
    pub(crate) failed: u32,
    /// What it has reserved and spent, by account.
    pub(crate) costs: Vec<Share>,
    /// Whose budgets it counts in, below the tenant.
    pub(crate) payer: Option<Payer>,
    /// The pause behind its last failed attempt, as it was drawn.
    pub(crate) pause: Duration,
}

impl Row for JobRow {
    const NAME: &'static str = "jobs";
    const FORMAT: u8 = 3;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        // The first ended before costs and payer, the second before the pause, whose seconds and
        // nanoseconds are two numbers: zeros are none of each.
        let missing: &[u8] = match format {
            1 => &[0, 0, 0, 0],
            2 => &[0, 0],
            _ => return None,
        };
        Some(postcard::from_bytes(&[fields, missing].concat()))
    }
}

impl JobRow {
    /// Is there something left to do for a queue?
    pub(crate) const fn is_open(&self) -> bool {
        !self.call.state.is_final()
    }

    /// Has it a place in its queue? A parked job keeps its own.
    const fn counts(&self) -> bool {
        !matches!(self.call.state, EffectState::Done { .. } | EffectState::Failed { .. })
    }

    /// The row by which the job is found under the call's own key; none for a key made of its id.
    fn known_by(&self, tenant: &TenantId, id: MessageId) -> Option<Key> {
        let own = self.key.turn() != Some(id);
        own.then(|| known_key(tenant, &self.queue, &self.key))
    }
}

/// A job as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) tenant: TenantId,
    pub(crate) id: MessageId,
    pub(crate) row: JobRow,
    pub(crate) version: Version,
}

/// The commit that takes a job in. Its guards and its bound, in this order: new, a new key where
/// the call brought one, not full.
pub(crate) fn submit(
    tenant: &TenantId,
    id: MessageId,
    row: &JobRow,
    depth: u32,
    entry: &AuditEntry,
) -> Result<Txn> {
    let key = job_key(tenant, id);
    let mut txn = Txn::new("submit")
        .guard(Guard::Absent(key.clone()))
        .op(Op::put(key, row.encode()?))
        .op(Op::put(due_key(&row.queue, row.due, id), tenant_bytes(tenant)))
        .op(Op::Add {
            key: depth_key(&row.queue),
            delta: 1,
            bound: Some(0..=i64::from(depth)),
            ttl: None,
        })
        .op(entry.append(tenant)?);
    if let Some(known) = row.known_by(tenant, id) {
        txn = txn.guard(Guard::Absent(known.clone())).op(Op::put(known, id.to_bytes().to_vec()));
    }
    Ok(txn)
}

/// Where the guard of a call's own key stands in [`submit`].
pub(crate) const KNOWN: usize = 1;

/// Where the bound of the depth stands in this [`submit`]: behind the guards and two puts.
pub(crate) fn full(submit: &Txn) -> usize {
    submit.guards.len() + 2
}

/// The commit that moves a job on; it loses when anybody else moved it since it was read.
///
/// A finished job is kept for `retention`.
pub(crate) fn step(
    label: &'static str,
    from: &Job,
    to: &JobRow,
    retention: Duration,
    entry: Option<AuditEntry>,
) -> Result<Txn> {
    let key = job_key(&from.tenant, from.id);
    let known = from.row.known_by(&from.tenant, from.id).filter(|_| !to.counts());
    let bytes = to.encode()?;
    let put = if to.counts() {
        Op::put(key.clone(), bytes)
    } else {
        Op::put_for(key.clone(), bytes, retention)
    };
    let mut txn = Txn::new(label).guard(unchanged(key, from.version)).op(put);
    if from.row.is_open() {
        txn = txn.op(Op::delete(due_key(&from.row.queue, from.row.due, from.id)));
    }
    if to.is_open() {
        let due = due_key(&to.queue, to.due, from.id);
        txn = txn.op(Op::put(due, tenant_bytes(&from.tenant)));
    }
    if from.row.counts() && !to.counts() {
        let key = depth_key(&to.queue);
        txn = txn.op(Op::Add { key, delta: -1, bound: None, ttl: None });
    }
    if let Some(known) = known {
        // It is forgotten with its result.
        txn = txn.op(Op::put_for(known, from.id.to_bytes().to_vec(), retention));
    }
    if let Some(entry) = entry {
        txn = txn.op(entry.append(&from.tenant)?);
    }
    Ok(txn)
}

/// The commit that removes an index row whose job is not there, or is not due then.
pub(crate) fn forget(key: Key, version: Version) -> Txn {
    Txn::new("forget").guard(unchanged(key.clone(), version)).op(Op::delete(key))
}

pub(crate) fn job_key(tenant: &TenantId, id: MessageId) -> Key {
    Key::of(tenant, "jb").id(id).build()
}

/// All jobs of a tenant, in the order in which they came.
pub(crate) fn jobs_of(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "jb").prefix()
}

/// The jobs of a queue, in the order of their turns.
pub(crate) fn due_rows(queue: &str) -> Prefix {
    Key::system("jq").text(queue).prefix()
}

fn due_key(queue: &str, due: Timestamp, id: MessageId) -> Key {
    Key::system("jq").text(queue).time(due).id(id).build()
}

/// The row that names the job of a call's own key, in one queue of a tenant.
pub(crate) fn known_key(tenant: &TenantId, queue: &str, key: &IdempotencyKey) -> Key {
    let parts = [queue.as_bytes(), key.as_str().as_bytes()];
    Key::of(tenant, "jk").bytes(&Digest::of("openclaw.job", parts).short()).build()
}

fn depth_key(queue: &str) -> Key {
    Key::system("jd").text(queue).build()
}

fn tenant_bytes(tenant: &TenantId) -> Bytes {
    Bytes::copy_from_slice(tenant.as_str().as_bytes())
}

/// Which job an index row names, and when its turn is.
pub(crate) fn named(key: &Key, value: &[u8], prefix: &Prefix) -> Option<Due> {
    let (at, id) = key.behind(prefix)?.split_first_chunk::<8>()?;
    Some(Due {
        at: Timestamp::from_millis(u64::from_be_bytes(*at)),
        id: MessageId::from_bytes(id.try_into().ok()?),
        tenant: TenantId::new(std::str::from_utf8(value).ok()?).ok()?,
    })
}

/// An index row.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) id: MessageId,
    pub(crate) tenant: TenantId,
}
