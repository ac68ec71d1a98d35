//! Dedupe rows: which message an id of a platform became.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::row::Row;
use crate::{
    Digest, Envelope, MessageId, Result, TenantId,
    traits::store::{Entry, Key, Prefix},
    words::planted::{Bug, planted},
};

/// The longest platform id that is kept as it is; a longer one is hashed.
///
/// Ids that are short and grow keep the index local: random keys cost redb a third of its
/// throughput.
const PLAIN_ID: usize = 64;

/// Which message a platform id became.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeenRow {
    pub(crate) message: MessageId,
    pub(crate) fingerprint: [u8; 16],
}

impl Row for SeenRow {
    const NAME: &'static str = "seen messages";
    const FORMAT: u8 = 1;
}

/// Where the dedupe row of a message is: its key behind the name of the table.
///
/// The rows of a message carry it, so that the last of them leads to the dedupe row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen(Bytes);

impl Seen {
    /// The place for this message; `None` when the platform gave no id.
    pub(crate) fn of(tenant: &TenantId, envelope: &Envelope) -> Option<Self> {
        let key = seen_key(tenant, envelope)?;
        key.behind(&seen_rows(tenant)).map(Bytes::copy_from_slice).map(Self)
    }

    /// The key of the row.
    pub(crate) fn key(&self, tenant: &TenantId) -> Key {
        Key::from_bytes([seen_rows(tenant).as_bytes(), &self.0].concat())
    }
}

/// The message of a dedupe row.
pub(crate) fn message_of(entry: &Entry) -> Result<MessageId> {
    SeenRow::decode(&entry.value).map(|row| row.message)
}

/// The key of a message's dedupe row; `None` when the platform gave no id.
pub(crate) fn seen_key(tenant: &TenantId, envelope: &Envelope) -> Option<Key> {
    let platform = envelope.id.as_deref()?;
    let account = &*envelope.conversation.account;
    let key =
        if planted(Bug::DedupeUntenanted) { Key::system("dd") } else { Key::of(tenant, "dd") };
    let key = key.text(envelope.conversation.channel.as_str());
    if account.len() + platform.len() <= PLAIN_ID {
        return Some(key.text(account).text(platform).build());
    }
    Some(key.bytes(&Digest::of("openclaw.seen", [account, platform]).short()).build())
}

fn seen_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "dd").prefix()
}
