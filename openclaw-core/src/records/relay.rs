//! Messages that one replica got and another one has to admit.
//!
//! A ticket (a system row, ids only) and the message (a row of its tenant) are one commit. The
//! owner of the partition admits it as its own; its answer takes ticket and message away.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    commit::{self, Known},
    row::Row,
};
use crate::{
    ChannelId, Envelope, Error, ErrorKind, Happened, MessageId, Result, TenantId,
    channel::{Ack, Admitted, Nonce},
    traits::store::{
        Guard, Key, Op, Prefix, ScanQuery, SharedStore, StateStore as _, StateStoreExt as _, Txn,
    },
};

/// How long an answer waits for its replica.
pub(crate) const KEEP: Duration = Duration::from_secs(300);

/// Answers that are read at a time: as many as one commit can forget.
const PAGE: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// The message, as it was delivered.
#[derive(Debug, Serialize, Deserialize)]
struct RelayedRow {
    envelope: Envelope,
    nonce: Option<(Arc<str>, Arc<str>, Duration)>,
}

impl Row for RelayedRow {
    const NAME: &'static str = "relayed messages";
    const FORMAT: u8 = 1;
}

/// Where a relayed message is, and who waits for the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TicketRow {
    pub(crate) tenant: TenantId,
    pub(crate) channel: ChannelId,
    /// The replica that got it, and its number there.
    pub(crate) from: u64,
    pub(crate) number: u64,
}

impl Row for TicketRow {
    const NAME: &'static str = "relay tickets";
    const FORMAT: u8 = 1;
}

/// What the owner made of it.
#[derive(Debug, Serialize, Deserialize)]
enum AnswerRow {
    Accept { message: MessageId, duplicate: bool },
    DeadLetter { reason: Told },
}

impl Row for AnswerRow {
    const NAME: &'static str = "relay answers";
    const FORMAT: u8 = 1;
}

/// What is told of an error.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    kind: ErrorKind,
    happened: Happened,
    message: String,
    public: String,
}

impl Told {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            happened: error.happened(),
            message: error.message().to_owned(),
            public: error.public().to_owned(),
        }
    }

    fn error(self) -> Error {
        Error::new(self.kind, self.message).with_happened(self.happened).with_public(self.public)
    }
}

/// A message that waits for its owner.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    pub(crate) partition: u16,
    pub(crate) row: TicketRow,
}

fn tickets() -> Prefix {
    Key::system("ho").prefix()
}

fn tickets_of(partition: u16) -> Prefix {
    Key::system("ho").number(partition.into()).prefix()
}

fn message_key(row: &TicketRow) -> Key {
    Key::of(&row.tenant, "fw").number(row.from).number(row.number).build()
}

fn answers_to(from: u64) -> Prefix {
    Key::system("ha").number(from).prefix()
}

/// Leaves a message for the owner of its partition; gives its ticket.
pub(crate) async fn leave(
    store: &SharedStore,
    partition: u16,
    row: TicketRow,
    envelope: Envelope,
    nonce: Option<&Nonce>,
) -> Result<Ticket> {
    let nonce = nonce.map(|n| (Arc::clone(&n.scope), Arc::clone(&n.token), n.keep));
    let message = message_key(&row);
    let txn = Txn::new("relay")
        .guard(Guard::Absent(message.clone()))
        .op(Op::put(message, RelayedRow { envelope, nonce }.encode()?))
        .op(Op::append(tickets_of(partition), row.encode()?));
    match commit::commit(&**store, txn).await? {
        Known::Applied(applied) => {
            let key = tickets_of(partition).appended(applied.version, 0);
            Ok(Ticket { key, partition, row })
        }
        Known::Lost { .. } => Err(Error::new(ErrorKind::Conflict, "a number was used twice")),
    }
}

/// Tickets of all partitions, oldest first inside each.
///
/// All of them: those that nobody takes must not hide others. A replica leaves a bounded number.
/// Behind one that can't be read, a newer program's, its partition waits for the order's sake.
pub(crate) async fn waiting(store: &SharedStore) -> Result<Vec<Ticket>> {
    let prefix = tickets();
    let (mut found, mut held) = (Vec::new(), BTreeSet::new());
    for (key, entry) in store.scan_all(prefix.clone()).await? {
        let number = key.behind(&prefix).and_then(|rest| rest.first_chunk());
        let partition = number.and_then(|n| u16::try_from(u64::from_be_bytes(*n)).ok());
        let Some(partition) = partition.filter(|n| !held.contains(n)) else { continue };
        match TicketRow::decode(&entry.value) {
            Ok(row) => found.push(Ticket { partition, row, key }),
            Err(e) => {
                unread(&e);
                held.insert(partition);
            }
        }
    }
    Ok(found)
}

/// The message of a ticket; `None` when it was answered or withdrawn meanwhile.
pub(crate) async fn message(
    store: &SharedStore,
    ticket: &Ticket,
) -> Result<Option<(Envelope, Option<Nonce>)>> {
    let Some(entry) = store.get(&message_key(&ticket.row)).await? else { return Ok(None) };
    let RelayedRow { envelope, nonce } = RelayedRow::decode(&entry.value)?;
    let nonce = nonce.map(|(scope, token, keep)| Nonce::new(scope, token, keep));
    Ok(Some((envelope, nonce)))
}

/// Tells the replica that waits what became of its message. What has to come again stays.
pub(crate) async fn answer(store: &SharedStore, ticket: &Ticket, ack: &Ack) -> Result<()> {
    let row = match ack {
        Ack::Accept(Admitted { message, duplicate }) => {
            AnswerRow::Accept { message: *message, duplicate: *duplicate }
        }
        Ack::Retry { .. } => return Ok(()),
        Ack::DeadLetter { reason } => AnswerRow::DeadLetter { reason: Told::of(reason) },
    };
    let TicketRow { from, number, .. } = ticket.row;
    let to = Key::system("ha").number(from).number(number).build();
    let txn = Txn::new("relayed")
        .guard(Guard::Exists(ticket.key.clone()))
        .op(Op::put_for(to, row.encode()?, KEEP))
        .ops(gone(ticket));
    // Lost: it was withdrawn, or an owner before us has answered.
    commit::commit(&**store, txn).await.map(drop)
}

/// Takes a message back; false when it is too late for that.
pub(crate) async fn withdraw(store: &SharedStore, ticket: &Ticket) -> Result<bool> {
    let txn = Txn::new("withdraw").guard(Guard::Exists(ticket.key.clone())).ops(gone(ticket));
    Ok(matches!(commit::commit(&**store, txn).await?, Known::Applied(_)))
}

fn gone(ticket: &Ticket) -> [Op; 2] {
    [Op::delete(ticket.key.clone()), Op::delete(message_key(&ticket.row))]
}

/// Answers for a replica, by the number of the message; `None` for one that can't be read.
pub(crate) async fn answers(
    store: &SharedStore,
    from: u64,
) -> Result<Vec<(u64, Key, Option<Ack>)>> {
    let prefix = answers_to(from);
    let mut found = Vec::new();
    for (key, entry) in store.scan(ScanQuery::new(prefix.clone()).limit(PAGE)).await?.value.rows {
        let number = key.behind(&prefix).and_then(|rest| rest.try_into().ok());
        let Some(number) = number.map(u64::from_be_bytes) else { continue };
        let ack = match AnswerRow::decode(&entry.value) {
            Ok(AnswerRow::Accept { message, duplicate }) => {
                Some(Ack::Accept(Admitted::new(message, duplicate)))
            }
            Ok(AnswerRow::DeadLetter { reason }) => {
                Some(Ack::DeadLetter { reason: reason.error() })
            }
            Err(e) => {
                unread(&e);
                None
            }
        };
        found.push((number, key, ack));
    }
    Ok(found)
}

fn unread(error: &Error) {
    tracing::warn!(%error, "what another replica left can't be read");
}

/// Forgets answers that were heard.
pub(crate) async fn heard(store: &SharedStore, keys: Vec<Key>) -> Result<()> {
    let txn = Txn::new("heard").ops(keys.into_iter().map(Op::delete));
    commit::commit(&**store, txn).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Attachment, Content, Conversation, Sender, Timestamp, TraceParent};

    /// What programs of the first format have written: a message, a ticket, and two answers.
    const MESSAGE: &[u8] = b"\x01\x01\x02m1\x0eopenclaw:desk/\x0fmessage.created\
        \x01\x80\xd0\xea\xb6\xb73\x04acme\x04desk\x00\x02c1\x01\x02t1\x00\x03ann\x00\x01\
        \x03\x02\x00\x02hi\x01\x07{\"n\":1}\x01\x06orders\x01\x01x\x01y\
        \x01\x06file-1\timage/png\x00\x00\
        \x01700-00000000000000000000000000000007-0000000000000007-01\
        \x01\x01p\x01\x04case\x01\x05cause\x03raw\x01\x04hook\x02n1\xac\x02\x00";
    const TICKET: &[u8] = b"\x01\x04acme\x04desk\x07\xac\x02";
    const ACCEPTED: &[u8] = b"\x01\x00\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\x01";
    const REFUSED: &[u8] = b"\x01\x01\x03\x00\x07not you\x02no";

    fn relayed() -> RelayedRow {
        let place = Conversation::new(ChannelId::new("desk").unwrap(), "c1").in_thread("t1");
        let parts = [Content::text("hi"), Content::json(json!({ "n": 1 }))];
        let content = Content::Parts(parts.into());
        let tenant = TenantId::new("acme").unwrap();
        let mut envelope = Envelope::new(tenant, place, Sender::new("ann").verified(), content)
            .with_id("m1")
            .with_time(Timestamp::from_millis(1_767_225_600_000))
            .with_topic("orders")
            .with_header("x", "y")
            .with_raw(b"raw"[..].into());
        envelope.attachments.push(Attachment::new("file-1", "image/png"));
        envelope.traceparent = Some(TraceParent::start(7, 7));
        envelope.partitionkey = Some("p".into());
        envelope.correlationid = Some("case".into());
        envelope.causationid = Some("cause".into());
        RelayedRow { envelope, nonce: Some(("hook".into(), "n1".into(), KEEP)) }
    }

    fn ticket() -> TicketRow {
        let (tenant, channel) = (TenantId::new("acme").unwrap(), ChannelId::new("desk").unwrap());
        TicketRow { tenant, channel, from: 7, number: 300 }
    }

    fn answers() -> [AnswerRow; 2] {
        let e = Error::new(ErrorKind::PermissionDenied, "not you").with_public("no");
        let message = MessageId::from_u128(1 << 100);
        [
            AnswerRow::Accept { message, duplicate: true },
            AnswerRow::DeadLetter { reason: Told::of(&e) },
        ]
    }

    fn text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn rows_are_written_as_the_first_format_has_them() {
        let [accepted, refused] = answers();
        let rows = [relayed().encode(), ticket().encode(), accepted.encode(), refused.encode()];
        let written = rows.map(|row| text(&row.unwrap()));
        assert_eq!(written, [MESSAGE, TICKET, ACCEPTED, REFUSED].map(text));
    }

    /// These bytes are read as this row; of a newer format they are refused by name.
    fn check<R: Row + std::fmt::Debug>(bytes: &[u8], row: &R) {
        assert_eq!(format!("{:?}", R::decode(bytes).unwrap()), format!("{row:?}"));
        let newer = [&[R::FORMAT + 1], &bytes[1..]].concat();
        let e = R::decode(&newer).unwrap_err();
        let format: Vec<_> = e.context().filter(|(name, _)| *name == "format").collect();
        assert!(e.message().contains(R::NAME) && format == [("format", "2")], "{e:?}");
    }

    #[test]
    fn rows_of_the_first_format_are_read_and_a_newer_one_is_named() {
        let [accepted, refused] = answers();
        check(MESSAGE, &relayed());
        check(TICKET, &ticket());
        check(ACCEPTED, &accepted);
        check(REFUSED, &refused);
    }
}
