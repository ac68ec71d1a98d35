//! What has expired may be asked for again, when an operator replays the turn.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Approval, ApprovalState, Approvals,
    kept::{asked_by, asked_from, id_in},
};
use crate::{
    MessageId, Result,
    agent::Resolution,
    records::{
        audit::{AuditAction, AuditEntry},
        row::Row as _,
    },
    store::{Key, Op, ScanQuery, StateStore as _},
};

/// Requests that one replay takes away at most: its commit has room for them.
const MOST: usize = 16;

/// The requests of a turn that have expired, and the operations that take them away.
#[derive(Debug, Default)]
pub(crate) struct Again {
    ids: BTreeSet<Arc<str>>,
    pub(crate) ops: Vec<Op>,
}

impl Again {
    /// For the audit trail; empty when there is nothing.
    pub(crate) fn note(&self) -> Arc<str> {
        if self.ids.is_empty() {
            return Arc::default();
        }
        let ids: Vec<&str> = self.ids.iter().map(|id| &**id).collect();
        format!("may be asked for again: approval {}", ids.join(", ")).into()
    }

    /// Was the turn told of one of these?
    pub(crate) fn concerns(&self, told: &Resolution) -> bool {
        let id = told.value.get("approval").and_then(serde_json::Value::as_str);
        id.is_some_and(|id| self.ids.contains(id))
    }
}

impl Approvals {
    /// What a replay of this turn takes away, so that its agent asks people anew.
    ///
    /// That nobody answered in time, or nobody used the yes. A no stays, and so does what was
    /// used. The row goes, and its votes with it: the audit trail has them.
    pub(crate) async fn again(&self, turn: MessageId) -> Result<Again> {
        let prefix = Key::of(&self.tenant, "ap").prefix();
        let from = asked_from(&self.tenant, turn);
        let (mut after, mut again) = (Some(from), Again::default());
        while let Some(from) = after.take() {
            let query = ScanQuery::new(prefix.clone()).after(Some(from)).limit(super::kept::PAGE);
            let read = self.store.scan(query).await?;
            after = read.value.rows.last().filter(|_| read.value.more).map(|(key, _)| key.clone());
            for (key, entry) in read.value.rows {
                if asked_by(&key, &prefix) != Some(turn) || again.ids.len() == MOST {
                    return Ok(again);
                }
                let approval = Approval::decode(&entry.value)?;
                if approval.state_at(read.as_of) != ApprovalState::Expired {
                    continue;
                }
                let Some(id) = key.behind(&prefix).and_then(id_in) else { continue };
                if approval.state != ApprovalState::Expired {
                    let over = AuditAction::ApprovalExpired;
                    let entry = AuditEntry::new(read.as_of, over, turn, "gateway");
                    let entry = entry.because(format!("approval {id}"));
                    again.ops.push(entry.append(&self.tenant)?);
                }
                again.ops.push(Op::delete(key));
                again.ids.insert(id);
            }
        }
        Ok(again)
    }
}
