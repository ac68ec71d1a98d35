//! A store with a volatile and a durable half, in one thread and in paused time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Env, TenantId,
    records::Rollouts,
    store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, TxnId, Version,
    },
};
use tokio::time::sleep;

use super::{
    Fault,
    here::Here,
    mark::{life, row, tried},
    rolled::{BY_HAND, OPERATORS, Turn},
    second::ids,
};

/// More commits than any run needs: behind it a process spins, and the run ends.
const MOST: u64 = 60_000;

/// One process's way to the store.
///
/// A commit is volatile until it is applied to the durable rows; a process that dies in
/// between loses it, unless it was on its way to a store that lives elsewhere. What is durable
/// is what readers see.
#[derive(Clone, Debug)]
pub(super) struct SimStore(pub(super) Here);

impl SimStore {
    fn unknown(&self, n: u64) -> StoreError {
        self.0.scene.marks.hit(row::C7);
        StoreError::OutcomeUnknown(TxnId::new(n))
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.0.power.gate().await;
        if self.0.scene.dice.strikes(Fault::StoreFailsRead) || self.away() {
            return Err(away());
        }
        Ok(())
    }

    /// Is the store out of reach? It stays away for a while.
    fn away(&self) -> bool {
        let scene = &self.0.scene;
        let now = tokio::time::Instant::now();
        let mut books = scene.books();
        if scene.dice.strikes(Fault::StoreAway) {
            let span = Duration::from_millis(500 + scene.dice.below(Fault::StoreAway, 9_500));
            books.store_away = Some(now + span);
        }
        scene.dice.storming() && books.store_away.is_some_and(|until| now < until)
    }

    /// How long the commit is volatile.
    fn span(&self) -> Duration {
        let dice = &self.0.scene.dice;
        if dice.strikes(Fault::StoreSlow) {
            self.0.scene.books().held_up += 1;
            return Duration::from_millis(1 + dice.below(Fault::StoreSlow, 2_000));
        }
        Duration::from_millis(self.0.scene.rng.below(4))
    }

    async fn apply(&self, txn: Txn) -> Result<Commit, StoreError> {
        let outcome = self.0.scene.rows.commit(txn.clone()).await;
        self.write_down(&txn, &outcome);
        if txn.label == "rollout" && matches!(outcome, Ok(Commit::Applied(_))) {
            self.rolled().await;
        }
        outcome
    }

    fn write_down(&self, txn: &Txn, outcome: &Result<Commit, StoreError>) {
        let mut books = self.0.scene.books();
        match outcome {
            Ok(Commit::Applied(_)) => {
                books.applied(self.0.process, txn);
                if txn.label == "admit" {
                    books.admitted(&self.0.scene.plan.config);
                }
                drop(books);
                self.marks_of(txn);
            }
            Ok(Commit::Conflict(lost)) => {
                books.conflicted(self.0.process, txn, lost.failed);
                if self.0.process < books.owner {
                    self.0.scene.marks.hit(life::FENCED);
                }
            }
            Err(_) => {}
        }
    }

    fn marks_of(&self, txn: &Txn) {
        let mark = match txn.label {
            "claim" => row::C1,
            "decide" => life::DECIDED,
            "resolve" => life::RESOLVED,
            "replay" => life::REPLAYED,
            "purge" => life::PURGED,
            "reconcile" => life::RECONCILED,
            "defer" => life::DEFERRED,
            _ => return,
        };
        self.0.scene.marks.hit(mark);
    }

    /// Writes down how rollouts stand behind a commit of one.
    async fn rolled(&self) {
        let Here { scene, process, .. } = &self.0;
        let Ok(operators) = TenantId::new(OPERATORS) else { return };
        let env = Env::new(scene.clock.clone(), scene.rng.clone());
        let rollouts = Rollouts::new(env, Arc::new(scene.rows.clone()), operators);
        for skill in ids() {
            let now = match rollouts.get(&skill).await {
                Ok(now) => now,
                Err(e) => return scene.violate(format!("the rollout of {skill}: {e}")),
            };
            let turn = scene.rolled().durable(*process, &skill, now);
            match turn {
                Some(Turn::RolledBack(why)) => {
                    scene.marks.hit(if *why == *BY_HAND { tried::BY_HAND } else { tried::COUNTED });
                }
                Some(Turn::Wrong(why)) => scene.violate(format!("the rollout of {skill} {why}")),
                Some(Turn::Changed) | None => {}
            }
        }
    }

    /// The volatile part of a commit: applied when its span is over, if anybody is left.
    async fn on_its_way(&self, txn: Txn, span: Duration) -> Result<Commit, StoreError> {
        if span.is_zero() {
            return self.apply(txn).await;
        }
        let here = self.clone();
        let arrives = tokio::spawn(async move {
            sleep(span).await;
            if here.0.power.is_cut() && !here.0.scene.dice.strikes(Fault::LateCommit) {
                here.0.scene.marks.hit(row::C8);
                if txn.label == "admit" {
                    here.0.scene.marks.hit(row::C0);
                }
                return Err(away());
            }
            here.apply(txn).await
        });
        arrives.await.unwrap_or_else(|_| Err(away()))
    }

    async fn commit_one(&self, txn: Txn) -> Result<Commit, StoreError> {
        let n = self.0.next_commit();
        if n > MOST {
            self.0.scene.violate(format!("process {} never comes to an end", self.0.process));
            std::future::pending::<()>().await;
        }
        let dice = &self.0.scene.dice;
        let seizing = txn.label == "seize";
        if self.away() || dice.strikes(Fault::StoreRefuses) {
            self.0.scene.books().held_up += 1;
            return Err(away());
        }
        if dice.strikes(Fault::StoreLosesRequest) {
            self.doubt(&txn);
            return Err(self.unknown(n));
        }
        if dice.strikes(Fault::StoreHangs) {
            self.0.scene.books().held_up += 1;
            self.doubt(&txn);
            let span = Duration::from_millis(1_000 + dice.below(Fault::StoreHangs, 60_000));
            if dice.below(Fault::StoreHangs, 2) == 0 {
                self.on_its_way(txn, span).await?;
            } else {
                sleep(span).await;
            }
            self.0.power.gate().await;
            return Err(self.unknown(n));
        }
        let rollout = || if txn.label == "rollout" { self.0.dies_at_rollout() } else { None };
        match self.0.dies_at_commit(n).or_else(rollout) {
            Some(false) => return self.0.power.die().await,
            Some(true) => {
                self.apply(txn).await?;
                return self.0.power.die().await;
            }
            None => {}
        }
        let lost = !seizing && dice.strikes(Fault::StoreLosesAnswer);
        if lost {
            self.doubt(&txn);
        }
        let outcome = self.on_its_way(txn, self.span()).await?;
        self.0.power.gate().await;
        if lost { Err(self.unknown(n)) } else { Ok(outcome) }
    }

    /// Nobody will be told at once whether this admission was applied.
    fn doubt(&self, txn: &Txn) {
        if txn.label == "admit" {
            self.0.scene.books().doubt_admission(txn);
        }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the store is away".to_owned())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for SimStore {
    fn capabilities(&self) -> StoreCapabilities {
        // An answer can be lost on the way.
        self.0.scene.rows.capabilities().certain(false)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.read().await?;
        self.0.scene.rows.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.read().await?;
        self.0.scene.rows.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.0.power.gate().await;
        self.commit_one(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.0.power.gate().await;
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit_one(txn).await);
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.read().await?;
        self.0.scene.rows.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.read().await?;
        self.0.scene.rows.snapshot().await
    }
}
