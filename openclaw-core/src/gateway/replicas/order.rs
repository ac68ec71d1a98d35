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
    store::{Key, Version},
};

/// How long a conversation waits: its message may have come again at another replica's door.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages of one conversation that are remembered.
const DEEPEST: usize = 256;

/// The way that a message takes behind the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Into our own gateway of its partition, which has this fence.
    Door(Version),
    /// Through the store, to another replica.
    Post,
}

/// The messages of each conversation whose end is not known, in order.
#[derive(Debug, Default)]
pub(super) struct Order(BTreeMap<Key, VecDeque<Open>>);

/// A message that is on its way, or has to come again.
#[derive(Debug)]
struct Open {
    id: Arc<str>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay(Way),
    /// Waited for until then.
    Again(Instant),
}

impl Order {
    /// May this message go this way?
    ///
    /// Everything before it that has to come again must be on its way again, and all of that on
    /// the same way: two ways end at different times. A copy of what is on its way waits too.
    fn pass(&mut self, lane: &Key, id: &Arc<str>, way: Way) -> bool {
        let now = Instant::now();
        let open = self.0.entry(lane.clone()).or_default();
        open.retain(|one| !matches!(one.state, State::Again(until) if until <= now));
        let same = |one: &Open| one.state == State::OnItsWay(way);
        // What is behind it in the list is there because it was refused behind it.
        let before = open.iter().position(|one| one.id == *id).unwrap_or(open.len());
        let passes = open.iter().take(before).all(same)
            && open.get(before).is_none_or(|one| matches!(one.state, State::Again(_)))
            && before < DEEPEST;
        if passes {
            let state = State::OnItsWay(way);
            match open.get_mut(before) {
                Some(one) => one.state = state,
                None => open.push_back(Open { id: Arc::clone(id), state }),
            }
        } else if before == open.len() && before < DEEPEST {
            let state = State::Again(now + PATIENCE);
            open.push_back(Open { id: Arc::clone(id), state });
        }
        passes
    }

    /// It has to come again.
    fn failed(&mut self, lane: &Key, id: &Arc<str>) {
        let open = self.0.get_mut(lane).into_iter().flatten();
        for one in open.filter(|one| one.id == *id) {
            one.state = State::Again(Instant::now() + PATIENCE);
        }
    }

    /// It is in, or refused for good: nobody waits for it.
    fn ended(&mut self, lane: &Key, id: &Arc<str>) {
        let Some(open) = self.0.get_mut(lane) else { return };
        open.retain(|one| one.id != *id);
        if open.is_empty() {
            self.0.remove(lane);
        }
    }
}

/// The delivery with its place in the order, or the duty to tell that it has to come again.
pub(super) fn admit(
    order: &Arc<Mutex<Order>>,
    way: Way,
    delivery: Delivery,
) -> std::result::Result<Delivery, Settle> {
    let nonce = delivery.nonce().cloned();
    let (envelope, settle) = delivery.into_parts();
    let Some(id) = envelope.id.clone() else { return Ok(again(envelope, settle, nonce)) };
    let lane = session_key(&envelope.tenant, &envelope.conversation);
    if !lock(order).pass(&lane, &id, way) {
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

    const DOOR: Way = Way::Door(Version::new(1));

    #[tokio::test(start_paused = true)]
    async fn what_has_to_come_again_comes_in_its_order() {
        let (mut order, lane, [one, two, three, four]) = (Order::default(), lane(), ids());
        for id in [&one, &two, &three] {
            assert!(order.pass(&lane, id, DOOR));
        }
        // The gateway behind the door is gone.
        for id in [&three, &one, &two] {
            order.failed(&lane, id);
        }
        assert!(!order.pass(&lane, &four, Way::Post), "nothing overtakes");
        assert!(!order.pass(&lane, &two, Way::Post));
        assert!(order.pass(&lane, &one, Way::Post) && order.pass(&lane, &two, Way::Post));
        order.failed(&lane, &one);
        assert!(!order.pass(&lane, &three, Way::Post), "the first failed again");
        assert!(order.pass(&lane, &one, Way::Post));
        assert!(order.pass(&lane, &three, Way::Post) && order.pass(&lane, &four, Way::Post));
        for id in ids() {
            order.ended(&lane, &id);
        }
        assert!(order.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn while_something_is_on_one_way_nothing_goes_another() {
        let (mut order, lane, [one, two, ..]) = (Order::default(), lane(), ids());
        assert!(order.pass(&lane, &one, DOOR));
        assert!(!order.pass(&lane, &two, Way::Post), "the door was closed behind the first");
        assert!(!order.pass(&lane, &two, Way::Door(Version::new(2))));
        assert!(!order.pass(&lane, &one, DOOR), "a copy of what is on its way");
        order.ended(&lane, &one);
        assert!(order.pass(&lane, &two, Way::Post));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_came_again_elsewhere_is_not_waited_for_for_ever() {
        let (mut order, lane, [one, two, ..]) = (Order::default(), lane(), ids());
        assert!(order.pass(&lane, &one, DOOR));
        order.failed(&lane, &one);
        assert!(!order.pass(&lane, &two, DOOR));
        tokio::time::advance(PATIENCE).await;
        assert!(order.pass(&lane, &two, DOOR));
        order.ended(&lane, &two);
        assert!(order.0.is_empty());
    }
}
