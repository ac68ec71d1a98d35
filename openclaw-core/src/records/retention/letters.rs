//! Letters: each that is too old is purged, as an operator would.

use std::time::Duration;

use super::{Piece, Sweep, readable};
use crate::{
    Result,
    records::{
        commit::unchanged,
        dead_letters::{LetterRow, Shelf},
        live::id_behind,
        row::Row as _,
    },
    store::Key,
    words::env::date_of,
};

/// Who purges, in the audit trail.
const BY: &str = "retention";

impl Sweep<'_> {
    pub(super) async fn letters(&mut self, shelf: Shelf, keep: Duration) -> Result<Piece> {
        let prefix = Key::of(self.tenant, shelf.table()).prefix();
        let (rows, mut end) = self.page(prefix.clone()).await?;
        let mut piece = Piece::default();
        for (key, entry) in rows {
            let Some(id) = id_behind(&key, &prefix) else { continue };
            if !self.is_over(date_of(id), keep) {
                end = None;
                break;
            }
            let Some(letter) = readable(LetterRow::decode(&entry.value), &key) else { continue };
            let in_doubt = letter.is_in_doubt() || self.is_in_doubt(id).await?;
            if !self.is_over(letter.at, keep) || in_doubt {
                continue;
            }
            let ops = letter.purge(key.clone(), self.tenant, id, BY, self.now)?;
            if !piece.has_room(ops.len()) {
                // The next step begins with this letter.
                return Ok(piece);
            }
            // One that was sent on its way again since then wins.
            piece.guards.push(unchanged(key.clone(), entry.version));
            piece.ops.extend(ops);
            piece.swept.letters += 1;
            self.after = Some(key);
        }
        self.turn_page(end);
        Ok(piece)
    }
}
