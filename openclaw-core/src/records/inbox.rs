//! The inbox: one commit that dedupes a message and makes it durable.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    commit::Known,
    live::{Live, TurnRow, live_key},
    row::Row,
    seen::{SeenRow, seen_key},
};
use crate::{
    Content, Digest, Envelope, MessageId, Result, TenantId,
    channel::Nonce,
    traits::store::{Entry, Guard, Key, Op, Prefix, Txn},
    words::planted::{Bug, planted},
};

/// The longest nonce, with its scope, that is kept as it is; a longer one is hashed.
const PLAIN_NONCE: usize = 256;

/// A message ready to be admitted.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) id: MessageId,
    pub(crate) txn: Txn,
    fingerprint: [u8; 16],
    /// Where the dedupe guard stands, when the platform gave an id.
    seen_at: Option<usize>,
    nonce_at: Option<usize>,
    behind_at: Option<usize>,
}

/// What a lost guard says about the message.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The same message was admitted before.
    Duplicate(MessageId),
    /// The id was used for another message.
    Reused,
    /// The nonce was seen before.
    Replayed,
    /// The message before it did not come in.
    Behind,
    /// Another gateway has taken over.
    Fenced,
}

/// The one commit of an admission: fence, dedupe and nonce as guards, then the live row.
pub(crate) fn admit(
    fence: Guard,
    id: MessageId,
    row: &TurnRow,
    nonce: Option<&Nonce>,
) -> Result<Admission> {
    let envelope = &row.envelope;
    let tenant = &envelope.tenant;
    let live = Live::Turn(row.clone());
    // The live row is the first put: it is what an unknown outcome is judged by.
    let mut txn = Txn::new("admit").guard(fence).op(Op::put(live_key(tenant, id), live.encode()?));
    let mut fingerprint = [0; 16];
    let mut seen_at = None;
    if let Some(mut key) = seen_key(tenant, envelope) {
        fingerprint = fingerprint_of(envelope);
        if planted(Bug::DedupePerStart) {
            let owner = format!("{:?}", txn.guards);
            key = Key::from_bytes([key.as_bytes(), owner.as_bytes()].concat());
        }
        if !planted(Bug::NoDedupe) {
            seen_at = Some(txn.guards.len());
            txn = txn.guard(Guard::Absent(key.clone()));
        }
        txn = txn.op(Op::put(key, SeenRow { message: id, fingerprint }.encode()?));
    }
    let mut nonce_at = None;
    if let Some(nonce) = nonce {
        let key = nonce_key(tenant, nonce);
        nonce_at = Some(txn.guards.len());
        txn = txn.guard(Guard::Absent(key.clone()));
        if !planted(Bug::NonceNotKept) {
            txn = txn.op(Op::put_for(key, Bytes::new(), nonce.keep));
        }
    }
    Ok(Admission { id, txn, fingerprint, seen_at, nonce_at, behind_at: None })
}

impl Admission {
    /// Lets it in only if the message with this live row came in, in the same batch.
    pub(crate) fn behind(&mut self, previous: Key) {
        self.behind_at = Some(self.txn.guards.len());
        self.txn.guards.push(Guard::Exists(previous));
    }

    /// Did the commit lose because the message before it did not come in?
    pub(crate) fn is_behind(&self, known: &Result<Known>) -> bool {
        matches!(known, Ok(Known::Lost { guard, .. }) if Some(*guard) == self.behind_at)
    }

    /// The commit, whatever became of the message before it.
    pub(crate) fn alone(&mut self) -> Txn {
        if let Some(at) = self.behind_at.take() {
            self.txn.guards.remove(at);
        }
        self.txn.clone()
    }

    /// What it means that the guard at this place did not hold.
    pub(crate) fn refused(&self, guard: usize, current: Option<&Entry>) -> Result<Refused> {
        if Some(guard) == self.seen_at {
            let seen = current.map(|entry| SeenRow::decode(&entry.value)).transpose()?;
            return Ok(match seen {
                Some(seen) if seen.fingerprint == self.fingerprint => {
                    Refused::Duplicate(seen.message)
                }
                _ => Refused::Reused,
            });
        }
        let at = Some(guard);
        Ok(match at {
            _ if at == self.nonce_at => Refused::Replayed,
            _ if at == self.behind_at => Refused::Behind,
            _ => Refused::Fenced,
        })
    }
}

fn nonce_key(tenant: &TenantId, nonce: &Nonce) -> Key {
    let key = Key::of(tenant, "nc");
    if nonce.scope.len() + nonce.token.len() <= PLAIN_NONCE {
        return key.text(&nonce.scope).text(&nonce.token).build();
    }
    key.bytes(Digest::of("openclaw.nonce", [&*nonce.scope, &*nonce.token]).as_bytes()).build()
}

/// What makes two deliveries under one platform id the same message.
fn fingerprint_of(envelope: &Envelope) -> [u8; 16] {
    let thread = envelope.conversation.thread.as_deref().unwrap_or_default();
    let topic = envelope.topic.as_deref().unwrap_or_default();
    let head = [&*envelope.kind, &*envelope.conversation.id, thread, topic, &*envelope.sender.id];
    let mut parts: Vec<Cow<'_, [u8]>> = head.map(|part| part.as_bytes().into()).into();
    parts.push(envelope.headers.len().to_be_bytes().to_vec().into());
    content_parts(&envelope.content, &mut parts);
    for (name, value) in &envelope.headers {
        parts.extend([name.as_bytes().into(), value.as_bytes().into()]);
    }
    Digest::of("openclaw.message", parts).short()
}

fn content_parts<'a>(content: &'a Content, parts: &mut Vec<Cow<'a, [u8]>>) {
    match content {
        Content::Text(text) => parts.push(text.as_bytes().into()),
        Content::Json(value) => {
            let digest = Digest::of_json("openclaw.content", value);
            parts.push(digest.as_bytes().to_vec().into());
        }
        Content::Bytes { media_type, data } => {
            parts.extend([media_type.as_bytes().into(), Cow::Borrowed(&data[..])]);
        }
        Content::Parts(inner) => inner.iter().for_each(|part| content_parts(part, parts)),
    }
}

/// Marks that a tenant has rows: a restart finds its live messages by it.
pub(crate) fn tenant_mark(tenant: &TenantId) -> Op {
    Op::put(Key::system("tn").text(tenant.as_str()).build(), Bytes::new())
}

/// All tenants that ever had a message.
pub(crate) fn tenant_marks() -> Prefix {
    Key::system("tn").prefix()
}

/// The tenant that a mark names.
pub(crate) fn marked_tenant(key: &Key) -> Option<TenantId> {
    let text = key.behind(&tenant_marks())?.get(2..)?;
    TenantId::new(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows without fields are found by their keys: these are those of programs before this one.
    #[test]
    fn nonces_and_marks_of_earlier_programs_are_found() {
        let acme = TenantId::new("acme").unwrap();
        let nonce = |token: &str| {
            let keep = std::time::Duration::from_secs(1);
            nonce_key(&acme, &Nonce::new("hook", token, keep))
        };
        let Op::Put { key: mark, value, ttl } = tenant_mark(&acme) else { panic!("a mark is put") };
        let keys = [nonce("n1"), nonce(&"n".repeat(PLAIN_NONCE)), mark.clone()];
        let known: [&[u8]; 3] = [
            b"\0\x04acme\0\x02nc\0\x04hook\0\x02n1",
            b"\0\x04acme\0\x02nc\0 \xe5m\xc7N\xcb\xe0_\xb2\xa3'\x8b\xad,\x1f\xfdM\xcd\xa7\x93R\
              \x8d\x800Q\xf0Y\xdeGX\x02\xe7\x05",
            b"\0\0\0\x02tn\0\x04acme",
        ];
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(keys.map(|key| text(key.as_bytes())), known.map(text));
        assert!(value.is_empty() && ttl.is_none(), "{value:?}, {ttl:?}");
        assert_eq!(marked_tenant(&mark), Some(acme));
    }
}
