//! The intake: pulls from one channel for as long as the gateway takes messages.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Inner, admit::admit, refusals::Manners};
use crate::{
    Error,
    channel::{Channel, Source},
    words::caught::caught,
};

/// How many messages one commit admits at most.
const BATCH: usize = 64;
/// The first and the longest pause before a channel is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Pulls until the channel has nothing more to give, or the gateway stops.
pub(super) async fn intake(inner: Arc<Inner>, channel: Arc<dyn Channel>) {
    receive(&inner, channel).await;
    inner.intakes.fetch_sub(1, Ordering::Relaxed);
    inner.progress.notify_waiters();
}

async fn receive(inner: &Arc<Inner>, channel: Arc<dyn Channel>) {
    let (first, longest) = PAUSES;
    let mut pause = first;
    loop {
        match caught("the channel", channel.receive()).await {
            Ok(None) => return,
            Ok(Some(source)) => {
                if pull(inner, &*channel, source, &mut pause).await {
                    return;
                }
            }
            Err(e) => {
                tracing::warn!(channel = %channel.id(), error = %e, "the channel can't receive");
            }
        }
        if inner.pause(pause).await {
            return;
        }
        pause = (pause * 2).min(longest);
    }
}

/// Pulls until the source ends or the gateway stops; true when there is nothing to come back to.
async fn pull(
    inner: &Arc<Inner>,
    channel: &dyn Channel,
    mut source: Box<dyn Source>,
    pause: &mut Duration,
) -> bool {
    let manners = Manners::of(channel.capabilities());
    loop {
        // A sender who is told may be refused at once; everybody else waits for credits.
        let max = if manners.tells { BATCH } else { credits(inner).await.min(BATCH) };
        let max = NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN);
        let next = tokio::select! {
            biased;
            () = inner.draining.wait(), if !manners.tells => break,
            next = caught("the source", source.next(max)) => next,
        };
        match next {
            Ok(batch) if batch.is_empty() => return true,
            Ok(batch) => {
                *pause = PAUSES.0;
                admit(inner, manners, batch).await;
                // Let the turns of this batch start: the next batch is larger, and costs less.
                tokio::task::yield_now().await;
            }
            Err(e) => {
                troubled(channel, &e, "the source failed");
                return false;
            }
        }
    }
    if let Err(e) = source.close().await {
        troubled(channel, &e, "the source did not close");
    }
    true
}

pub(super) fn troubled(channel: &dyn Channel, error: &Error, what: &'static str) {
    tracing::warn!(channel = %channel.id(), %error, "{what}");
}

async fn credits(inner: &Inner) -> usize {
    loop {
        let progress = inner.progress.notified();
        let credits = inner.credits();
        if credits > 0 || inner.is_draining() {
            return credits;
        }
        progress.await;
    }
}
