//! The front: pulls from the real channels, and brings each message to the owner of its partition.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Core, lock,
    order::{self, Way},
};
use crate::{
    Envelope, Error, ErrorKind, Happened,
    channel::{Ack, Channel, Delivery, Settle, Source},
    gateway::{
        intake::troubled,
        refusals::Manners,
        verdict::{SOON, keep_apart, tell},
    },
    records::{
        partitions::partition_of,
        relay::{self, Ticket, TicketRow},
    },
    words::caught::caught,
};

/// How many messages are pulled at a time.
const BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// The first and the longest pause before a channel is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A message that was left for its owner, and the duty to tell its sender.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) ticket: Ticket,
    pub(super) settle: Settle,
    pub(super) since: tokio::time::Instant,
}

/// Pulls until the channel has nothing more to give, or the replica stops.
pub(super) async fn pull(core: Arc<Core>, channel: Arc<dyn Channel>) {
    let (first, longest) = PAUSES;
    let mut pause = first;
    while !core.stopping.is_up() {
        match caught("the channel", channel.receive()).await {
            Ok(None) => return,
            Ok(Some(source)) => {
                if drain(&core, &*channel, source, &mut pause).await {
                    return;
                }
            }
            Err(e) => {
                troubled(&*channel, &e, "the channel can't receive");
            }
        }
        if core.pause(pause).await {
            return;
        }
        pause = (pause * 2).min(longest);
    }
}

/// Pulls until the source ends; true when there is nothing to come back to.
async fn drain(
    core: &Arc<Core>,
    channel: &dyn Channel,
    mut source: Box<dyn Source>,
    pause: &mut Duration,
) -> bool {
    loop {
        let next = tokio::select! {
            biased;
            () = core.stopping.wait() => break,
            next = caught("the source", source.next(BATCH)) => next,
        };
        match next {
            Ok(batch) if batch.is_empty() => return true,
            Ok(batch) => {
                *pause = PAUSES.0;
                for delivery in batch {
                    bring(core, channel, delivery).await;
                }
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

/// Brings a message to the owner of its partition: through a door of ours, or through the store.
async fn bring(core: &Arc<Core>, channel: &dyn Channel, delivery: Delivery) {
    let envelope = delivery.envelope();
    let partition = partition_of(&envelope.tenant, &envelope.conversation);
    let door = core.door(partition, channel.id());
    let way = door.as_ref().map_or(Way::Post, |(_, fence)| Way::Door(*fence));
    let delivery = if Manners::of(channel.capabilities()).ordered {
        match order::admit(&core.order, way, delivery) {
            Ok(delivery) => delivery,
            Err(settle) => {
                let error = Error::new(ErrorKind::Unavailable, "an earlier message comes first");
                return tell(settle, Ack::Retry { after: SOON, error }).await;
            }
        }
    } else {
        delivery
    };
    match door {
        // Not taken, the partition was given away meanwhile: it has to come again.
        Some((door, _)) => drop(door.send(delivery).await),
        None => leave(core, partition, channel, delivery).await,
    }
}

/// Leaves a message in the store for whoever owns its partition.
async fn leave(core: &Arc<Core>, partition: u16, channel: &dyn Channel, delivery: Delivery) {
    let nonce = delivery.nonce().cloned();
    let (envelope, settle) = delivery.into_parts();
    let message = envelope.clone();
    if lock(&core.relayed).len() >= core.parts.config.pending {
        let error = Error::new(ErrorKind::Overloaded, "too many messages wait for other replicas");
        return tell(settle, Ack::Retry { after: SOON, error }).await;
    }
    let row = TicketRow {
        tenant: envelope.tenant.clone(),
        channel: channel.id().clone(),
        from: core.from,
        number: core.numbers.fetch_add(1, Ordering::Relaxed),
    };
    let number = row.number;
    match relay::leave(&core.parts.store, partition, row, envelope, nonce.as_ref()).await {
        Ok(ticket) => {
            let since = tokio::time::Instant::now();
            lock(&core.relayed).insert(number, Relayed { ticket, settle, since });
        }
        Err(error) => {
            let ack = not_left(core, channel, message, error).await;
            tell(settle, ack).await;
        }
    }
}

/// The store did not take a message: it comes again, unless it fits into no row, ever.
async fn not_left(core: &Core, channel: &dyn Channel, message: Envelope, error: Error) -> Ack {
    let mut error = error;
    if error.kind() == ErrorKind::ValidationError && error.happened() != Happened::Maybe {
        if Manners::of(channel.capabilities()).tells {
            return Ack::DeadLetter { reason: error };
        }
        let kept = keep_apart(&core.parts.env, &core.parts.store, message, &error).await;
        match kept {
            Ok(()) => return Ack::DeadLetter { reason: error },
            Err(e) => error = e,
        }
    }
    Ack::Retry { after: error.retry_after().unwrap_or(SOON), error }
}
