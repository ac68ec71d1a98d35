//! What it freezes: a copy of everything.

use std::sync::Arc;

use openclaw_core::store::{
    Applied, Commit, Conflict, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore,
    StoreCapabilities, StoreError, Txn, Version,
};
use tokio::task::yield_now;

use super::{NaiveStore, State};
use crate::flaws::Flaw;

/// Snapshots at once, where nobody frees them.
const MOST: u32 = 100;

/// A moment, as a store that only reads.
#[derive(Debug)]
struct Frozen {
    rows: NaiveStore,
    moment: State,
    flaw: Flaw,
}

impl NaiveStore {
    pub(super) async fn freeze(&self) -> Result<SharedStore, StoreError> {
        let mut moment = self.lock().clone();
        if self.is(Flaw::SnapshotsAreTakenInPieces) {
            let (taken, middle) = (moment.rows, 3);
            self.pause().await;
            moment = self.lock().clone();
            moment.rows = taken
                .into_iter()
                .take(middle)
                .chain(moment.rows.into_iter().skip(middle))
                .collect();
        }
        {
            let mut frozen = self.frozen.lock().unwrap();
            frozen.1 += 1;
            if self.is(Flaw::SnapshotsAreNeverFreed) && frozen.1 > MOST {
                return Err(StoreError::Unavailable("too many snapshots".to_owned()));
            }
            let first = frozen.0.get_or_insert_with(|| moment.clone());
            if self.is(Flaw::SnapshotsAreOfOneMoment) {
                moment = first.clone();
            }
        }
        yield_now().await;
        let rows = Self::open(self.flaw, Arc::clone(&self.clock), &self.state);
        Ok(Arc::new(Frozen { rows, moment, flaw: self.flaw }))
    }
}

impl Frozen {
    /// What is shown: the moment, unless that is the flaw.
    fn state(&self) -> State {
        let mut state = match self.flaw {
            Flaw::SnapshotsAreLive => self.rows.lock().clone(),
            _ => self.moment.clone(),
        };
        match self.flaw {
            Flaw::SnapshotsExpire => state.now = self.rows.lock().now,
            Flaw::SnapshotsForgetExpiry => {
                state.rows.retain(|_, row| self.rows.is_live(row, self.moment.now));
                state.rows.values_mut().for_each(|row| row.until = None);
            }
            Flaw::SnapshotsShowTheExpired => state.now = Default::default(),
            Flaw::SnapshotsKnowTheirRowsVersions => {
                state.version = state.rows.values().map(|row| row.version).max().unwrap_or(0);
            }
            _ => {}
        }
        state
    }

    fn answer<T>(&self, value: T) -> Snapshot<T> {
        Snapshot::new(value, self.moment.now)
    }
}

#[async_trait::async_trait]
impl StateStore for Frozen {
    fn capabilities(&self) -> StoreCapabilities {
        self.rows.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let state = self.state();
        let read =
            |key: &Key| self.rows.live(&state, key.as_bytes()).map(|row| self.rows.entry(row));
        Ok(self.answer(keys.iter().map(read).collect()))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        Ok(self.answer(self.rows.page(&self.state(), &query)))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        if self.flaw == Flaw::SnapshotsAreWritten {
            return self.rows.commit(txn).await;
        }
        if !txn.ops.is_empty() {
            return Err(StoreError::Unsupported("writing in a snapshot".to_owned()));
        }
        let state = self.state();
        for (at, guard) in txn.guards.iter().enumerate() {
            let row = self.rows.live(&state, guard.key().as_bytes());
            let holds = guard.holds(row.map(|row| Version::new(row.version)));
            if !holds && self.flaw != Flaw::SnapshotsAnswerAnyGuard {
                return Ok(Commit::Conflict(Conflict::new(
                    at,
                    row.map(|row| self.rows.entry(row)),
                )));
            }
        }
        Ok(Commit::Applied(Applied::new(Version::new(state.version), state.now, Vec::new())))
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let rows = NaiveStore::open(self.flaw, Arc::clone(&self.rows.clock), &self.rows.state);
        Ok(Arc::new(Self { rows, moment: self.moment.clone(), flaw: self.flaw }))
    }

    async fn raise(&self, _least: Version) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("raising in a snapshot".to_owned()))
    }
}
