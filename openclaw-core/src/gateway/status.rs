//! What can be asked about a message and about the gateway.

use std::sync::Arc;

use serde::Serialize;

use super::Inner;
use crate::{
    Content, MessageId, Result, TenantId,
    channel::Health,
    records::{
        dead_letters::{LetterRow, Shelf},
        live::{DoneRow, Live, done_key, live_key},
        row::Row,
    },
    store::{StateStore as _, StateStoreExt as _},
};

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageState {
    /// Durable; an agent has not answered yet.
    Queued,
    /// Its turn is suspended.
    Waiting,
    /// Its reply is on its way.
    Delivering,
    /// Finished.
    Done,
    /// A dead letter.
    Dead,
    /// Parked, where a person has to look.
    Parked,
}

impl MessageState {
    /// Will nothing more happen by itself?
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Parked)
    }
}

/// What is known of a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MessageStatus {
    /// The message.
    pub id: MessageId,
    /// Where it is.
    pub state: MessageState,
    /// The reply, once an agent has answered.
    pub reply: Option<Content>,
    /// Why it is dead or parked, in words for operators.
    pub error: Option<Arc<str>>,
}

/// How the gateway is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayHealth {
    /// The process works: restart it when not.
    pub live: bool,
    /// New messages are welcome.
    pub ready: bool,
    /// It is being drained.
    pub draining: bool,
    /// What is wrong, in words for operators.
    pub problems: Vec<String>,
}

/// Counts of what a gateway has on hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Depths {
    /// Messages that wait for an agent or are with one.
    pub turns: usize,
    /// Replies that wait to go out or are on their way.
    pub replies: usize,
}

/// Looks a message up wherever it may be, in one snapshot.
pub(super) async fn look_up(
    inner: &Inner,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<MessageStatus>> {
    let shelves = [Shelf::Dead, Shelf::Parked].map(|shelf| shelf.key(tenant, id));
    let [dead, parked] = shelves;
    let keys = [live_key(tenant, id), done_key(tenant, id), dead, parked];
    let found = inner.store.get_many(&keys).await?.value;
    let status = |state, reply, error| Some(MessageStatus { id, state, reply, error });
    let mut rows = found.into_iter();
    let mut next = || rows.next().flatten();
    if let Some(live) = next() {
        return Ok(match Live::decode(&live.value)? {
            Live::Turn(turn) if turn.waiting.is_some() => status(MessageState::Waiting, None, None),
            Live::Turn(turn) => status(MessageState::Queued, None, turn.error),
            Live::Reply(reply) => {
                let reply = DoneRow::of(&reply, inner.env.now()).reply;
                status(MessageState::Delivering, reply, None)
            }
        });
    }
    if let Some(done) = next() {
        let DoneRow { reply, purged, .. } = DoneRow::decode(&done.value)?;
        return Ok(if purged { None } else { status(MessageState::Done, reply, None) });
    }
    for state in [MessageState::Dead, MessageState::Parked] {
        if let Some(letter) = next() {
            let letter = LetterRow::decode(&letter.value)?;
            return Ok(status(state, None, Some(letter.reason)));
        }
    }
    Ok(None)
}

/// Asks the store and every channel how they are; each has a second.
pub(super) async fn health(inner: &Inner) -> GatewayHealth {
    let mut problems = Vec::new();
    let second = std::time::Duration::from_secs(1);
    let probe = crate::store::Key::system("pt").number(0).build();
    match tokio::time::timeout(second, inner.store.get(&probe)).await {
        Ok(Ok(_)) => {}
        Ok(Err(e)) => problems.push(format!("store: {e}")),
        Err(_) => problems.push("store: no answer within a second".to_owned()),
    }
    let store_ok = problems.is_empty();
    for channel in inner.channels.values() {
        match tokio::time::timeout(second, channel.health()).await {
            Ok(Health::Up) => {}
            Ok(Health::Degraded(why) | Health::Down(why)) => {
                problems.push(format!("channel {}: {why}", channel.id()));
            }
            Err(_) => problems.push(format!("channel {}: no answer within a second", channel.id())),
        }
    }
    let fenced = inner.is_fenced();
    if fenced {
        problems.push("another gateway has taken this store over".to_owned());
    }
    let draining = inner.is_draining();
    if draining {
        problems.push("draining".to_owned());
    }
    let full = inner.credits() == 0;
    if full {
        problems.push("the queues are full".to_owned());
    }
    let ready = store_ok && !draining && !fenced && !full;
    GatewayHealth { live: store_ok && !fenced, ready, draining, problems }
}
