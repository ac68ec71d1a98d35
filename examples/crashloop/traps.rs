//! Crash points, made by wrappers around public traits: the child stands still exactly there.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Call, ChannelId, Content, Result,
    channel::{Capabilities, Channel, Health, Outbound, Part, Receipt, Reconcile, Source},
    skill::{Skill, SkillAnswer, SkillManifest},
    store::{
        Commit, Entry, Key, Op, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};
use openclaw_testkit::env::SeededRng;
use serde_json::Value;
use tokio::{sync::watch, time::sleep};

use crate::{
    link::Link,
    skills::message_of,
    wire::{Name, Point, Trap, Up},
};

/// One commit in so many loses its answer, wherever it is.
const LOST_ONE_IN: u64 = 200;
/// What is on its way when a gateway is to stand still comes to its end in less.
const SETTLES: Duration = Duration::from_millis(20);

/// The trap that is set, if one is, and whether the gateway behind it stands still.
#[derive(Debug)]
pub(crate) struct Traps {
    set: Mutex<Option<Trap>>,
    link: Arc<Link>,
    frozen: watch::Sender<bool>,
    /// Commits, calls and sends on their way.
    inside: AtomicUsize,
}

/// Something on its way, until it is dropped.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Traps {
    pub(crate) fn new(link: Arc<Link>) -> Arc<Self> {
        let (frozen, inside) = (watch::Sender::new(false), AtomicUsize::new(0));
        Arc::new(Self { set: Mutex::default(), link, frozen, inside })
    }

    /// Lets a gateway that stands still go on with what it was about to do.
    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// Holds whatever the gateway asks of its store, and waits for what it has begun: what is
    /// marked is called and has its answer, as if the process were paused between two questions.
    async fn freeze(&self) {
        self.frozen.send_replace(true);
        let mut quiet = 0;
        while quiet < 2 {
            sleep(SETTLES).await;
            quiet = if self.inside.load(Ordering::Acquire) == 0 { quiet + 1 } else { 0 };
        }
        self.link.say(Up::At { point: Point::C6, message: None }).await;
    }

    /// Waits while the gateway stands still.
    async fn thawed(&self) {
        // The sender lives as long as this.
        drop(self.frozen.subscribe().wait_for(|frozen| !frozen).await);
    }

    fn enter(&self) -> Inside<'_> {
        self.inside.fetch_add(1, Ordering::AcqRel);
        Inside(&self.inside)
    }

    /// Sets the next trap.
    pub(crate) fn set(&self, trap: Trap) {
        *lock(&self.set) = Some(trap);
    }

    /// Does the trap spring here? At most one does, once.
    fn springs(&self, point: Point, other: Option<bool>) -> Option<Trap> {
        let mut set = lock(&self.set);
        let trap = set.as_mut().filter(|trap| trap.point == point)?;
        if other.is_some_and(|other| other != trap.other) {
            return None;
        }
        if let Some(less) = trap.skip.checked_sub(1) {
            trap.skip = less;
            return None;
        }
        set.take()
    }

    /// Goes on, unless the trap is set here: then it tells the parent and waits for its end.
    async fn pass(&self, point: Point) {
        if self.springs(point, None).is_some() {
            self.stand(point, None).await;
        }
    }

    /// The crash point inside the turn of a message.
    async fn pass_in(&self, point: Point, message: Option<Name>) {
        if message.is_some() && self.springs(point, None).is_some() {
            self.stand(point, message).await;
        }
    }

    async fn pass_other(&self, point: Point, other: bool) {
        if self.springs(point, Some(other)).is_some() {
            self.stand(point, None).await;
        }
    }

    async fn stand(&self, point: Point, message: Option<Name>) {
        self.link.say(Up::At { point, message }).await;
        std::future::pending::<()>().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store with crash points before and after its commits, which also loses answers.
#[derive(Debug)]
pub(crate) struct TrapStore<S> {
    inner: S,
    traps: Arc<Traps>,
    dice: SeededRng,
    /// The row by which the gateway will look up the commit whose answer C7 has lost.
    lost: Mutex<Option<Key>>,
}

/// How the answer of a commit gets lost.
#[derive(Clone, Copy)]
struct Loss {
    applied: bool,
    /// The look-up that follows is where the child dies.
    stand: bool,
}

impl<S: StateStore> TrapStore<S> {
    pub(crate) fn new(inner: S, traps: Arc<Traps>, dice: SeededRng) -> Self {
        Self { inner, traps, dice, lost: Mutex::default() }
    }

    async fn before(&self, label: &str) {
        if label == "admit" {
            self.traps.pass(Point::C0).await;
        }
        if label == "settle" && self.traps.springs(Point::C6, None).is_some() {
            self.traps.freeze().await;
        }
        self.traps.thawed().await;
    }

    async fn after(&self, label: &str) {
        match label {
            "claim" => self.traps.pass(Point::C1).await,
            "dispatch" => self.traps.pass(Point::C2).await,
            "admit" => self.traps.pass_other(Point::C4, false).await,
            "settle" => self.traps.pass_other(Point::C4, true).await,
            "turn" => self.traps.pass(Point::C5).await,
            _ => {}
        }
    }

    /// Is the answer of this commit to be lost?
    fn loss(&self) -> Option<Loss> {
        if let Some(trap) = self.traps.springs(Point::C7, None) {
            return Some(Loss { applied: !trap.other, stand: true });
        }
        let loses = self.dice.below(LOST_ONE_IN) == 0;
        loses.then(|| Loss { applied: self.dice.chance(0.5), stand: false })
    }

    /// The answer that was lost.
    fn lose(&self, txn: &Txn, loss: Loss) -> StoreError {
        self.traps.link.try_say(Up::Lost { applied: loss.applied });
        if loss.stand {
            let row = |op: &Op| match op {
                Op::Put { key, .. } => Some(key.clone()),
                _ => None,
            };
            *lock(&self.lost) = txn.ops.iter().find_map(row);
        }
        StoreError::OutcomeUnknown(txn.id)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for TrapStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let looked_up = lock(&self.lost).as_ref().is_some_and(|lost| keys.contains(lost));
        if looked_up {
            self.traps.stand(Point::C7, None).await;
        }
        self.traps.thawed().await;
        self.inner.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.traps.thawed().await;
        self.inner.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.before(txn.label).await;
        let _inside = self.traps.enter();
        if let Some(loss) = self.loss() {
            let lost = self.lose(&txn, loss);
            if loss.applied {
                self.inner.commit(txn).await?;
            }
            return Err(lost);
        }
        let label = txn.label;
        let outcome = self.inner.commit(txn).await;
        if matches!(outcome, Ok(Commit::Applied(_))) {
            self.after(label).await;
        }
        outcome
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let Some(label) = txns.first().map(|txn| txn.label) else { return Vec::new() };
        self.before(label).await;
        let _inside = self.traps.enter();
        let Some(loss) = self.loss() else {
            let outcomes = self.inner.commit_many(txns).await;
            self.after(label).await;
            return outcomes;
        };
        // The connection breaks inside the batch: nothing behind the break is answered.
        let whole = usize::try_from(self.dice.below(txns.len() as u64)).unwrap_or_default();
        let mut answered = txns;
        let mut behind = answered.split_off(whole);
        let lost: Vec<_> = behind.iter().rev().map(|txn| Err(self.lose(txn, loss))).collect();
        let mut outcomes = if loss.applied {
            answered.append(&mut behind);
            self.inner.commit_many(answered).await
        } else {
            self.inner.commit_many(answered).await
        };
        outcomes.truncate(whole);
        outcomes.extend(lost);
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.inner.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.inner.snapshot().await
    }
}

/// A skill with crash points before and after its call.
#[derive(Debug)]
pub(crate) struct TrapSkill<S> {
    inner: S,
    traps: Arc<Traps>,
}

impl<S> TrapSkill<S> {
    pub(crate) const fn new(inner: S, traps: Arc<Traps>) -> Self {
        Self { inner, traps }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Skill> Skill for TrapSkill<S> {
    fn manifest(&self) -> &SkillManifest {
        self.inner.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let reworded = message_of(call.payload()).filter(|message| message.is_reworded());
        self.traps.pass_in(Point::C13, reworded).await;
        let _inside = self.traps.enter();
        let answer = self.inner.run(call).await?;
        self.traps.pass(Point::C3).await;
        self.traps.pass_in(Point::C13, reworded).await;
        Ok(answer)
    }

    fn validate(&self, input: &Value) -> Result<()> {
        self.inner.validate(input)
    }

    fn validate_output(&self, output: &Value) -> Result<()> {
        self.inner.validate_output(output)
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile()
    }
}

/// A channel with a crash point after its send.
#[derive(Debug)]
pub(crate) struct TrapChannel<C> {
    inner: C,
    traps: Arc<Traps>,
}

impl<C> TrapChannel<C> {
    pub(crate) const fn new(inner: C, traps: Arc<Traps>) -> Self {
        Self { inner, traps }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: Channel> Channel for TrapChannel<C> {
    fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        self.inner.receive().await
    }

    async fn send(&self, call: Call<Outbound>) -> Result<Receipt> {
        let _inside = self.traps.enter();
        let receipt = self.inner.send(call).await?;
        self.traps.pass(Point::C3).await;
        Ok(receipt)
    }

    fn render(&self, content: &Content) -> Vec<Part> {
        self.inner.render(content)
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        self.inner.reconcile()
    }
}
