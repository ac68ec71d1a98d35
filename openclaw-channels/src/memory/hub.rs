//! What a memory channel and its peer share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openclaw_core::{
    Call, Content, Effect, Error, ErrorKind, IdempotencyKey, Result, TenantId,
    channel::{Ack, Capabilities, Outbound},
};
use tokio::{sync::Notify, time::Instant};

use crate::redelivery::{Handed, Posted, Redelivery, Ticket};

/// What became of the messages a peer injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryCounts {
    /// Messages that the peer injected.
    pub injected: u64,
    /// Deliveries that were handed out, repeats counted.
    pub delivered: u64,
    /// Deliveries settled with `Accept`.
    pub accepted: u64,
    /// Those of the accepted that the gateway had admitted before.
    pub duplicates: u64,
    /// Deliveries settled with `Retry`.
    pub retried: u64,
    /// Deliveries that were dropped unsettled.
    pub abandoned: u64,
    /// Deliveries settled with `DeadLetter`.
    pub dead_lettered: u64,
}

impl MemoryCounts {
    /// How many messages got their last verdict.
    #[must_use]
    pub const fn finished(&self) -> u64 {
        self.accepted + self.dead_lettered
    }
}

/// One request that the channel made of its peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sent {
    /// The id that the receipt told.
    pub message: Arc<str>,
    /// Whose message it is.
    pub tenant: TenantId,
    /// The key it came under.
    pub key: Option<IdempotencyKey>,
    /// What was sent.
    pub outbound: Outbound,
}

impl Sent {
    /// The text of a post or an edit; empty for the rest.
    #[must_use]
    pub fn text(&self) -> String {
        let empty = Content::text("");
        let content = match &self.outbound {
            Outbound::Post { part, .. } | Outbound::Edit { part, .. } => &part.content,
            Outbound::Delete { .. } | Outbound::React { .. } | Outbound::Typing { .. } => &empty,
        };
        content.to_text().into_owned()
    }
}

/// Both directions. The locks are std ones: nothing waits while it holds one.
#[derive(Debug)]
pub(super) struct Hub {
    redelivers: bool,
    keyed: bool,
    capacity: usize,
    inbound: Mutex<Inbound>,
    outbound: Mutex<Sending>,
    arrived: Notify,
    settled: Notify,
    sent: Notify,
}

#[derive(Debug)]
struct Inbound {
    queue: Redelivery,
    /// Grows with every connect and every drop; a source of another number is stale.
    connection: u64,
    connected: bool,
    closed: bool,
    counts: MemoryCounts,
}

#[derive(Debug, Default)]
struct Sending {
    last: u64,
    log: VecDeque<Sent>,
    /// The posts whose keys are remembered, and the order in which they are forgotten.
    keys: BTreeMap<(TenantId, IdempotencyKey), Arc<str>>,
    order: VecDeque<(TenantId, IdempotencyKey)>,
}

/// What a source finds when it looks.
#[derive(Debug)]
pub(super) enum Found {
    Messages(Vec<Handed>),
    Nothing { until: Option<Instant> },
    Ended,
    Stale,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn new(capabilities: &Capabilities, capacity: usize) -> Self {
        let inbound = Inbound {
            queue: Redelivery::new(capacity),
            connection: 0,
            connected: true,
            closed: false,
            counts: MemoryCounts::default(),
        };
        Self {
            redelivers: capabilities.redelivers,
            keyed: matches!(capabilities.post, Effect::Keyed { .. }),
            capacity,
            inbound: Mutex::new(inbound),
            outbound: Mutex::default(),
            arrived: Notify::new(),
            settled: Notify::new(),
            sent: Notify::new(),
        }
    }

    pub(super) fn post(&self, posted: Posted) -> Result<()> {
        let mut inbound = lock(&self.inbound);
        if inbound.closed {
            return Err(Error::new(ErrorKind::Conflict, "the peer has closed the channel"));
        }
        inbound.queue.push(posted)?;
        inbound.counts.injected += 1;
        drop(inbound);
        self.arrived.notify_one();
        Ok(())
    }

    /// Opens a connection: sources of earlier ones become stale.
    pub(super) fn connect(&self) -> u64 {
        let mut inbound = lock(&self.inbound);
        inbound.connection += 1;
        inbound.connected = true;
        let connection = inbound.connection;
        drop(inbound);
        self.arrived.notify_waiters();
        connection
    }

    /// Drops the connection: what is unsettled comes again over the next one.
    pub(super) fn disconnect(&self) {
        let mut inbound = lock(&self.inbound);
        inbound.connection += 1;
        inbound.connected = false;
        if self.redelivers {
            inbound.queue.all_again(Instant::now());
        }
        drop(inbound);
        self.arrived.notify_waiters();
    }

    pub(super) fn close(&self) {
        lock(&self.inbound).closed = true;
        self.arrived.notify_waiters();
    }

    pub(super) fn is_connected(&self) -> bool {
        lock(&self.inbound).connected
    }

    pub(super) const fn arrived(&self) -> &Notify {
        &self.arrived
    }

    pub(super) fn look(&self, connection: u64, max: usize) -> Found {
        let mut inbound = lock(&self.inbound);
        if inbound.connection != connection {
            return Found::Stale;
        }
        let handed = inbound.queue.take(max, Instant::now());
        if !handed.is_empty() {
            inbound.counts.delivered += handed.len() as u64;
            return Found::Messages(handed);
        }
        // What is out may still come again.
        let over = inbound.queue.waiting() + inbound.queue.unsettled() == 0;
        if inbound.closed && over {
            return Found::Ended;
        }
        Found::Nothing { until: inbound.queue.next_due() }
    }

    /// Takes a verdict to the peer. `false` when the delivery is stale.
    pub(super) fn settle(&self, ticket: Ticket, ack: Ack) -> bool {
        let mut inbound = lock(&self.inbound);
        let Some(mut posted) = inbound.queue.settle(ticket) else { return false };
        match ack {
            Ack::Accept(admitted) => {
                inbound.counts.accepted += 1;
                inbound.counts.duplicates += u64::from(admitted.duplicate);
                posted.answer(Ok(admitted));
            }
            Ack::DeadLetter { reason } => {
                inbound.counts.dead_lettered += 1;
                posted.answer(Err(reason));
            }
            Ack::Retry { after, error } => {
                inbound.counts.retried += 1;
                if self.redelivers {
                    inbound.queue.again(ticket, posted, after, Instant::now());
                } else {
                    posted.answer(Err(error));
                }
            }
        }
        drop(inbound);
        self.wake();
        true
    }

    pub(super) fn abandon(&self, ticket: Ticket) {
        let mut inbound = lock(&self.inbound);
        let Some(posted) = inbound.queue.settle(ticket) else { return };
        inbound.counts.abandoned += 1;
        if self.redelivers {
            let now = Instant::now();
            inbound.queue.again(ticket, posted, std::time::Duration::ZERO, now);
        }
        drop(inbound);
        self.wake();
    }

    fn wake(&self) {
        self.settled.notify_waiters();
        self.arrived.notify_one();
    }

    pub(super) fn counts(&self) -> MemoryCounts {
        lock(&self.inbound).counts
    }

    pub(super) fn backlog(&self) -> (usize, usize) {
        let inbound = lock(&self.inbound);
        (inbound.queue.waiting(), inbound.queue.unsettled())
    }

    pub(super) const fn settled(&self) -> &Notify {
        &self.settled
    }

    /// Records a request, and names it. A key that is known is answered as the first time.
    pub(super) fn send(&self, call: Call<Outbound>) -> Result<Arc<str>> {
        let tenant = call.context().tenant().clone();
        let key = call.key().cloned();
        let mut sending = lock(&self.outbound);
        let keyed = self.keyed && matches!(call.payload(), Outbound::Post { .. });
        let owned = key.clone().filter(|_| keyed).map(|key| (tenant.clone(), key));
        if let Some(known) = owned.as_ref().and_then(|owned| sending.keys.get(owned)) {
            return Ok(Arc::clone(known));
        }
        if sending.log.len() >= self.capacity {
            return Err(Error::new(
                ErrorKind::Overloaded,
                "the peer does not read what it is sent",
            )
            .with("capacity", self.capacity));
        }
        sending.last += 1;
        let message: Arc<str> = format!("m{}", sending.last).into();
        if let Some(owned) = owned {
            sending.remember(owned, Arc::clone(&message), self.capacity);
        }
        let outbound = call.into_payload();
        sending.log.push_back(Sent { message: Arc::clone(&message), tenant, key, outbound });
        drop(sending);
        self.sent.notify_one();
        Ok(message)
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        lock(&self.outbound).log.iter().cloned().collect()
    }

    pub(super) fn take_sent(&self) -> VecDeque<Sent> {
        std::mem::take(&mut lock(&self.outbound).log)
    }

    pub(super) async fn next_sent(&self) -> Sent {
        loop {
            if let Some(sent) = lock(&self.outbound).log.pop_front() {
                return sent;
            }
            self.sent.notified().await;
        }
    }
}

impl Sending {
    fn remember(&mut self, key: (TenantId, IdempotencyKey), message: Arc<str>, most: usize) {
        if self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.keys.insert(key, message);
    }
}
