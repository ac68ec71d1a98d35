//! Deferred replies: kept in the store until their date, their lanes held.

use std::{sync::Arc, time::Duration};

use super::{Inner, deliver::run, lock, reply_job::ReplyJob};
use crate::{
    Error, MessageId, Result, TenantId, Timestamp,
    records::{
        commit,
        live::{Live, live_key},
        partitions::partition_of,
        sessions::session_key,
    },
};

/// Wakes deferred replies when their date has come.
pub(super) async fn alarm(inner: Arc<Inner>) {
    loop {
        let first = lock(&inner.due).first().cloned();
        let wait =
            first.as_ref().map_or(Duration::from_secs(3600), |(at, ..)| at.since(inner.env.now()));
        tokio::select! {
            biased;
            () = inner.draining.wait() => return,
            () = inner.due_changed.notified() => continue,
            () = tokio::time::sleep(wait) => {}
        }
        let Some(entry) = first.filter(|(at, ..)| *at <= inner.env.now()) else { continue };
        if let Err(e) = wake(&inner, &entry).await {
            not_read(entry.2, &e);
            if inner.pause(Duration::from_secs(1)).await {
                return;
            }
        }
    }
}

fn not_read(message: MessageId, error: &Error) {
    tracing::error!(%message, %error, "a deferred reply can't be read");
}

async fn wake(inner: &Arc<Inner>, entry: &(Timestamp, TenantId, MessageId)) -> Result<()> {
    let (_, tenant, id) = entry;
    let found = commit::read::<Live>(&*inner.store, &live_key(tenant, *id)).await?;
    lock(&inner.due).remove(entry);
    if let Some((Live::Reply(row), version)) = found {
        let lane = session_key(tenant, &row.to);
        let partition = partition_of(tenant, &row.to);
        let job = ReplyJob::new(tenant.clone(), *id, version, partition, row);
        lock(&inner.replies).resume(&lane);
        inner.tasks.spawn(run(Arc::clone(inner), lane, job));
    }
    Ok(())
}
