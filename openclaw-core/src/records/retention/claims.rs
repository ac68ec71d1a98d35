//! Effects outside a gateway: each goes with its lease, once it counts no more.

use super::{Piece, Sweep, readable};
use crate::{
    Result,
    records::{
        claims::{LeaseRow, lease_rows, record_of},
        commit::unchanged,
        row::Row as _,
    },
    store::Op,
};

impl Sweep<'_> {
    pub(super) async fn claims(&mut self) -> Result<Piece> {
        let prefix = lease_rows(self.tenant);
        let (rows, end) = self.page(prefix.clone()).await?;
        let mut piece = Piece::default();
        for (key, entry) in rows {
            let lease = readable(LeaseRow::decode(&entry.value), &key);
            let over = lease.is_some_and(|lease| lease.expired(self.now));
            let Some(record) = record_of(self.tenant, &key).filter(|_| over) else { continue };
            // A call that has claimed the key anew since then wins.
            piece.guards.push(unchanged(key.clone(), entry.version));
            piece.ops.extend([Op::delete(record), Op::delete(key)]);
            piece.swept.claims += 1;
        }
        self.turn_page(end);
        Ok(piece)
    }
}
