//! Messages that may be durable and are in no lane: looked for until the store can tell.

use std::sync::Arc;

use super::{Inner, lock, reply_job::ReplyJob, turns::TurnJob, verdict::SOON};
use crate::{
    MessageId, TenantId,
    records::{
        commit,
        live::{Live, live_key},
        partitions::partition_of,
        sessions::session_key,
    },
    store::{Key, Version},
};

/// Puts a live row into its lane; a suspended turn stays where it is.
pub(super) fn enqueue(
    inner: &Inner,
    tenant: &TenantId,
    id: MessageId,
    live: Live,
    version: Version,
    first: bool,
) {
    match live {
        Live::Turn(row) if row.waiting.is_some() => {}
        Live::Turn(row) => {
            let place = &row.envelope.conversation;
            let (lane, partition) = (session_key(tenant, place), partition_of(tenant, place));
            let job = TurnJob::new(tenant.clone(), id, version, partition, row, true);
            let mut turns = lock(&inner.turns);
            if first {
                turns.push_front(tenant, &lane, job);
            } else {
                turns.push(tenant, &lane, job);
            }
        }
        Live::Reply(row) => {
            let (lane, partition) = (session_key(tenant, &row.to), partition_of(tenant, &row.to));
            let job = ReplyJob::new(tenant.clone(), id, version, partition, row);
            lock(&inner.replies).push(tenant, &lane, job);
        }
    }
}

/// Looks for a message whose commit may have been applied, and lets it go on.
///
/// Until it is found, whoever asks for the message is told to come back later.
pub(super) fn seek(
    inner: &Arc<Inner>,
    tenant: TenantId,
    id: MessageId,
    room: Option<Key>,
    first: bool,
) {
    if !lock(&inner.sought).insert(id) {
        return;
    }
    inner.begin_closing();
    let looking = Arc::clone(inner);
    inner.tasks.spawn(async move {
        if let Some((live, version)) = look(&looking, &live_key(&tenant, id)).await {
            enqueue(&looking, &tenant, id, live, version, first);
        }
        if let Some(lane) = room {
            looking.give_back(&lane);
        }
        lock(&looking.sought).remove(&id);
        looking.start_turns();
        looking.start_replies();
        looking.end_closing();
    });
}

/// The row, once the store can tell; `None` when there is none, or when the gateway stops.
async fn look(inner: &Inner, key: &Key) -> Option<(Live, Version)> {
    while !inner.pause(SOON).await {
        if let Ok(found) = commit::read::<Live>(&*inner.store, key).await {
            return found;
        }
    }
    None
}
