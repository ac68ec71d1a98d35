//! Effects outside a gateway: each goes with its lease, once it counts no more.

use super::{Piece, Sweep, readable};
use crate::{
    Result,
    records::{
        budgets::booked,
        claims::{LeaseRow, lease_rows, record_of},
        commit::unchanged,
        ledger::EffectRecord,
        row::Row as _,
    },
    store::{Guard, Key, Op, StateStoreExt as _},
};

impl Sweep<'_> {
    pub(super) async fn claims(&mut self) -> Result<Piece> {
        let prefix = lease_rows(self.tenant);
        let (rows, end) = self.page(prefix.clone()).await?;
        let mut piece = Piece::default();
        for (key, entry) in rows {
            let Some(lease) = readable(LeaseRow::decode(&entry.value), &key) else { continue };
            let Some(record) = record_of(self.tenant, &key) else { continue };
            let holder = unchanged(key.clone(), entry.version);
            if lease.expires.is_none() && lease.until <= self.now {
                self.give_back(record, holder, &mut piece).await?;
                continue;
            }
            if !lease.expired(self.now) || !piece.has_room(2) {
                continue;
            }
            // A call that has claimed the key anew since then wins.
            piece.guards.push(holder);
            piece.ops.extend([Op::delete(record), Op::delete(key)]);
            piece.swept.claims += 1;
        }
        self.turn_page(end);
        Ok(piece)
    }

    /// Gives back what a call has reserved that was dropped before it was sent: nobody runs it.
    async fn give_back(&self, key: Key, holder: Guard, piece: &mut Piece) -> Result<()> {
        let Some(entry) = self.store.get(&key).await? else { return Ok(()) };
        let Some(mut record) = readable(EffectRecord::decode(&entry.value), &key) else {
            return Ok(());
        };
        let unsent = booked(&record.costs, self.tenant, &record.state, true, None);
        let Some((costs, ops)) = unsent.filter(|(_, ops)| piece.has_room(ops.len() + 1)) else {
            return Ok(());
        };
        record.costs = costs;
        piece.guards.extend([holder, unchanged(key.clone(), entry.version)]);
        piece.ops.push(Op::put(key, record.encode()?));
        piece.ops.extend(ops);
        Ok(())
    }
}
