//! The store in memory: the model that every other engine is compared with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    apply::{Row, Table, apply},
    frozen::{Facts, Frozen, Moment},
};
use crate::{
    Clock, Timestamp,
    traits::store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, Version,
    },
};

/// How many expired rows one commit clears away.
const SWEEP: usize = 8;

/// A [`StateStore`] in memory: complete, fast, and gone with the process.
///
/// Clones share the rows. One mutex around one ordered map: every commit is short, and a
/// mutex keeps "strictly serialisable" obvious.
///
/// ```
/// use openclaw_core::{Env, store::{MemoryStore, StateStore}};
///
/// let store = MemoryStore::new(Env::system().clock());
/// assert!(!store.capabilities().durable);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<Key, Row>,
    expiring: BTreeSet<(Timestamp, Key)>,
    version: u64,
    now: Timestamp,
}

impl MemoryStore {
    /// An empty store on this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { clock, state: Mutex::default() }))
    }

    /// Rows in the store, expired ones that were not cleared away included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Is there no row?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state, its time moved on.
    fn lock(&self) -> MutexGuard<'_, State> {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = state.now.max(now);
        state
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rows", &self.len()).finish_non_exhaustive()
    }
}

impl State {
    fn read(&self, key: &Key, now: Timestamp) -> Option<Entry> {
        self.rows.get(key).filter(|row| row.is_live(now)).cloned().map(Row::entry)
    }

    fn commit(&mut self, txn: Txn) -> Result<Commit, StoreError> {
        self.sweep();
        let (version, now) = (Version::new(self.version + 1), self.now);
        let outcome = apply(self, txn, version, now)?;
        if let Commit::Applied(_) = outcome {
            self.version += 1;
        }
        Ok(outcome)
    }

    fn sweep(&mut self) {
        for _ in 0..SWEEP {
            match self.expiring.first() {
                Some((at, _)) if *at <= self.now => {}
                _ => return,
            }
            if let Some((_, key)) = self.expiring.pop_first() {
                self.rows.remove(&key);
            }
        }
    }

    fn page(&self, query: &ScanQuery, now: Timestamp) -> Page {
        let live = |(_, row): &(&Key, &Row)| row.is_live(now);
        let range = self.rows.range::<Key, _>(bounds(query));
        let limit = query.limit.get();
        let take = |rows: &mut dyn Iterator<Item = (&Key, &Row)>| -> Vec<(Key, Entry)> {
            rows.take(limit + 1).map(|(key, row)| (key.clone(), row.clone().entry())).collect()
        };
        let mut rows = if query.reverse {
            take(&mut range.rev().filter(live))
        } else {
            take(&mut range.filter(live))
        };
        let more = rows.len() > limit;
        rows.truncate(limit);
        Page::new(rows, more)
    }
}

/// The keys a query asks for, as a range that is never inverted.
pub(super) fn bounds(query: &ScanQuery) -> (Bound<Key>, Bound<Key>) {
    let start = Key::from_bytes(query.prefix.as_bytes().to_vec());
    let end = query.prefix.end().map(Key::from_bytes);
    let low = match &query.after {
        Some(after) if !query.reverse && *after >= start => Bound::Excluded(after.clone()),
        _ => Bound::Included(start.clone()),
    };
    let high = match (&query.after, end) {
        (Some(after), Some(end)) if query.reverse && *after < end => {
            Bound::Excluded(after.clone().max(start))
        }
        (Some(after), None) if query.reverse => Bound::Excluded(after.clone().max(start)),
        (_, Some(end)) => Bound::Excluded(end),
        (_, None) => Bound::Unbounded,
    };
    match (&low, &high) {
        (Bound::Excluded(l) | Bound::Included(l), Bound::Excluded(h)) if l >= h => {
            (Bound::Included(h.clone()), Bound::Excluded(h.clone()))
        }
        _ => (low, high),
    }
}

const LIMITS: StoreCapabilities = StoreCapabilities::new(false).certain(true);

impl Table for State {
    fn row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        Ok(self.rows.get(key).cloned())
    }

    fn head(&self, key: &Key) -> Result<Option<(Version, Timestamp)>, StoreError> {
        Ok(self.rows.get(key).map(|row| (row.version, row.expires)))
    }

    fn put(&mut self, key: Key, row: Row) -> Result<(), StoreError> {
        if row.expires < Timestamp::MAX {
            self.expiring.insert((row.expires, key.clone()));
        }
        let expires = row.expires;
        if let Some(old) = self.rows.get_mut(&key) {
            let before = std::mem::replace(old, row).expires;
            if before < Timestamp::MAX && before != expires {
                self.expiring.remove(&(before, key));
            }
        } else {
            self.rows.insert(key, row);
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<(), StoreError> {
        if let Some((key, old)) = self.rows.remove_entry(key)
            && old.expires < Timestamp::MAX
        {
            self.expiring.remove(&(old.expires, key));
        }
        Ok(())
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    fn capabilities(&self) -> StoreCapabilities {
        LIMITS
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let state = self.lock();
        Ok(Snapshot::new(keys.iter().map(|key| state.read(key, state.now)).collect(), state.now))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let state = self.lock();
        Ok(Snapshot::new(state.page(&query, state.now), state.now))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check(&LIMITS)?;
        self.lock().commit(txn)
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut state = self.lock();
        txns.into_iter().map(|txn| txn.check(&LIMITS).and_then(|()| state.commit(txn))).collect()
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        least.check_raise()?;
        let mut state = self.lock();
        state.version = state.version.max(least.get());
        Ok(())
    }

    /// Copies the map, not the values: commits wait for as long as that takes.
    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let state = self.lock();
        let facts = Facts { as_of: state.now, version: Version::new(state.version) };
        let rows = state.rows.clone();
        drop(state);
        Ok(Frozen::shared(State { rows, ..State::default() }, facts, LIMITS))
    }
}

/// These rows as a moment.
#[cfg(feature = "redis")]
pub(super) fn moment(rows: Vec<(Key, Entry)>) -> impl Moment {
    let rows = rows.into_iter().map(|(key, entry)| {
        let Entry { value, version, expires_at } = entry;
        (key, Row { version, expires: expires_at.unwrap_or(Timestamp::MAX), value })
    });
    State { rows: rows.collect(), ..State::default() }
}

#[async_trait]
impl Moment for State {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        Ok(keys.iter().map(|key| self.read(key, now)).collect())
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        Ok(self.page(query, now))
    }
}
