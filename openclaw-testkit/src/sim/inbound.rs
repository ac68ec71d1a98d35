//! The way in: messages that wait for a gateway, and what their senders are told.

use std::{
    collections::{BTreeSet, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Envelope, Error, ErrorKind, MessageId, Result, TenantId,
    channel::{Ack, Acker, Delivery, Nonce, Source},
    gateway::AckPolicy,
    store::StateStore as _,
};
use tokio::{sync::Notify, time::sleep};

use super::{
    Fault,
    here::Here,
    mark::{life, row},
    rows::everywhere,
    scene::Line,
};
use crate::env::SeededRng;

/// One message that is offered once.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) ticket: u64,
    pub(super) envelope: Envelope,
    pub(super) nonce: Option<Nonce>,
}

/// What an offer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted {
        message: MessageId,
        duplicate: bool,
    },
    Retry {
        after: Duration,
    },
    Refused(ErrorKind),
    /// Nothing was heard of it.
    Lost,
}

/// The way in of one platform; it outlives the processes.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    next: u64,
    waiting: VecDeque<Offer>,
    told: VecDeque<(u64, Verdict)>,
}

impl Inbound {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a message; the ticket names the offer.
    pub(super) fn offer(&self, envelope: Envelope, nonce: Option<Nonce>) -> u64 {
        let ticket = {
            let mut queues = self.queues();
            queues.next += 1;
            let ticket = queues.next;
            queues.waiting.push_back(Offer { ticket, envelope, nonce });
            ticket
        };
        self.changed.notify_waiters();
        ticket
    }

    /// Waits for the next verdict.
    pub(super) async fn verdict(&self) -> (u64, Verdict) {
        loop {
            let changed = self.changed.notified();
            if let Some(told) = self.queues().told.pop_front() {
                return told;
            }
            changed.await;
        }
    }

    fn tell(&self, ticket: u64, verdict: Verdict) {
        self.queues().told.push_back((ticket, verdict));
        self.changed.notify_waiters();
    }

    /// Takes what waits, at most `max`; another order where `mix` says so.
    fn pull(&self, max: NonZeroUsize, ordered: bool, mix: Option<&SeededRng>) -> Vec<Offer> {
        let mut queues = self.queues();
        let mut batch = Vec::new();
        while batch.len() < max.get() && !queues.waiting.is_empty() {
            let at = mix.map_or(0, |rng| queues.draw(ordered, rng));
            batch.extend(queues.waiting.remove(at));
        }
        batch
    }
}

impl Queues {
    /// The place of an offer that may come next: the first of its conversation where that counts.
    fn draw(&self, ordered: bool, rng: &SeededRng) -> usize {
        let mut seen = BTreeSet::new();
        let open: Vec<usize> = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, offer)| {
                let place = &offer.envelope.conversation;
                seen.insert((offer.envelope.tenant.as_str(), &*place.id)) || !ordered
            })
            .map(|(at, _)| at)
            .collect();
        rng.pick(&open).copied().unwrap_or_default()
    }
}

/// One process's subscription.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) here: Here,
    pub(super) line: openclaw_core::ChannelId,
}

impl Inlet {
    fn line(&self) -> Result<&Line> {
        let missing = || Error::new(ErrorKind::NotFound, "the platform has no such line");
        self.here.scene.lines.get(&self.line).ok_or_else(missing)
    }
}

#[async_trait]
impl Source for Inlet {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        loop {
            self.here.power.gate().await;
            let dice = &self.here.scene.dice;
            let line = self.line()?;
            let changed = line.inbound.changed.notified();
            if !line.inbound.queues().waiting.is_empty() {
                if dice.strikes(Fault::SourceFails) {
                    return Err(Error::new(ErrorKind::Unavailable, "the connection broke"));
                }
                let facts = &line.facts.capabilities;
                let ordered = facts.redelivers;
                let mix = dice.strikes(Fault::Reorder).then_some(&self.here.scene.rng);
                let batch = line.inbound.pull(max, ordered, mix);
                return Ok(batch.into_iter().map(|offer| self.deliver(offer)).collect());
            }
            changed.await;
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Inlet {
    fn deliver(&self, offer: Offer) -> Delivery {
        let Offer { ticket, envelope, nonce } = offer;
        self.here.scene.books().pulled(self.here.process, name_of(&envelope));
        let slip = Slip {
            here: self.here.clone(),
            line: self.line.clone(),
            tenant: envelope.tenant.clone(),
            ticket,
            told: false,
        };
        let delivery = Delivery::new(envelope, slip);
        match nonce {
            Some(nonce) => delivery.with_nonce(nonce),
            None => delivery,
        }
    }
}

/// What a platform calls a message.
pub(super) fn name_of(envelope: &Envelope) -> String {
    let place = &envelope.conversation;
    let id = envelope.id.as_deref().unwrap_or_default();
    format!("{}/{}/{}/{id}", envelope.tenant, place.channel, place.account)
}

/// The duty to settle one offer; lost with its process.
#[derive(Debug)]
struct Slip {
    here: Here,
    line: openclaw_core::ChannelId,
    tenant: TenantId,
    ticket: u64,
    told: bool,
}

impl Slip {
    fn tell(&mut self, verdict: Verdict) {
        self.told = true;
        let scene = &self.here.scene;
        let what = format!("told {} {}: {verdict:?}", self.line, self.ticket);
        scene.books().event(self.here.process, &what);
        if let Some(line) = scene.lines.get(&self.line) {
            line.inbound.tell(self.ticket, verdict);
        }
    }

    /// What is acknowledged must be durable, now.
    async fn check(&self, message: MessageId) {
        let scene = Arc::clone(&self.here.scene);
        let keys = everywhere(&self.tenant, message);
        let found = scene.rows.get_many(&keys).await;
        let rows = found.map(|rows| rows.value).unwrap_or_default();
        let durable = rows.iter().any(Option::is_some);
        let live = rows.first().is_some_and(Option::is_some);
        let late = scene.lines.get(&self.line).is_some_and(|l| l.facts.ack == AckPolicy::Replied);
        // What was final then may have been put back since.
        let put_back = |c: &super::books::Course| c.labels.contains(&"replay");
        let again = scene.books().courses.get(&message).is_some_and(put_back);
        if live && late && !again && !self.here.is_stopping() {
            scene.violate(format!("{message} was acknowledged before it was finished"));
        }
        let purged = scene.books().purged.contains(&message);
        if !durable && !purged {
            scene.violate(format!("{message} was acknowledged and is not durable"));
        }
    }
}

#[async_trait]
impl Acker for Slip {
    async fn settle(mut self: Box<Self>, ack: Ack) -> Result<()> {
        self.here.power.gate().await;
        let dice = self.here.scene.dice.clone();
        if let Ack::Accept(admitted) = &ack {
            self.check(admitted.message).await;
        }
        if dice.strikes(Fault::SlowAck) {
            sleep(Duration::from_millis(dice.below(Fault::SlowAck, 3_000))).await;
            self.here.power.gate().await;
        }
        if dice.strikes(Fault::LostAck) {
            self.tell(Verdict::Lost);
            return Ok(());
        }
        let marks = self.here.scene.marks.clone();
        let verdict = match ack {
            Ack::Accept(admitted) => {
                let (message, duplicate) = (admitted.message, admitted.duplicate);
                let open = |course: &super::books::Course| course.open;
                if duplicate && self.here.scene.books().courses.get(&message).is_some_and(open) {
                    marks.hit(row::C10);
                }
                Verdict::Accepted { message, duplicate }
            }
            Ack::Retry { after, .. } => {
                marks.hit(life::RETRIED);
                Verdict::Retry { after }
            }
            Ack::DeadLetter { reason } => {
                marks.hit(life::REFUSED);
                Verdict::Refused(reason.kind())
            }
        };
        self.tell(verdict);
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Verdict::Lost);
        }
    }
}
