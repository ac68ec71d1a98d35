//! What the keys of rows say: whose they are, and which message they are about.

use openclaw_core::{
    MessageId, TenantId,
    store::{Guard, Key, Op},
};

/// A key taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// Empty for a system row.
    pub(super) tenant: &'a str,
    pub(super) table: &'a str,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (tenant, rest) = part(bytes)?;
        let (table, rest) = part(rest)?;
        Some(Self { tenant, table, rest })
    }

    /// The message that the row is about, in the tables whose keys begin with it.
    pub(super) fn message(&self) -> Option<MessageId> {
        let first = self.rest.get(..16)?;
        first.try_into().ok().map(MessageId::from_bytes)
    }
}

fn part(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

/// The bytes that an operation is about: a key, or the prefix of an append.
pub(super) fn target(op: &Op) -> &[u8] {
    match op {
        Op::Put { key, .. } | Op::Delete { key } | Op::Touch { key, .. } | Op::Add { key, .. } => {
            key.as_bytes()
        }
        Op::Append { prefix, .. } => prefix.as_bytes(),
    }
}

/// The row of a message that is not finished.
pub(super) fn live(tenant: &TenantId, id: MessageId) -> Key {
    Key::of(tenant, "lv").id(id).build()
}

/// The row of an effect.
pub(super) fn effect(tenant: &TenantId, turn: MessageId, operation: &str) -> Key {
    Key::of(tenant, "fx").id(turn).text(operation).build()
}

/// Every row that a message may be in.
pub(super) fn everywhere(tenant: &TenantId, id: MessageId) -> Vec<Key> {
    ["lv", "dn", "dl", "pk"].map(|table| Key::of(tenant, table).id(id).build()).into()
}

/// Does a guard hold a partition?
pub(super) fn is_fence(guard: &Guard) -> bool {
    Parts::of(guard.key().as_bytes()).is_some_and(|parts| parts.table == "pt")
}
