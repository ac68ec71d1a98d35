//! Takes out of the way what may have gone on since the backup.

use std::{sync::Arc, time::Duration};

use super::Aside;
use crate::{
    ErrorKind, MessageId, Result, TenantId, Timestamp,
    records::{
        approvals::{Approval, ApprovalState},
        audit::{AuditAction, AuditEntry},
        claims::subject,
        commit::{self, unchanged},
        dead_letters::{LetterRow, Shelf, shelve},
        jobs::{self, Job, JobRow},
        ledger::{EffectRecord, EffectState, Event},
        live::Live,
        row::Row,
    },
    store::{
        BackupSummary, Entry, Key, Op, Pages, ScanQuery, SharedStore, StateStore as _, Txn,
        Version, everything,
    },
};

/// Who did it, in the audit trail.
const BY: &str = "restore";

/// What is known of the backup, and now.
struct Since {
    taken: Timestamp,
    now: Timestamp,
    reason: Arc<str>,
}

/// One kind of row that was dealt with.
#[derive(Clone, Copy)]
enum Kind {
    Message,
    Letter,
    Effect,
    Job,
    Approval,
    Relayed,
    /// Belongs to a relayed message that is counted itself.
    Ticket,
}

/// Parks what was under way in every row below this version; rows above it are its own work.
pub(super) async fn put(
    store: &SharedStore,
    summary: &BackupSummary,
    below: Version,
) -> Result<Aside> {
    let mut aside = Aside::default();
    let (mut pages, mut after) = (Pages::usual(), None);
    loop {
        let query = ScanQuery::new(everything()).after(after.take()).limit(pages.limit());
        let found = store.scan(query).await?;
        pages.learn(&found.value);
        let since = Since::new(summary.as_of, found.as_of);
        for (key, entry) in &found.value.rows {
            if entry.version >= below {
                continue;
            }
            match since.step(key, entry) {
                Ok(None) => {}
                Ok(Some((kind, txn))) => {
                    commit::commit(&**store, txn).await?.or_fenced()?;
                    aside.count(kind);
                }
                Err(_damaged) => aside.unreadable += 1,
            }
        }
        after = found.value.rows.into_iter().next_back().map(|(key, _)| key);
        if !found.value.more || after.is_none() {
            return Ok(aside);
        }
    }
}

impl Aside {
    const fn count(&mut self, kind: Kind) {
        *match kind {
            Kind::Message => &mut self.messages,
            Kind::Letter => &mut self.letters,
            Kind::Effect => &mut self.effects,
            Kind::Job => &mut self.jobs,
            Kind::Approval => &mut self.approvals,
            Kind::Relayed => &mut self.relayed,
            Kind::Ticket => return,
        } += 1;
    }
}

type Step = Option<(Kind, Txn)>;

impl Since {
    fn new(taken: Timestamp, now: Timestamp) -> Self {
        let reason = format!("restored from a backup of {taken}: it may have gone on since");
        Self { taken, now, reason: reason.into() }
    }

    /// What is done with a row; an error when it can't be read.
    fn step(&self, key: &Key, entry: &Entry) -> Result<Step> {
        let Some((tenant, table, rest)) = key.parts() else { return Ok(None) };
        let txn = Txn::new("restore").guard(unchanged(key.clone(), entry.version));
        if tenant.is_empty() {
            // The tickets of relayed messages, and answers that nobody waits for any more.
            let relay = table == "ho" || table == "ha";
            return Ok(relay.then(|| (Kind::Ticket, txn.op(Op::delete(key.clone())))));
        }
        let Ok(tenant) = TenantId::new(tenant) else { return Ok(None) };
        let id =
            rest.first_chunk().map_or(MessageId::from_u128(0), |id| MessageId::from_bytes(*id));
        let value = &entry.value;
        Ok(match table {
            "lv" => Some((Kind::Message, self.park(txn, &tenant, id, Live::decode(value)?)?)),
            "pk" | "dl" => Some((Kind::Letter, self.remark(txn, key, LetterRow::decode(value)?)?)),
            "fx" | "ik" => {
                let (id, record) = (named(table, id), EffectRecord::decode(value)?);
                self.doubt(txn, key, &tenant, id, &record)?.map(|txn| (Kind::Effect, txn))
            }
            "jb" => {
                let (row, version) = (JobRow::decode(value)?, entry.version);
                let job = Job { tenant, id, row, version };
                self.end(&job)?.map(|txn| (Kind::Job, txn))
            }
            "ap" => {
                let approval = Approval::decode(value)?;
                self.expire(txn, key, approval)?.map(|txn| (Kind::Approval, txn))
            }
            "fw" => Some((Kind::Relayed, txn.op(Op::delete(key.clone())))),
            // Budgets among them: they fit the effects beside them, what is in doubt stays reserved,
            // and nobody here knows what was spent since the backup.
            _ => None,
        })
    }

    fn park(&self, txn: Txn, tenant: &TenantId, id: MessageId, mut live: Live) -> Result<Txn> {
        let attempts = match &mut live {
            Live::Turn(turn) => turn.failed,
            Live::Reply(reply) => {
                for part in &mut reply.parts {
                    if let Some(state) = self.unknown(&part.state) {
                        part.state = state;
                    }
                }
                0
            }
        };
        let letter = LetterRow {
            row: Some(live),
            refused: None,
            kind: ErrorKind::Conflict,
            reason: Arc::clone(&self.reason),
            attempts,
            at: self.now,
        };
        Ok(txn.ops(shelve(Shelf::Parked, tenant, id, &letter, BY)?))
    }

    fn remark(&self, txn: Txn, key: &Key, mut letter: LetterRow) -> Result<Txn> {
        letter.reason = format!("{}; {}", letter.reason, self.reason).into();
        Ok(txn.op(Op::put(key.clone(), letter.encode()?)))
    }

    fn doubt(
        &self,
        txn: Txn,
        key: &Key,
        tenant: &TenantId,
        id: MessageId,
        record: &EffectRecord,
    ) -> Result<Option<Txn>> {
        let Some(state) = self.unknown(&record.state) else { return Ok(None) };
        let operation = operation(key);
        let entry = AuditEntry::new(
            self.now,
            AuditAction::EffectUnknown,
            id,
            subject(&record.target, &operation),
        );
        let row = EffectRecord { state, ..record.clone() };
        let put = Op::put(key.clone(), row.encode()?);
        Ok(Some(txn.op(put).op(entry.because(Arc::clone(&self.reason)).append(tenant)?)))
    }

    fn end(&self, job: &Job) -> Result<Option<Txn>> {
        if !job.row.is_open() {
            return Ok(None);
        }
        let state = self.unknown(&job.row.call.state);
        let state = state.unwrap_or_else(|| job.row.call.state.clone());
        let record = EffectRecord { state, ..job.row.call.clone() };
        let call = record.after(Event::Park(Arc::clone(&self.reason)))?;
        let row = JobRow { call, owner: None, ..job.row.clone() };
        let entry = AuditEntry::new(self.now, AuditAction::Parked, job.id, &*row.call.target);
        let entry = entry.because(Arc::clone(&self.reason));
        // A parked job is not forgotten: how long a finished one is kept does not matter.
        jobs::step("restore", job, &row, Duration::MAX, Some(entry)).map(Some)
    }

    fn expire(&self, txn: Txn, key: &Key, approval: Approval) -> Result<Option<Txn>> {
        let over = approval.state_at(self.taken);
        if !matches!(over, ApprovalState::Requested | ApprovalState::Granted) {
            return Ok(None);
        }
        let expired = Approval { expires: self.taken, ..approval };
        Ok(Some(txn.op(Op::put(key.clone(), expired.encode()?))))
    }

    /// The state of an effect that may have gone on; `None` when it can't have, or it shows.
    ///
    /// What was surely not sent then may have been sent at any time since.
    fn unknown(&self, state: &EffectState) -> Option<EffectState> {
        let sent = match state {
            EffectState::Claimed { .. } => state.after(Event::Dispatch { at: self.taken }).ok()?,
            EffectState::Dispatching { .. } => state.clone(),
            _ => return None,
        };
        sent.after(Event::Lost).ok()
    }
}

/// An effect outside a gateway belongs to no message.
fn named(table: &str, id: MessageId) -> MessageId {
    if table == "fx" { id } else { MessageId::from_u128(0) }
}

/// The name at the end of the key of an effect, for people.
fn operation(key: &Key) -> Arc<str> {
    let (_, table, rest) = key.parts().unwrap_or_default();
    let from = if table == "fx" { 18 } else { 2 };
    String::from_utf8_lossy(rest.get(from..).unwrap_or_default()).into()
}
