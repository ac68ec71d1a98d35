//! Sessions: what a conversation remembers between its turns.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::Row;
use crate::{
    Conversation, Digest, Result, TenantId,
    traits::store::{Key, Op, StateStore, StateStoreExt},
    words::planted::{Bug, planted},
};

/// The longest place that is kept as it is, in bytes; a longer one is hashed.
const PLAIN_PLACE: usize = 128;

/// A conversation's memory.
#[derive(Debug, Serialize, Deserialize)]
struct SessionRow {
    #[serde(with = "crate::words::json::embedded")]
    value: Arc<Value>,
}

impl Row for SessionRow {
    const NAME: &'static str = "sessions";
    const FORMAT: u8 = 1;
}

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

/// Reads a session; `null` when the conversation is new.
pub(crate) async fn read(store: &dyn StateStore, key: &Key) -> Result<Arc<Value>> {
    match store.get(key).await? {
        Some(entry) => SessionRow::decode(&entry.value).map(|row| row.value),
        None => Ok(Arc::new(Value::Null)),
    }
}

/// The operation that writes a session.
pub(crate) fn write(key: Key, value: Arc<Value>) -> Result<Op> {
    Ok(Op::put(key, SessionRow { value }.encode()?))
}
