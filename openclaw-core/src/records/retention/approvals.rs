//! Approvals that no turn asked for: with no message to go with, they go behind their own time.

use std::time::Duration;

use super::{Piece, Sweep, readable};
use crate::{
    Result,
    records::{
        approvals::{Approval, asked_by},
        audit::NO_MESSAGE,
        commit::unchanged,
        row::Row as _,
    },
    store::{Key, Op},
};

impl Sweep<'_> {
    pub(super) async fn unasked(&mut self, keep: Duration) -> Result<Piece> {
        let prefix = Key::of(self.tenant, "ap").prefix();
        let mut piece = Piece::default();
        let (rows, end) = self.page(prefix.clone()).await?;
        for (key, entry) in rows {
            if asked_by(&key, &prefix).is_some_and(|turn| turn != NO_MESSAGE) {
                continue;
            }
            let approval = readable(Approval::decode(&entry.value), &key);
            if approval.is_some_and(|approval| self.is_over(approval.expires, keep)) {
                // A claim that consumes it meanwhile wins.
                piece.guards.push(unchanged(key.clone(), entry.version));
                piece.ops.push(Op::delete(key));
                piece.swept.approvals += 1;
            }
        }
        self.turn_page(end);
        Ok(piece)
    }
}
