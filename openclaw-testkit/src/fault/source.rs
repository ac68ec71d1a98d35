//! What comes in, and its verdicts on their way back.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    num::NonZeroUsize,
};

use async_trait::async_trait;
use openclaw_core::{
    ChannelId, Conversation, Result, TenantId,
    channel::{Ack, Acker, Delivery, Settle, Source},
};

use super::{Fault, Plan, pass::injected};

#[derive(Debug)]
pub(super) struct FaultSource {
    inner: Box<dyn Source>,
    channel: ChannelId,
    plan: Plan,
    /// The second of each duplicate, until the next pull.
    held: VecDeque<Delivery>,
}

impl FaultSource {
    pub(super) const fn new(inner: Box<dyn Source>, channel: ChannelId, plan: Plan) -> Self {
        Self { inner, channel, plan, held: VecDeque::new() }
    }

    /// The deliveries that were held back, as many as fit.
    fn held(&mut self, max: NonZeroUsize) -> Vec<Delivery> {
        let n = self.held.len().min(max.get());
        self.held.drain(..n).collect()
    }

    /// Puts what was pulled into another order, or holds back a second one of it.
    fn disorder(&mut self, mut batch: Vec<Delivery>) -> Vec<Delivery> {
        let can: fn(Fault) -> bool = match lanes(&batch) {
            0 => return batch,
            1 if batch.len() == 1 => |fault| fault == Fault::Duplicate,
            1 => |fault| matches!(fault, Fault::Duplicate | Fault::Shuffle),
            _ => |fault| matches!(fault, Fault::Duplicate | Fault::Reorder | Fault::Shuffle),
        };
        match self.plan.meet(&["next", self.channel.as_str()], can) {
            Some(Fault::Duplicate) => {
                let at = self.plan.below(batch.len());
                self.held.extend(batch.get(at).map(second));
            }
            Some(Fault::Reorder) => reorder(&self.plan, &mut batch),
            Some(Fault::Shuffle) => shuffle(&self.plan, &mut batch),
            _ => {}
        }
        batch
    }

    /// Has the verdicts of a delivery meet the plan.
    fn wrap(&self, delivery: Delivery) -> Delivery {
        let nonce = delivery.nonce().cloned();
        let (envelope, settle) = delivery.into_parts();
        let acker = FaultAcker { settle, channel: self.channel.clone(), plan: self.plan.clone() };
        let wrapped = Delivery::new(envelope, acker);
        match nonce {
            Some(nonce) => wrapped.with_nonce(nonce),
            None => wrapped,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Source for FaultSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        let held = self.held(max);
        if !held.is_empty() {
            return Ok(held);
        }
        let names = ["next", self.channel.as_str()];
        let pass = self.plan.enter(&names, Fault::telling, injected).await?;
        let batch = pass.leave(self.inner.next(max).await).await?;
        let batch = batch.into_iter().map(|delivery| self.wrap(delivery)).collect();
        Ok(self.disorder(batch))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let names = ["close", self.channel.as_str()];
        let pass = self.plan.enter(&names, Fault::asking, injected).await?;
        pass.leave(self.inner.close().await).await
    }
}

/// The same message again, with the same nonce.
fn second(first: &Delivery) -> Delivery {
    let delivery = Delivery::new(first.envelope().clone(), Unheard);
    match first.nonce() {
        Some(nonce) => delivery.with_nonce(nonce.clone()),
        None => delivery,
    }
}

/// The lane of a delivery: its tenant and its conversation.
type Lane = (TenantId, Conversation);

fn lane(delivery: &Delivery) -> Lane {
    let envelope = delivery.envelope();
    (envelope.tenant.clone(), envelope.conversation.clone())
}

fn lanes(batch: &[Delivery]) -> usize {
    let lanes: HashSet<Lane> = batch.iter().map(lane).collect();
    lanes.len()
}

/// Moves everything: a cyclic permutation (Sattolo's), so that the order always changes.
fn shuffle<T>(plan: &Plan, items: &mut [T]) {
    for end in (1..items.len()).rev() {
        items.swap(end, plan.below(end));
    }
}

/// Shuffles the lanes of a batch, and fills each lane's places in its own order.
fn reorder(plan: &Plan, batch: &mut Vec<Delivery>) {
    let mut places: Vec<Lane> = batch.iter().map(lane).collect();
    shuffle(plan, &mut places);
    let mut lanes: HashMap<Lane, VecDeque<Delivery>> = HashMap::new();
    for delivery in batch.drain(..) {
        lanes.entry(lane(&delivery)).or_default().push_back(delivery);
    }
    let next = |place| lanes.get_mut(&place).and_then(VecDeque::pop_front);
    batch.extend(places.into_iter().filter_map(next));
}

/// The duty to settle one delivery, under the plan.
#[derive(Debug)]
struct FaultAcker {
    settle: Settle,
    channel: ChannelId,
    plan: Plan,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Acker for FaultAcker {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        let names = ["settle", self.channel.as_str()];
        let pass = self.plan.enter(&names, Fault::telling, injected).await?;
        pass.leave(self.settle.settle(ack).await).await
    }

    fn abandon(self: Box<Self>) {
        // The settle that is dropped with it abandons the delivery.
        drop(self);
    }
}

/// The verdict over a second delivery: nobody waits for it.
#[derive(Debug)]
struct Unheard;

#[async_trait]
impl Acker for Unheard {
    async fn settle(self: Box<Self>, _: Ack) -> Result<()> {
        Ok(())
    }

    fn abandon(self: Box<Self>) {}
}
