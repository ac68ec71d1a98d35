//! A store written the plain way, with one flaw at a time planted into it.

mod late;
mod read;
mod snapshot;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use bytes::Bytes;
use openclaw_core::{
    Clock, Timestamp,
    store::{
        Commit, Entry, Key, MAX_KEY_LEN, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};
use tokio::task::yield_now;

use crate::flaws::Flaw;

/// What a store keeps; cloned, it is what a reopened one finds.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    rows: BTreeMap<Vec<u8>, Row>,
    version: u64,
    now: Timestamp,
    /// The rows before the last commit.
    before: BTreeMap<Vec<u8>, Row>,
    reads: u64,
    /// Answered, and not applied.
    pending: Option<Txn>,
    /// Commits that wait, by their number.
    waiting: BTreeSet<u64>,
    tickets: u64,
}

#[derive(Clone, Debug)]
struct Row {
    version: u64,
    until: Option<Timestamp>,
    value: Bytes,
}

#[derive(Debug)]
pub(crate) struct NaiveStore {
    flaw: Flaw,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// How many threads a flaw holds between two steps.
    held: (Mutex<u32>, Condvar),
    /// The first moment that was frozen, and how many were.
    frozen: Mutex<(Option<State>, u32)>,
}

impl NaiveStore {
    pub(crate) fn open(flaw: Flaw, clock: Arc<dyn Clock>, state: &Arc<Mutex<State>>) -> Self {
        Self {
            flaw,
            clock,
            state: Arc::clone(state),
            held: Default::default(),
            frozen: Mutex::default(),
        }
    }

    /// What a restart does to the state: nothing, unless that is the flaw.
    pub(crate) fn restart(flaw: Flaw, state: &Mutex<State>) {
        let mut state = state.lock().unwrap();
        match flaw {
            Flaw::LosesItsLastRow => drop(state.rows.pop_last()),
            Flaw::VersionsRestart => state.version = 0,
            Flaw::TimeRestarts => state.now = Timestamp::default(),
            Flaw::ForgetsExpiryAtRestart => {
                state.rows.values_mut().for_each(|row| row.until = None);
            }
            Flaw::LogRestarts => state.version /= 2,
            Flaw::RaisesAreForgotten => {
                state.version = state.rows.values().map(|row| row.version).max().unwrap_or(0);
            }
            _ => {}
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        state.now = match self.flaw {
            Flaw::TimeGoesBack => now,
            Flaw::TimeStandsStill if state.now > Timestamp::default() => state.now,
            _ => state.now.max(now),
        };
        state
    }

    fn name(&self, key: &[u8]) -> Vec<u8> {
        match self.flaw {
            Flaw::KeysAreText => String::from_utf8_lossy(key).into_owned().into_bytes(),
            Flaw::KeysIgnoreCase => key.to_ascii_lowercase(),
            Flaw::KeysAreCut => key.iter().take(MAX_KEY_LEN).copied().collect(),
            Flaw::TenantsShareRows => {
                let tenant = key.get(1).map_or(0, |len| usize::from(*len) + 2);
                key.get(tenant..).filter(|_| key.first() == Some(&0)).unwrap_or(key).to_vec()
            }
            _ => key.to_vec(),
        }
    }

    fn is_live(&self, row: &Row, now: Timestamp) -> bool {
        match (row.until, self.flaw) {
            (Some(until), Flaw::ExpiresEarly) => until.as_millis() > now.as_millis() + 1,
            (Some(until), Flaw::ExpiresLate) => until >= now,
            (Some(until), _) => until > now,
            (None, _) => true,
        }
    }

    fn live<'a>(&self, state: &'a State, key: &[u8]) -> Option<&'a Row> {
        state.rows.get(&self.name(key)).filter(|row| self.is_live(row, state.now))
    }

    fn entry(&self, row: &Row) -> Entry {
        let value = match self.flaw {
            Flaw::ValuesEndAtZero => {
                row.value.split(|b| *b == 0).next().map(Bytes::copy_from_slice)
            }
            _ => None,
        };
        Entry::new(value.unwrap_or_else(|| row.value.clone()), Version::new(row.version))
            .expiring(row.until)
    }
}

#[async_trait::async_trait]
impl StateStore for NaiveStore {
    fn capabilities(&self) -> StoreCapabilities {
        let mut facts = StoreCapabilities::new(true);
        (facts.max_value, facts.max_ops) = (40_000, 64);
        if self.is(Flaw::FactsChange) && self.state.lock().unwrap().version > 0 {
            facts.max_ops = 65;
        }
        facts
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let mut found = Vec::new();
        let mut state = self.as_read();
        for key in keys {
            if self.is(Flaw::ReadsAreNoSnapshot) || self.is(Flaw::TakeoversIgnoreGuards) {
                yield_now().await;
                state = self.as_read();
            }
            let row = match self.flaw {
                Flaw::ExpiredAreRead => state.rows.get(&self.name(key.as_bytes())),
                _ => self.live(&state, key.as_bytes()),
            };
            found.push(row.map(|row| self.entry(row)));
        }
        match self.flaw {
            Flaw::AbsentAreLeftOut => found.retain(Option::is_some),
            Flaw::ReadsAreSorted => found.sort_by_key(|e| e.as_ref().map(|e| e.value.clone())),
            _ => {}
        }
        Ok(Snapshot::new(found, self.lock().now))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let state = self.lock();
        Ok(Snapshot::new(self.page(&state, &query), state.now))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.check(&txn)?;
        Ok(match self.flaw {
            Flaw::ChecksThenActs => self.slowly(&txn).await,
            Flaw::ShowsPieces => self.piecewise(&txn).await,
            Flaw::AppendsByArrival if txn.guards.is_empty() => self.late(&txn).await,
            _ if self.flaw.is_of_answers() => self.answered(&txn).await,
            _ => self.apply(&mut self.lock(), &txn),
        })
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::new();
        for txn in txns {
            let outcome = self.commit(txn).await;
            let applied = matches!(outcome, Ok(Commit::Applied(_)));
            outcomes.push(outcome);
            if self.is(Flaw::BatchesStopAtALoss) && !applied {
                break;
            }
        }
        match self.flaw {
            Flaw::BatchesAnswerBackwards => outcomes.reverse(),
            Flaw::LongBatchesAreCut => outcomes.truncate(256),
            _ => {}
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        if !self.is(Flaw::RaisesBeyondTheHighest) {
            least.check_raise()?;
        }
        let mut state = self.lock();
        state.version = match self.flaw {
            Flaw::RaisesAreIgnored => state.version,
            Flaw::RaisesAreOffByOne => state.version.max(least.get().saturating_sub(1)),
            Flaw::RaisesLower => least.get(),
            _ => state.version.max(least.get()),
        };
        Ok(())
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.freeze().await
    }
}
