//! The live row of a message: one small row that moves from turn to reply to done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ledger::EffectState, row::Row, seen::Seen};
use crate::{
    AgentId, Content, Conversation, Envelope, MessageId, TenantId, Timestamp,
    channel::Part,
    skill::SkillAnswer,
    traits::{
        agent::{Resolution, Waiting},
        store::{Key, Prefix},
    },
};

/// A message that is not finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Live {
    /// An agent has to answer it.
    Turn(TurnRow),
    /// Its reply has to go out.
    Reply(ReplyRow),
}

impl Live {
    /// The conversation it belongs to.
    pub(crate) fn place(&self) -> &Conversation {
        match self {
            Self::Turn(row) => &row.envelope.conversation,
            Self::Reply(row) => &row.to,
        }
    }

    /// Where its dedupe row is.
    pub(crate) fn seen(&self, tenant: &TenantId) -> Option<Seen> {
        match self {
            Self::Turn(row) => Seen::of(tenant, &row.envelope),
            Self::Reply(row) => row.seen.clone(),
        }
    }
}

impl Row for Live {
    const NAME: &'static str = "live messages";
    const FORMAT: u8 = 3;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        (format == 2).then(|| postcard::from_bytes::<old::Live>(fields).map(Self::from))
    }
}

/// A message that an agent has to answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TurnRow {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) agent: AgentId,
    pub(crate) accepted_at: Timestamp,
    /// Attempts that failed.
    pub(crate) failed: u32,
    /// Why the last one failed, for operators.
    pub(crate) error: Option<Arc<str>>,
    /// What a suspended turn waits for.
    pub(crate) waiting: Option<Waiting>,
    /// What it waited for.
    pub(crate) resolution: Option<Resolution>,
}

impl TurnRow {
    /// A message that was just accepted.
    pub(crate) const fn new(
        envelope: Arc<Envelope>,
        agent: AgentId,
        accepted_at: Timestamp,
    ) -> Self {
        Self {
            envelope,
            agent,
            accepted_at,
            failed: 0,
            error: None,
            waiting: None,
            resolution: None,
        }
    }
}

/// A reply on its way out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReplyRow {
    pub(crate) to: Conversation,
    pub(crate) cause: Cause,
    /// Its place among the replies: a turn that was resumed answers behind later messages.
    pub(crate) order: u64,
    pub(crate) parts: Vec<PartRow>,
    /// The platform's id of a streamed hint that the first part replaces.
    pub(crate) replaces: Option<Arc<str>>,
    /// Not before this date.
    pub(crate) due: Option<Timestamp>,
    /// Where the dedupe row of its message is.
    pub(crate) seen: Option<Seen>,
}

/// Why a message is sent: exactly one cause each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// The turn of the message with the same id.
    Turn,
    /// An operator.
    Operator(Arc<str>),
}

/// One platform request of a reply, and what is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartRow {
    pub(crate) part: Part,
    pub(crate) state: EffectState,
}

/// A finished message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DoneRow {
    pub(crate) at: Timestamp,
    /// What was answered; `None` when there was nothing to say.
    pub(crate) reply: Option<Content>,
    /// Where its dedupe row is: both go at once.
    pub(crate) seen: Option<Seen>,
    /// It was a letter that was removed: only its dedupe row and its effects are left.
    pub(crate) purged: bool,
}

impl Row for DoneRow {
    const NAME: &'static str = "done messages";
    const FORMAT: u8 = 2;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        (format == 1).then(|| postcard::from_bytes::<old::Done>(fields).map(Self::from))
    }
}

impl DoneRow {
    /// A message that ended with nothing to say.
    pub(crate) const fn silent(at: Timestamp, seen: Option<Seen>) -> Self {
        Self { at, reply: None, seen, purged: false }
    }

    /// What is left of a letter that was removed.
    pub(crate) const fn purged(at: Timestamp, seen: Option<Seen>) -> Self {
        Self { at, reply: None, seen, purged: true }
    }

    /// The finished form of a reply.
    pub(crate) fn of(reply: &ReplyRow, at: Timestamp) -> Self {
        let mut contents = reply.parts.iter().map(|part| part.part.content.clone());
        let seen = reply.seen.clone();
        let reply = if reply.parts.len() > 1 {
            Some(Content::Parts(contents.collect()))
        } else {
            contents.next()
        };
        Self { at, reply, seen, purged: false }
    }
}

/// Rows as they were before they named their dedupe row.
pub(crate) mod old {
    use super::{
        Arc, Cause, Content, Conversation, Deserialize, DoneRow, PartRow, ReplyRow, Timestamp,
        TurnRow,
    };

    #[derive(Deserialize)]
    pub(crate) enum Live {
        Turn(TurnRow),
        Reply(Reply),
    }

    #[derive(Deserialize)]
    pub(crate) struct Reply {
        to: Conversation,
        cause: Cause,
        order: u64,
        parts: Vec<PartRow>,
        replaces: Option<Arc<str>>,
        due: Option<Timestamp>,
    }

    #[derive(Deserialize)]
    pub(crate) struct Done {
        at: Timestamp,
        reply: Option<Content>,
    }

    impl From<Live> for super::Live {
        fn from(old: Live) -> Self {
            match old {
                Live::Turn(row) => Self::Turn(row),
                Live::Reply(Reply { to, cause, order, parts, replaces, due }) => {
                    Self::Reply(ReplyRow { to, cause, order, parts, replaces, due, seen: None })
                }
            }
        }
    }

    impl From<Done> for DoneRow {
        fn from(Done { at, reply }: Done) -> Self {
            Self { at, reply, seen: None, purged: false }
        }
    }
}

/// The answer that a done effect keeps: the output, or the receipt of a send.
pub(crate) fn sent(receipt: &crate::channel::Receipt) -> SkillAnswer {
    SkillAnswer::done(
        receipt.message.as_deref().map_or(serde_json::Value::Null, serde_json::Value::from),
    )
}

/// The key of a live row.
pub(crate) fn live_key(tenant: &TenantId, id: MessageId) -> Key {
    Key::of(tenant, "lv").id(id).build()
}

/// The key of a finished message.
pub(crate) fn done_key(tenant: &TenantId, id: MessageId) -> Key {
    Key::of(tenant, "dn").id(id).build()
}

/// All finished messages of a tenant, in the order of admission.
pub(crate) fn done_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "dn").prefix()
}

/// All live rows of a tenant, in the order of admission.
pub(crate) fn live_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "lv").prefix()
}

/// The message id at the end of a key.
pub(crate) fn id_behind(key: &Key, prefix: &Prefix) -> Option<MessageId> {
    key.behind(prefix)?.try_into().ok().map(MessageId::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChannelId;

    fn reply() -> ReplyRow {
        let to = Conversation::new(ChannelId::new("desk").unwrap(), "c1");
        let parts = vec![Part::new(Content::text("hello"))];
        let due = Some(Timestamp::from_millis(9));
        ReplyRow { due, ..ReplyRow::new(to, Cause::Turn, 7, parts, Some("p1".into()), None) }
    }

    fn as_format(format: u8, row: &impl Serialize) -> Vec<u8> {
        postcard::to_extend(row, vec![format]).unwrap()
    }

    #[test]
    fn rows_from_before_the_dedupe_row_was_named_are_read() {
        let ReplyRow { to, cause, order, parts, replaces, due, .. } = reply();
        let old = (1_u8, to, cause, order, parts, replaces, due);
        let Live::Reply(read) = Live::decode(&as_format(2, &old)).unwrap() else { panic!() };
        assert_eq!(format!("{read:?}"), format!("{:?}", reply()));
        let at = Timestamp::from_millis(5);
        let old = as_format(1, &(at, Some(Content::text("hello"))));
        let read = DoneRow::decode(&old).unwrap();
        assert_eq!((read.at, read.reply), (at, Some(Content::text("hello"))));
        assert!(read.seen.is_none() && !read.purged);
        let unknown = Live::decode(&as_format(4, &())).unwrap_err();
        assert!(unknown.to_string().contains("format=4"), "{unknown}");
    }
}
