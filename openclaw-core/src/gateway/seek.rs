//! Messages that may be durable and nobody knows: looked for until the store can tell.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    Inner, lock,
    reply_job::ReplyJob,
    turns::{Place, TurnJob},
    verdict::SOON,
};
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

/// Where a turn goes in its lane.
#[derive(Debug)]
pub(super) enum To {
    /// Behind all others.
    Back,
    /// Before those that wait.
    Front,
    /// To the place that was kept for it; dropped, the place is left for the next start.
    Place(oneshot::Sender<Option<TurnJob>>),
}

/// Puts a live row into its lane; a suspended turn stays where it is.
pub(super) fn enqueue(
    inner: &Inner,
    tenant: &TenantId,
    id: MessageId,
    live: Live,
    version: Version,
    to: To,
) {
    match live {
        Live::Turn(row) if row.waiting.is_some() => nothing(to),
        Live::Turn(row) => {
            let place = &row.envelope.conversation;
            let (lane, partition) = (session_key(tenant, place), partition_of(tenant, place));
            let job = TurnJob::new(tenant.clone(), id, version, partition, row, true);
            match to {
                To::Back => lock(&inner.turns).push(tenant, &lane, Place::Taken(job)),
                To::Front => lock(&inner.turns).push_front(tenant, &lane, Place::Taken(job)),
                // Nobody is there any more when the gateway has stopped.
                To::Place(kept) => drop(kept.send(Some(job))),
            }
        }
        Live::Reply(row) => {
            let (lane, partition) = (session_key(tenant, &row.to), partition_of(tenant, &row.to));
            let job = ReplyJob::new(tenant.clone(), id, version, partition, row);
            lock(&inner.replies).push(tenant, &lane, job);
            nothing(to);
        }
    }
}

/// No turn comes: what stands behind a place that was kept may go on.
fn nothing(to: To) {
    if let To::Place(kept) = to {
        drop(kept.send(None));
    }
}

/// Looks for a message whose commit may have been applied, and lets it go on.
///
/// Until it is found, whoever asks for the message is told to come back later.
pub(super) fn seek(inner: &Arc<Inner>, tenant: TenantId, id: MessageId, to: To) {
    if !lock(&inner.sought).insert(id) {
        return;
    }
    inner.begin_closing();
    let looking = Arc::clone(inner);
    inner.tasks.spawn(async move {
        match look(&looking, &live_key(&tenant, id)).await {
            Some(Some((live, version))) => enqueue(&looking, &tenant, id, live, version, to),
            Some(None) => nothing(to),
            None => drop(to),
        }
        lock(&looking.sought).remove(&id);
        looking.start_turns();
        looking.start_replies();
        looking.end_closing();
    });
}

/// What is stored, once the store can tell; `None` when the gateway stops before that.
async fn look(inner: &Inner, key: &Key) -> Option<Option<(Live, Version)>> {
    loop {
        let stops = inner.pause(SOON).await;
        if inner.is_fenced() {
            // Another gateway has it by now.
            return None;
        }
        match commit::read::<Live>(&*inner.store, key).await {
            Ok(found) => return Some(found),
            Err(_) if stops => return None,
            Err(_) => {}
        }
    }
}
