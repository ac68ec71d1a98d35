//! The outbox: what became of each part of a reply, and the commits that say so.

use std::sync::Arc;

use super::{
    ledger::EffectState,
    live::{Cause, DoneRow, Live, PartRow, ReplyRow, done_key, live_key},
    row::Row,
    seen::Seen,
};
use crate::{
    Conversation, MessageId, Result, TenantId, Timestamp,
    channel::Part,
    store::Op,
    words::planted::{Bug, planted},
};

impl ReplyRow {
    /// A reply whose parts are all still to be sent.
    pub(crate) fn new(
        to: Conversation,
        cause: Cause,
        order: u64,
        parts: Vec<Part>,
        replaces: Option<Arc<str>>,
        seen: Option<Seen>,
    ) -> Self {
        let parts =
            parts.into_iter().map(|part| PartRow { part, state: EffectState::NEW }).collect();
        Self { to, cause, order, parts, replaces, due: None, seen }
    }

    /// The first part that is not done, and its place.
    pub(crate) fn next(&self) -> Option<(usize, &PartRow)> {
        let mut open = self
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !matches!(part.state, EffectState::Done { .. }));
        if planted(Bug::PartsReversed) { open.next_back() } else { open.next() }
    }

    /// The operations that store the reply: as a live row, or finished when every part is done.
    pub(crate) fn store(
        &self,
        tenant: &TenantId,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Vec<Op>> {
        if self.next().is_none() {
            return finish(tenant, id, &DoneRow::of(self, now));
        }
        Ok(vec![Op::put(live_key(tenant, id), Live::Reply(self.clone()).encode()?)])
    }
}

/// The operations that end a message: the finished row, and no live row.
pub(crate) fn finish(tenant: &TenantId, id: MessageId, done: &DoneRow) -> Result<Vec<Op>> {
    Ok(vec![Op::put(done_key(tenant, id), done.encode()?), Op::delete(live_key(tenant, id))])
}
