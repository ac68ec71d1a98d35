//! Finished messages, in the order of their ids: each goes with its dedupe row, its effects, and the
//! approvals that it asked for.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use super::{Piece, Sweep, readable};
use crate::{
    MessageId, Result,
    records::{
        approvals::{asked_by, asked_from},
        budgets::forgotten,
        commit::unchanged,
        ledger::{EffectRecord, effect_rows, effects_of, turn_of},
        live::{DoneRow, done_rows, id_behind, live_key},
        row::Row as _,
        seen::message_of,
    },
    store::{Entry, Guard, Key, Op, ScanQuery, StateStore as _, StateStoreExt as _, Version},
    words::{
        env::date_of,
        planted::{Bug, planted},
    },
};

/// Effects that are read at once: their requests and answers may be large.
const EFFECTS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A finished message that is old enough.
struct Old {
    key: Key,
    id: MessageId,
    version: Version,
    done: DoneRow,
    /// Its dedupe row.
    seen: Option<(Key, Version)>,
}

/// A row on its way out: an effect, or an approval that was asked for it.
#[derive(Debug)]
struct Gone {
    key: Key,
    version: Version,
    /// Is it an effect?
    effect: bool,
    /// What becomes of what it has reserved.
    booked: Vec<Op>,
}

impl Gone {
    fn ops(&self) -> usize {
        1 + self.booked.len()
    }
}

/// The effects of a message, and the approvals that were asked for them.
#[derive(Debug, Default)]
struct Effects {
    rows: Vec<Gone>,
    /// Nobody knows whether one of them happened, or what its row says.
    in_doubt: bool,
}

impl Effects {
    /// The operations by which they go.
    fn ops(&self) -> usize {
        self.rows.iter().map(Gone::ops).sum()
    }
}

impl Sweep<'_> {
    pub(super) async fn messages(&mut self, keep: Duration) -> Result<Piece> {
        let mut piece = Piece::default();
        let (mut old, end) = self.old_messages(keep).await?;
        let mut effects = self.effects(&old).await?;
        self.approvals(&old, &mut effects).await?;
        self.look_up(&mut old).await?;
        for message in old {
            let effects = effects.remove(&message.id).unwrap_or_default();
            // A letter that was purged was given up by somebody, and its effects with it.
            if effects.in_doubt && !message.done.purged {
                continue;
            }
            if !piece.has_room(effects.ops() + 2) {
                if piece.ops.is_empty() && self.begin(&message, &effects) {
                    self.remove(message, effects.rows, false, &mut piece);
                }
                // The next step begins with this message.
                return Ok(piece);
            }
            self.after = Some(message.key.clone());
            self.remove(message, effects.rows, true, &mut piece);
        }
        self.turn_page(end);
        Ok(piece)
    }

    /// The messages of the next page that are old enough, and the page's last row, if more follow.
    async fn old_messages(&self, keep: Duration) -> Result<(Vec<Old>, Option<Key>)> {
        let prefix = done_rows(self.tenant);
        let (rows, end) = self.page(prefix.clone()).await?;
        let mut old = Vec::new();
        for (key, entry) in rows {
            let Some(id) = id_behind(&key, &prefix) else { continue };
            let early = planted(Bug::SweptEarly);
            if !self.is_over(date_of(id), keep) && !early {
                // All behind it were admitted later still.
                return Ok((old, None));
            }
            let Some(done) = readable(DoneRow::decode(&entry.value), &key) else { continue };
            if self.is_over(done.at, keep) || early {
                old.push(Old { key, id, version: entry.version, done, seen: None });
            }
        }
        Ok((old, end))
    }

    /// Finds the dedupe rows.
    async fn look_up(&self, old: &mut [Old]) -> Result<()> {
        let seen = |old: &Old| old.done.seen.as_ref().map(|seen| seen.key(self.tenant));
        let keys: Vec<Key> = old.iter().filter_map(seen).collect();
        let found = self.store.get_many(&keys).await?.value;
        let mut found = keys.into_iter().zip(found);
        for old in old.iter_mut().filter(|old| old.done.seen.is_some()) {
            let Some((key, Some(entry))) = found.next() else { continue };
            // An id that became another message since then is that one's.
            if readable(message_of(&entry), &key) == Some(old.id) {
                old.seen = Some((key, entry.version));
            }
        }
        Ok(())
    }

    /// The effects of these messages, in one pass: both tables are in the order of the ids.
    async fn effects(&self, of: &[Old]) -> Result<BTreeMap<MessageId, Effects>> {
        let mut found: BTreeMap<MessageId, Effects> = BTreeMap::new();
        let (Some(first), Some(last)) = (of.first(), of.last()) else { return Ok(found) };
        let prefix = effect_rows(self.tenant);
        let mut after =
            Some(Key::from_bytes(effects_of(self.tenant, first.id).as_bytes().to_vec()));
        while let Some(from) = after.take() {
            let query = ScanQuery::new(prefix.clone()).after(Some(from)).limit(EFFECTS);
            let page = self.store.scan(query).await?.value;
            after = page.rows.last().filter(|_| page.more).map(|(key, _)| key.clone());
            for (key, entry) in page.rows {
                let Some(turn) = turn_of(&key, &prefix) else { continue };
                if turn > last.id {
                    return Ok(found);
                }
                let record = readable(EffectRecord::decode(&entry.value), &key);
                let effects = found.entry(turn).or_default();
                let booked = record.as_ref().map(|record| forgotten(record, self.tenant));
                effects.in_doubt |= record.is_none_or(|record| record.state.is_in_doubt());
                let (version, booked) = (entry.version, booked.unwrap_or_default());
                effects.rows.push(Gone { key, version, effect: true, booked });
            }
        }
        Ok(found)
    }

    /// Adds the approvals that these messages asked for, in one pass: they are in the same order.
    async fn approvals(&self, of: &[Old], found: &mut BTreeMap<MessageId, Effects>) -> Result<()> {
        let (Some(first), Some(last)) = (of.first(), of.last()) else { return Ok(()) };
        let prefix = Key::of(self.tenant, "ap").prefix();
        let mut after = Some(asked_from(self.tenant, first.id));
        while let Some(from) = after.take() {
            let query = ScanQuery::new(prefix.clone()).after(Some(from)).limit(EFFECTS);
            let page = self.store.scan(query).await?.value;
            after = page.rows.last().filter(|_| page.more).map(|(key, _)| key.clone());
            for (key, entry) in page.rows {
                // What was granted unasked stands behind all that was asked for, or before.
                let Some(turn) = asked_by(&key, &prefix) else { continue };
                if turn > last.id {
                    return Ok(());
                }
                let gone = Gone { key, version: entry.version, effect: false, booked: Vec::new() };
                found.entry(turn).or_default().rows.push(gone);
            }
        }
        Ok(())
    }

    /// Begins with the effects of a message that has too many for one commit; false when the last
    /// piece of it was not taken, and it is left for the next time.
    fn begin(&mut self, message: &Old, effects: &Effects) -> bool {
        let first = effects.rows.first().map(|effect| effect.key.clone());
        if first == self.begun {
            self.after = Some(message.key.clone());
            return false;
        }
        self.begun = first;
        true
    }

    /// Adds the rows of a message to a piece: its effects, as many as fit, and the message itself
    /// when it is whole.
    fn remove(&self, message: Old, effects: Vec<Gone>, whole: bool, piece: &mut Piece) {
        piece.guards.push(unchanged(message.key.clone(), message.version));
        piece.guards.push(Guard::Absent(live_key(self.tenant, message.id)));
        for gone in effects {
            if !piece.has_room(gone.ops()) {
                break;
            }
            if !gone.booked.is_empty() {
                // What it has reserved is booked once.
                piece.guards.push(unchanged(gone.key.clone(), gone.version));
            }
            piece.ops.push(Op::delete(gone.key));
            piece.ops.extend(gone.booked);
            piece.swept.effects += u64::from(gone.effect);
        }
        if !whole {
            return;
        }
        if let Some((key, version)) = message.seen {
            piece.guards.push(unchanged(key.clone(), version));
            piece.ops.push(Op::delete(key));
        }
        piece.ops.push(Op::delete(message.key));
        piece.swept.messages += 1;
    }

    /// Has this message an effect whose outcome nobody knows?
    pub(super) async fn is_in_doubt(&self, id: MessageId) -> Result<bool> {
        let rows = self.store.scan_all(effects_of(self.tenant, id)).await?;
        let in_doubt = |(key, entry): &(Key, Entry)| {
            let record = readable(EffectRecord::decode(&entry.value), key);
            record.is_none_or(|record| record.state.is_in_doubt())
        };
        Ok(rows.iter().any(in_doubt))
    }
}
