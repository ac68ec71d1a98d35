//! Windows of budgets that are over, in the order of their ends.

use std::time::Duration;

use super::{OPS, Piece, Sweep, readable};
use crate::{
    Result, Timestamp,
    records::{
        budgets::{Account, Sum, sum_of, sum_rows},
        dead_letters::Shelf,
        live::live_key,
    },
    store::{Entry, Guard, Key, Op, StateStore as _},
};

/// Operations by which a window goes: two sums and a note.
const ROWS: usize = 3;

impl Sweep<'_> {
    pub(super) async fn budgets(&mut self, keep: Duration) -> Result<Piece> {
        let prefix = sum_rows(self.tenant);
        let (rows, mut end) = self.page(prefix.clone()).await?;
        let mut windows: Vec<(Account, Timestamp)> = Vec::new();
        for (key, _) in rows {
            let Some((account, until)) = Account::in_key(&key, &prefix) else { continue };
            if !self.is_over(account.filed(until), keep) {
                // All behind it end later still.
                end = None;
                break;
            }
            if windows.last() != Some(&(account.clone(), until)) {
                windows.push((account, until));
            }
        }
        let mut piece = Piece::default();
        for (account, until) in windows {
            if !piece.has_room(ROWS) {
                break;
            }
            self.remove_window(&account, until, &mut piece).await?;
            self.after = Some(account.sum(self.tenant, until, Sum::Spent));
        }
        if piece.ops.len() + ROWS <= OPS {
            self.turn_page(end);
        }
        Ok(piece)
    }

    /// Adds a window to a piece, unless something is reserved in it, or its run is not over.
    async fn remove_window(
        &self,
        account: &Account,
        until: Timestamp,
        piece: &mut Piece,
    ) -> Result<()> {
        let [held, spent] = [Sum::Held, Sum::Spent].map(|sum| account.sum(self.tenant, until, sum));
        let mut keys = vec![held.clone(), spent.clone()];
        if let Some(run) = account.run() {
            keys.push(live_key(self.tenant, run));
            keys.extend([Shelf::Dead, Shelf::Parked].map(|shelf| shelf.key(self.tenant, run)));
        }
        let mut rows = self.store.get_many(&keys).await?.value;
        let places = rows.split_off(2);
        if places.iter().any(Option::is_some) {
            // The run goes on, or may be replayed.
            return Ok(());
        }
        let sum = |row: Option<&Option<Entry>>, key: &Key| {
            readable(sum_of(row.and_then(Option::as_ref)), key)
        };
        let sums = (sum(rows.first(), &held), sum(rows.get(1), &spent));
        let (Some(in_all), Some(gone)) = sums else { return Ok(()) };
        if in_all != gone {
            return Ok(());
        }
        piece.guards.extend(account.run().map(|run| Guard::Absent(live_key(self.tenant, run))));
        // An effect that has settled since then wins.
        for (key, row) in [held, spent].into_iter().zip(rows) {
            piece.guards.push(match row {
                Some(row) => Guard::VersionIs(key.clone(), row.version),
                None => Guard::Absent(key.clone()),
            });
            piece.ops.push(Op::delete(key));
        }
        piece.ops.push(Op::delete(account.note(self.tenant, until)));
        piece.swept.budgets += 1;
        Ok(())
    }
}
