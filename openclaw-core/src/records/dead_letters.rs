//! Dead letters and parked messages: what a person has to look at.

use std::{num::NonZeroUsize, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    approvals::{Again, Approvals},
    audit::{AuditAction, AuditEntry},
    commit::{self, Known},
    ledger::EffectState,
    live::{DoneRow, Live, done_key, id_behind, live_key, old},
    row::Row,
};
use crate::{
    Content, Conversation, Error, ErrorKind, MessageId, Result, TenantId, Timestamp,
    store::{Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, Txn, Version},
    words::planted::{Bug, planted},
};

/// A message that the gateway stopped working on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LetterRow {
    /// The live row as it was: what a replay puts back. `None` when it was refused on its way in.
    pub(crate) row: Option<Live>,
    /// The message as it came, when it never got a live row.
    pub(crate) refused: Option<Arc<crate::Envelope>>,
    pub(crate) kind: ErrorKind,
    pub(crate) reason: Arc<str>,
    pub(crate) attempts: u32,
    pub(crate) at: Timestamp,
}

impl Row for LetterRow {
    const NAME: &'static str = "dead letters";
    const FORMAT: u8 = 3;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        #[derive(Deserialize)]
        struct Old {
            row: Option<old::Live>,
            refused: Option<Arc<crate::Envelope>>,
            kind: ErrorKind,
            reason: Arc<str>,
            attempts: u32,
            at: Timestamp,
        }
        let read = |fields| {
            let Old { row, refused, kind, reason, attempts, at } = postcard::from_bytes(fields)?;
            Ok(Self { row: row.map(Live::from), refused, kind, reason, attempts, at })
        };
        (format == 2).then(|| read(fields))
    }
}

impl LetterRow {
    /// Is a part of its reply in doubt? The effects of its turn have records of their own.
    pub(crate) fn is_in_doubt(&self) -> bool {
        match &self.row {
            Some(Live::Reply(reply)) => reply.parts.iter().any(|part| part.state.is_in_doubt()),
            Some(Live::Turn(_)) | None => false,
        }
    }

    /// The operations that remove it for good.
    ///
    /// Its id stays known for as long as that of a finished message: what comes again is no news.
    pub(crate) fn purge(
        &self,
        key: Key,
        tenant: &TenantId,
        id: MessageId,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<Op>> {
        let entry = AuditEntry::new(now, AuditAction::Purged, id, by);
        let mut ops = vec![Op::delete(key), entry.append(tenant)?];
        if let Some(row) = &self.row {
            let left = DoneRow::purged(now, row.seen(tenant));
            ops.push(Op::put(done_key(tenant, id), left.encode()?));
        }
        Ok(ops)
    }
}

/// Which of the two shelves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shelf {
    Dead,
    Parked,
}

impl Shelf {
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Dead => "dl",
            Self::Parked => "pk",
        }
    }

    pub(crate) const fn action(self) -> AuditAction {
        match self {
            Self::Dead => AuditAction::DeadLettered,
            Self::Parked => AuditAction::Parked,
        }
    }

    pub(crate) fn key(self, tenant: &TenantId, id: MessageId) -> Key {
        Key::of(tenant, self.table()).id(id).build()
    }
}

/// A dead letter, as it is shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message's id.
    pub id: MessageId,
    /// Where it belongs, or where it should have gone.
    pub conversation: Conversation,
    /// True when the reply could not be delivered; false when no agent could answer.
    pub is_reply: bool,
    /// What the message, or the undelivered reply, says.
    pub content: Content,
    /// What went wrong, as a code.
    pub kind: ErrorKind,
    /// What went wrong, in words.
    pub reason: Arc<str>,
    /// How often it was tried.
    pub attempts: u32,
    /// When the gateway gave up.
    pub at: Timestamp,
}

/// A parked message: same shape, other shelf.
pub type ParkedLetter = DeadLetter;

/// The dead and the parked letters of a tenant.
///
/// Reading works on any store, also beside a stopped gateway. To replay on a running one use
/// `Gateway::replay`, which puts the message back into its lane at once.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    store: SharedStore,
    tenant: TenantId,
}

impl DeadLetters {
    /// The letters of this tenant in this store.
    #[must_use]
    pub fn new(store: SharedStore, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// The dead letters behind this id, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn list(
        &self,
        after: Option<MessageId>,
        limit: NonZeroUsize,
    ) -> Result<Vec<DeadLetter>> {
        self.shelf(Shelf::Dead, after, limit).await
    }

    /// The parked messages behind this id, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The store does not answer, or a row can't be read.
    pub async fn parked(
        &self,
        after: Option<MessageId>,
        limit: NonZeroUsize,
    ) -> Result<Vec<ParkedLetter>> {
        self.shelf(Shelf::Parked, after, limit).await
    }

    /// One letter, dead or parked.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read.
    pub async fn show(&self, id: MessageId) -> Result<Option<DeadLetter>> {
        Ok(self.find(id).await?.map(|found| shown(id, &found.letter)))
    }

    /// Removes a letter for good. `None` when there is none.
    pub(crate) async fn purge(
        &self,
        id: MessageId,
        by: &str,
        now: Timestamp,
        fence: Guard,
    ) -> Result<Option<Known>> {
        let Some(found) = self.find(id).await? else { return Ok(None) };
        let txn = Txn::new("purge")
            .guard(fence)
            .guard(commit::unchanged(found.key.clone(), found.version))
            .ops(found.letter.purge(found.key, &self.tenant, id, by, now)?);
        commit::commit(&*self.store, txn).await.map(Some)
    }

    /// The conversation of a letter.
    pub(crate) async fn place(&self, id: MessageId) -> Result<Option<Conversation>> {
        let Some(found) = self.find(id).await? else { return Ok(None) };
        let LetterRow { row, refused, .. } = found.letter;
        let refused = refused.map(|envelope| envelope.conversation.clone());
        Ok(row.map(|row| row.place().clone()).or(refused))
    }

    /// Puts a letter back among the live messages, its attempts forgotten.
    ///
    /// What its effects did is not forgotten: the ledger answers for them. A part of a reply
    /// whose outcome nobody knows is sent again, because an operator says so. So are people asked
    /// again who did not answer in time.
    pub(crate) async fn replay(
        &self,
        id: MessageId,
        by: &str,
        now: Timestamp,
        order: u64,
        fence: impl FnOnce(&Conversation) -> Guard,
    ) -> Result<(Live, Version)> {
        let missing =
            || Error::new(ErrorKind::NotFound, "there is no such letter").with("message", id);
        let found = self.find(id).await?.ok_or_else(missing)?;
        let Some(mut row) = found.letter.row else {
            let why = "the message was refused on its way in: it has no turn to replay";
            return Err(Error::new(ErrorKind::Unsupported, why).with("message", id));
        };
        let mut again = Again::default();
        match &mut row {
            Live::Turn(turn) => {
                again =
                    Approvals::new(Arc::clone(&self.store), self.tenant.clone()).again(id).await?;
                // What it waited for may be over: run again, it says anew what it waits for.
                (turn.failed, turn.waiting) = (0, None);
                if turn.resolution.as_ref().is_some_and(|told| again.concerns(told)) {
                    turn.resolution = None;
                }
            }
            Live::Reply(reply) => {
                // It goes out behind what waits now.
                reply.order = order;
                let open = reply
                    .parts
                    .iter_mut()
                    .filter(|part| !matches!(part.state, EffectState::Done { .. }));
                open.for_each(|part| part.state = EffectState::NEW);
            }
        }
        let entry = AuditEntry::new(now, AuditAction::Replayed, id, by).because(again.note());
        let txn = Txn::new("replay")
            .guard(fence(row.place()))
            .guard(commit::unchanged(found.key.clone(), found.version))
            .op(Op::put(live_key(&self.tenant, id), row.encode()?))
            .op(Op::delete(found.key))
            .op(entry.append(&self.tenant)?)
            .ops(again.ops);
        let applied = commit::commit(&*self.store, txn).await?.or_fenced()?;
        Ok((row, applied.version))
    }

    async fn find(&self, id: MessageId) -> Result<Option<Found>> {
        for shelf in [Shelf::Dead, Shelf::Parked] {
            let key = shelf.key(&self.tenant, id);
            if let Some((letter, version)) = commit::read::<LetterRow>(&*self.store, &key).await? {
                return Ok(Some(Found { letter, version, key }));
            }
        }
        Ok(None)
    }

    async fn shelf(
        &self,
        shelf: Shelf,
        after: Option<MessageId>,
        limit: NonZeroUsize,
    ) -> Result<Vec<DeadLetter>> {
        let prefix: Prefix = Key::of(&self.tenant, shelf.table()).prefix();
        let after = after.map(|id| shelf.key(&self.tenant, id));
        let page =
            self.store.scan(ScanQuery::new(prefix.clone()).after(after).limit(limit)).await?.value;
        page.rows
            .iter()
            .map(|(key, entry)| {
                let id = id_behind(key, &prefix).unwrap_or(MessageId::from_u128(0));
                Ok(shown(id, &LetterRow::decode(&entry.value)?))
            })
            .collect()
    }
}

struct Found {
    letter: LetterRow,
    version: Version,
    key: Key,
}

fn shown(id: MessageId, letter: &LetterRow) -> DeadLetter {
    let (conversation, content, is_reply) = match (&letter.row, &letter.refused) {
        (Some(Live::Turn(turn)), _) => {
            (turn.envelope.conversation.clone(), turn.envelope.content.clone(), false)
        }
        (Some(Live::Reply(reply)), _) => {
            let parts = reply.parts.iter().map(|part| part.part.content.clone()).collect();
            (reply.to.clone(), Content::Parts(parts), true)
        }
        (None, Some(envelope)) => (envelope.conversation.clone(), envelope.content.clone(), false),
        (None, None) => (nowhere(), Content::text(""), false),
    };
    let LetterRow { kind, reason, attempts, at, .. } = letter;
    DeadLetter {
        id,
        conversation,
        is_reply,
        content,
        kind: *kind,
        reason: Arc::clone(reason),
        attempts: *attempts,
        at: *at,
    }
}

/// The conversation of a letter without row and envelope: no program ever wrote one.
fn nowhere() -> Conversation {
    let channel =
        crate::ChannelId::new("unknown").unwrap_or_else(|_| unreachable!("a literal id is valid"));
    Conversation::new(channel, "")
}

/// The operations that move a live message to a shelf.
pub(crate) fn shelve(
    shelf: Shelf,
    tenant: &TenantId,
    id: MessageId,
    letter: &LetterRow,
    subject: &str,
) -> Result<Vec<Op>> {
    let entry =
        AuditEntry::new(letter.at, shelf.action(), id, subject).because(Arc::clone(&letter.reason));
    if planted(Bug::LetterLost) {
        return Ok(vec![Op::delete(live_key(tenant, id))]);
    }
    Ok(vec![
        Op::put(shelf.key(tenant, id), letter.encode()?),
        Op::delete(live_key(tenant, id)),
        entry.append(tenant)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelId, records::live::Cause};

    #[test]
    fn a_letter_from_before_the_dedupe_row_was_named_is_read() {
        let to = Conversation::new(ChannelId::new("desk").unwrap(), "c1");
        let at = Timestamp::from_millis(5);
        let due = None::<Timestamp>;
        // A reply without parts: the second variant of a live row.
        let reply = (1_u8, &to, Cause::Turn, 7_u64, [0_u8], None::<Arc<str>>, due);
        let letter =
            (Some(reply), None::<Arc<crate::Envelope>>, ErrorKind::Timeout, "late", 5_u32, at);
        let bytes = postcard::to_extend(&letter, vec![2]).unwrap();
        let read = LetterRow::decode(&bytes).unwrap();
        let Some(Live::Reply(row)) = read.row else { panic!("{read:?}") };
        assert_eq!((row.to, row.order, row.seen), (to, 7, None));
        assert_eq!(
            (read.kind, &*read.reason, read.attempts, read.at),
            (ErrorKind::Timeout, "late", 5, at)
        );
    }
}
