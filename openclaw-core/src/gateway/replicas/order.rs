//! Order at a door: behind a message that has to come again, its conversation waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::lock;
use crate::{
    Envelope, Result,
    channel::{Ack, Acker, Delivery, Settle},
    records::sessions::session_key,
    store::Key,
};

/// How long a conversation waits: its message may have come again at another replica's door.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages of one conversation that are remembered.
const DEEPEST: usize = 256;

/// The messages of each conversation that have to come again, in order.
#[derive(Debug, Default)]
pub(super) struct Order(BTreeMap<Key, VecDeque<Again>>);

/// A message that has to come again, or did and is on its way.
#[derive(Debug)]
struct Again {
    id: Arc<str>,
    until: Instant,
    on_its_way: bool,
}

impl Order {
    /// May this message go on? Everything before it that has to come again must be on its way.
    fn pass(&mut self, lane: &Key, id: &Arc<str>) -> bool {
        let Some(waiting) = self.0.get_mut(lane) else { return true };
        let now = Instant::now();
        waiting.retain(|again| again.on_its_way || again.until > now);
        let first = waiting.iter_mut().find(|again| !again.on_its_way);
        let passes = first.as_ref().is_none_or(|first| first.id == *id);
        if let Some(first) = first.filter(|first| first.id == *id) {
            first.on_its_way = true;
        }
        if waiting.is_empty() {
            self.0.remove(lane);
        }
        passes
    }

    /// It has to come again.
    fn failed(&mut self, lane: &Key, id: &Arc<str>) {
        let until = Instant::now() + PATIENCE;
        let waiting = self.0.entry(lane.clone()).or_default();
        if let Some(again) = waiting.iter_mut().find(|again| again.id == *id) {
            (again.on_its_way, again.until) = (false, until);
        } else if waiting.len() < DEEPEST {
            waiting.push_back(Again { id: Arc::clone(id), until, on_its_way: false });
        }
    }

    /// It is in, or refused for good: nobody waits for it.
    fn ended(&mut self, lane: &Key, id: &Arc<str>) {
        let Some(waiting) = self.0.get_mut(lane) else { return };
        waiting.retain(|again| again.id != *id);
        if waiting.is_empty() {
            self.0.remove(lane);
        }
    }
}

/// A delivery that keeps its place, or the one that has to come again because it may not pass.
pub(super) fn admit(
    order: &Arc<Mutex<Order>>,
    delivery: Delivery,
) -> std::result::Result<Delivery, Settle> {
    let nonce = delivery.nonce().cloned();
    let (envelope, settle) = delivery.into_parts();
    let Some(id) = envelope.id.clone() else { return Ok(again(envelope, settle, nonce)) };
    let lane = session_key(&envelope.tenant, &envelope.conversation);
    if !lock(order).pass(&lane, &id) {
        lock(order).failed(&lane, &id);
        return Err(settle);
    }
    let placed = Placed { order: Arc::clone(order), lane, id, settle: Some(settle) };
    Ok(again(envelope, placed, nonce))
}

fn again(envelope: Envelope, acker: impl Acker, nonce: Option<crate::channel::Nonce>) -> Delivery {
    let delivery = Delivery::new(envelope, acker);
    match nonce {
        Some(nonce) => delivery.with_nonce(nonce),
        None => delivery,
    }
}

/// Hears what becomes of a message, and tells its sender.
#[derive(Debug)]
struct Placed {
    order: Arc<Mutex<Order>>,
    lane: Key,
    id: Arc<str>,
    settle: Option<Settle>,
}

#[async_trait]
impl Acker for Placed {
    async fn settle(mut self: Box<Self>, ack: Ack) -> Result<()> {
        match &ack {
            Ack::Accept(_) | Ack::DeadLetter { .. } => {
                lock(&self.order).ended(&self.lane, &self.id);
            }
            Ack::Retry { .. } => lock(&self.order).failed(&self.lane, &self.id),
        }
        match self.settle.take() {
            Some(settle) => settle.settle(ack).await,
            None => Ok(()),
        }
    }

    fn abandon(self: Box<Self>) {
        lock(&self.order).failed(&self.lane, &self.id);
    }
}

#[async_trait]
impl Acker for Settle {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        (*self).settle(ack).await
    }

    fn abandon(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> [Arc<str>; 4] {
        ["1", "2", "3", "4"].map(Arc::from)
    }

    fn lane() -> Key {
        Key::system("lane").build()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_to_come_again_comes_in_its_order() {
        let (mut order, lane, [one, two, three, four]) = (Order::default(), lane(), ids());
        for id in [&one, &two, &three] {
            assert!(order.pass(&lane, id));
        }
        // The gateway behind the door is gone.
        for id in [&one, &two, &three] {
            order.failed(&lane, id);
        }
        assert!(!order.pass(&lane, &four), "nothing overtakes");
        order.failed(&lane, &four);
        assert!(!order.pass(&lane, &two));
        assert!(order.pass(&lane, &one) && order.pass(&lane, &two), "one behind the other");
        order.failed(&lane, &one);
        assert!(!order.pass(&lane, &three), "the first failed again");
        assert!(order.pass(&lane, &one) && order.pass(&lane, &three) && order.pass(&lane, &four));
        for id in ids() {
            order.ended(&lane, &id);
        }
        assert!(order.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_came_again_elsewhere_is_not_waited_for_for_ever() {
        let (mut order, lane, [one, two, ..]) = (Order::default(), lane(), ids());
        order.failed(&lane, &one);
        assert!(!order.pass(&lane, &two));
        tokio::time::advance(PATIENCE).await;
        assert!(order.pass(&lane, &two));
        assert!(order.0.is_empty());
    }
}
