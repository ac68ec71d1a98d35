//! Sessions: what a conversation remembers between its turns.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::Row;
use crate::{
    Conversation, Digest, Result, TenantId, Timestamp,
    traits::store::{Entry, Key, Op, Prefix, StateStore, StateStoreExt},
    words::planted::{Bug, planted},
};

/// The longest place that is kept as it is, in bytes; a longer one is hashed.
const PLAIN_PLACE: usize = 128;

/// A conversation's memory.
#[derive(Debug, Serialize, Deserialize)]
struct SessionRow {
    #[serde(with = "crate::words::json::embedded")]
    value: Arc<Value>,
    /// The last turn that is known to have used it; `None` in rows from before that was kept.
    at: Option<Timestamp>,
}

impl Row for SessionRow {
    const NAME: &'static str = "sessions";
    const FORMAT: u8 = 2;

    fn decode_old(format: u8, fields: &[u8]) -> Option<postcard::Result<Self>> {
        #[derive(Deserialize)]
        struct Old(#[serde(with = "crate::words::json::embedded")] Arc<Value>);
        let read = |fields| postcard::from_bytes(fields).map(|Old(value)| Self { value, at: None });
        (format == 1).then(|| read(fields))
    }
}

/// What a conversation remembers when a turn begins.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// `null` when the conversation is new.
    pub(crate) value: Arc<Value>,
    at: Option<Timestamp>,
}

impl Session {
    /// Has it to be written again, so that it counts as used? Only then when it is kept by time.
    pub(crate) fn is_stale(&self, keep: Option<Duration>, now: Timestamp) -> bool {
        let fresh = |keep: Duration| self.at.is_some_and(|at| now.since(at) <= keep / STALE);
        !self.value.is_null() && keep.is_some_and(|keep| !fresh(keep))
    }
}

/// In this part of its time a session that is only read is not written again.
const STALE: u32 = 8;

/// The key of a conversation's session; it names the conversation's lane, too.
pub(crate) fn session_key(tenant: &TenantId, to: &Conversation) -> Key {
    let key =
        if planted(Bug::SessionUntenanted) { Key::system("se") } else { Key::of(tenant, "se") };
    let key = key.text(to.channel.as_str());
    let thread = to.thread.as_deref().unwrap_or_default();
    if to.account.len() + to.id.len() + thread.len() > PLAIN_PLACE {
        let place = [&*to.account, &*to.id, thread];
        return key.bytes(Digest::of("openclaw.place", place).as_bytes()).build();
    }
    let key = key.text(&to.account).text(&to.id);
    if thread.is_empty() { key.build() } else { key.text(thread).build() }
}

/// Reads a session.
pub(crate) async fn read(store: &dyn StateStore, key: &Key) -> Result<Session> {
    let Some(entry) = store.get(key).await? else {
        return Ok(Session { value: Arc::new(Value::Null), at: None });
    };
    let SessionRow { value, at } = SessionRow::decode(&entry.value)?;
    Ok(Session { value, at })
}

/// When a session was last used; `None` when its row does not say.
pub(crate) fn used_at(entry: &Entry) -> Result<Option<Timestamp>> {
    SessionRow::decode(&entry.value).map(|row| row.at)
}

/// All sessions of a tenant.
pub(crate) fn session_rows(tenant: &TenantId) -> Prefix {
    Key::of(tenant, "se").prefix()
}

/// The operation that writes a session.
pub(crate) fn write(key: Key, value: Arc<Value>, now: Timestamp) -> Result<Op> {
    Ok(Op::put(key, SessionRow { value, at: Some(now) }.encode()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_from_before_dates_were_kept_is_read_and_counts_as_stale() {
        #[derive(Serialize)]
        struct Before(#[serde(with = "crate::words::json::embedded")] Arc<Value>);
        let value = Arc::new(serde_json::json!({"n": [1, null]}));
        let bytes = postcard::to_extend(&Before(Arc::clone(&value)), vec![1]).unwrap();
        let SessionRow { value: read, at } = SessionRow::decode(&bytes).unwrap();
        assert_eq!((&read, at), (&value, None));
        let session = Session { value, at };
        let (day, now) = (Duration::from_secs(86_400), Timestamp::from_millis(1));
        assert!(session.is_stale(Some(day), now) && !session.is_stale(None, now));
    }
}
