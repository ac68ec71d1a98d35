//! The post between replicas: messages that others left for us, answers to those that we left.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::sleep;

use super::{Core, Relayed, lock};
use crate::{
    Error, ErrorKind, Result,
    channel::{Ack, Acker, Delivery},
    gateway::{
        AckPolicy,
        verdict::{SOON, tell},
    },
    records::relay::{self, KEEP, Ticket},
    store::{Key, SharedStore},
};

/// How long a message waits for an owner before its sender is told to come again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a sender has to come again whose message was admitted, or refused.
const UNREAD: &str = "the answer of another replica can't be read";

/// Looks for messages and for answers, for as long as the replica is there.
pub(super) async fn carry(core: Arc<Core>) {
    loop {
        sleep(core.config.poll).await;
        hear(&core).await;
        if core.stopping.is_up() {
            continue;
        }
        if let Err(e) = fetch(&core).await {
            tracing::warn!(error = %e, "the messages of other replicas can't be read");
        }
    }
}

/// Takes what others left for the partitions that are ours.
async fn fetch(core: &Arc<Core>) -> Result<()> {
    if lock(&core.doors).is_empty() {
        return Ok(());
    }
    // A partition whose door is full keeps its order: the rest of it waits.
    let mut full = BTreeSet::new();
    for ticket in relay::waiting(&core.parts.store).await? {
        if full.contains(&ticket.partition) || lock(&core.taken).contains(&ticket.key) {
            continue;
        }
        let Some((door, _)) = core.door(ticket.partition, &ticket.row.channel) else { continue };
        let Ok(room) = door.try_reserve() else {
            full.insert(ticket.partition);
            continue;
        };
        let (envelope, nonce) = match relay::message(&core.parts.store, &ticket).await {
            Ok(Some(message)) => message,
            Ok(None) => continue,
            // A newer program's: what is behind it in its partition waits.
            Err(e) if e.kind() == ErrorKind::ServerError => {
                tracing::warn!(error = %e, "a message of another replica can't be read");
                full.insert(ticket.partition);
                continue;
            }
            Err(e) => return Err(e),
        };
        lock(&core.taken).insert(ticket.key.clone());
        let store = Arc::clone(&core.parts.store);
        let mut delivery =
            Delivery::new(envelope, Answer { store, ticket, taken: Arc::clone(&core.taken) });
        if let Some(nonce) = nonce {
            delivery = delivery.with_nonce(nonce);
        }
        room.send(delivery);
    }
    Ok(())
}

/// Tells senders what the owners of their conversations made of their messages.
async fn hear(core: &Arc<Core>) {
    if lock(&core.relayed).is_empty() {
        return;
    }
    if let Err(e) = answered(core).await {
        tracing::warn!(error = %e, "the answers of other replicas can't be read");
    }
    for (number, ticket, age) in overdue(core) {
        match relay::withdraw(&core.parts.store, &ticket).await {
            Ok(true) => {
                settle(core, number, again("nobody answers this conversation at the moment"));
            }
            // It was answered, and the answer ran out before we could read it.
            Ok(false) if age > PATIENCE + KEEP => settle(core, number, again(UNREAD)),
            Ok(false) | Err(_) => {}
        }
    }
}

/// A verdict that has the sender come again: what was admitted meanwhile is no news then.
fn again(why: &'static str) -> Ack {
    Ack::Retry { after: SOON, error: Error::new(ErrorKind::Unavailable, why) }
}

/// What waited too long, and what was left behind it; the newest first, so that nothing overtakes.
fn overdue(core: &Core) -> Vec<(u64, Ticket, Duration)> {
    let relayed = lock(&core.relayed);
    let late = |one: &&Relayed| {
        let ack = core.parts.acks.get(&one.ticket.row.channel);
        one.since.elapsed() > PATIENCE && ack != Some(&AckPolicy::Replied)
    };
    let stuck: BTreeSet<u16> =
        relayed.values().filter(late).map(|one| one.ticket.partition).collect();
    let behind = relayed.iter().rev().filter(|(_, one)| stuck.contains(&one.ticket.partition));
    behind.map(|(number, one)| (*number, one.ticket.clone(), one.since.elapsed())).collect()
}

async fn answered(core: &Arc<Core>) -> Result<()> {
    let answers = relay::answers(&core.parts.store, core.from).await?;
    let mut keys = Vec::with_capacity(answers.len());
    for (number, key, ack) in answers {
        // A newer program's may become readable, when its replica gives way to one of ours.
        let waits = ack.is_none() && is_young(core, number);
        if !waits {
            settle(core, number, ack.unwrap_or_else(|| again(UNREAD)));
            keys.push(key);
        }
    }
    if keys.is_empty() { Ok(()) } else { relay::heard(&core.parts.store, keys).await }
}

/// Does somebody wait for this answer, and not too long yet?
fn is_young(core: &Core, number: u64) -> bool {
    lock(&core.relayed).get(&number).is_some_and(|one| one.since.elapsed() <= PATIENCE)
}

/// Tells the sender, without holding up anybody else.
fn settle(core: &Arc<Core>, number: u64, ack: Ack) {
    let relayed = lock(&core.relayed).remove(&number);
    if let Some(Relayed { settle, .. }) = relayed {
        core.tells.spawn(tell(settle, ack));
    }
}

/// Takes the verdict back to the replica that left the message.
#[derive(Debug)]
struct Answer {
    store: SharedStore,
    ticket: Ticket,
    taken: Arc<Mutex<BTreeSet<Key>>>,
}

#[async_trait]
impl Acker for Answer {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        // What has to come again stays where it is, before what was left behind it.
        relay::answer(&self.store, &self.ticket, &ack).await
    }

    fn abandon(self: Box<Self>) {}
}

impl Drop for Answer {
    /// Told, cut off in the middle or given up. Unheard, it is taken again: the dedupe row answers.
    fn drop(&mut self) {
        lock(&self.taken).remove(&self.ticket.key);
    }
}
