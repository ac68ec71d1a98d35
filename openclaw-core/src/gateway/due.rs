//! What waits in the store for a date: deferred replies, their lanes held, and approvals.

use std::{sync::Arc, time::Duration};

use super::{Due, DueEntry, Inner, approvals, deliver::run, lock, reply_job::ReplyJob};
use crate::{
    Error, MessageId, Result,
    records::{
        commit,
        live::{Live, live_key},
        partitions::partition_of,
        sessions::session_key,
    },
    store::Key,
};

/// How soon something is looked at again that could not be read.
const SOON: Duration = Duration::from_secs(1);

/// The longest sleep: dates are of a clock that may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Wakes deferred replies, and looks after approvals, when their date has come.
pub(super) async fn alarm(inner: Arc<Inner>) {
    loop {
        let first = lock(&inner.due).first().cloned();
        let wait = first.as_ref().map_or(LONGEST_SLEEP, |(at, ..)| at.since(inner.env.now()));
        tokio::select! {
            biased;
            () = inner.draining.wait() => return,
            () = inner.due_changed.notified() => continue,
            () = tokio::time::sleep(wait.min(LONGEST_SLEEP)) => {}
        }
        let Some(entry) = first.filter(|(at, ..)| *at <= inner.env.now()) else { continue };
        if let Err(e) = wake(&inner, &entry).await {
            not_read(entry.2, &e);
            // The others get their turn meanwhile.
            let mut due = lock(&inner.due);
            due.remove(&entry);
            due.insert((inner.env.now().after(SOON), entry.1, entry.2, entry.3));
        }
    }
}

fn not_read(message: MessageId, error: &Error) {
    tracing::error!(%message, %error, "what waits in the store can't be read");
}

async fn wake(inner: &Arc<Inner>, entry: &DueEntry) -> Result<()> {
    let (_, tenant, id, waits) = entry;
    let found = commit::read::<Live>(&*inner.store, &live_key(tenant, *id)).await?;
    let again = match (&found, waits) {
        (Some((Live::Turn(row), version)), Due::Turn) => {
            approvals::look_after(inner, tenant, *id, row, *version).await?
        }
        _ => None,
    };
    let mut due = lock(&inner.due);
    due.remove(entry);
    due.extend(again.map(|at| (at, tenant.clone(), *id, Due::Turn)));
    drop(due);
    // The turn that was looked after may have its reply on the way: that one is in its lane.
    if let (Some((Live::Reply(row), version)), Due::Reply) = (found, waits) {
        let lane = session_key(tenant, &row.to);
        let partition = partition_of(tenant, &row.to);
        let job = ReplyJob::new(tenant.clone(), *id, version, partition, row);
        // A drain counts it among what is left.
        inner.begin_closing();
        inner.tasks.spawn(go_on(Arc::clone(inner), lane, job));
    }
    Ok(())
}

/// Sends a deferred reply, once there is a place.
async fn go_on(inner: Arc<Inner>, lane: Key, job: ReplyJob) {
    let stopped = inner.come_back(&inner.replies, &lane, false).await;
    if stopped {
        inner.reply_left(&lane);
    }
    inner.end_closing();
    if !stopped {
        run(inner, lane, job).await;
    }
}
