//! A store that counts what is asked of it.

mod metrics;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

pub use self::metrics::{CallMetrics, StoreLatencies, StoreMetrics, StoreOutcome};
use self::metrics::{Calls, Counters};
use crate::traits::store::{
    Commit, Entry, Key, Op, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
    StoreError, Txn, Version,
};

/// A [`StateStore`] that counts the calls of another one, and takes their time.
///
/// Clones share the counters, which are atomics: a call costs a few additions. Everything is
/// forwarded unchanged. An error of the store is also a `tracing` event, a warning unless it is
/// the caller's own (`TooLarge`, `Forbidden`, `Unsupported`: debug).
///
/// ```
/// use openclaw_core::{Env, store::{Key, MemoryStore, MeteredStore, Op, StateStore, StoreOutcome, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// let store = MeteredStore::new(MemoryStore::new(Env::system().clock()));
/// store.commit(Txn::new("docs").op(Op::put(Key::system("doc").build(), "hello"))).await?;
///
/// let metrics = store.metrics();
/// assert_eq!(metrics.commit.count(StoreOutcome::Applied), 1);
/// assert_eq!((metrics.ops, metrics.scan.calls), (1, 0));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct MeteredStore<S> {
    inner: S,
    counters: Arc<Counters>,
}

impl<S: StateStore> MeteredStore<S> {
    /// Counts what is asked of this store from now on.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, counters: Arc::default() }
    }

    /// The numbers so far. They are read one by one, while calls go on.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.counters.snapshot()
    }

    /// The store itself: calls of it are not counted.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The store itself.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn read<'a>(&self, rows: impl Iterator<Item = (&'a Key, &'a Entry)>) {
        let (mut count, mut bytes) = (0, 0);
        for (key, entry) in rows {
            count += 1;
            bytes += size(key.as_bytes(), &entry.value);
        }
        self.counters.rows_read.fetch_add(count, Relaxed);
        self.counters.bytes_read.fetch_add(bytes, Relaxed);
    }

    fn committed(&self, weight: Weight, outcome: &Result<Commit, StoreError>) {
        if let Ok(Commit::Applied(_)) = outcome {
            self.counters.ops.fetch_add(weight.ops, Relaxed);
            self.counters.bytes_written.fetch_add(weight.bytes, Relaxed);
        }
    }
}

/// What a transaction writes when it is applied.
#[derive(Clone, Copy)]
struct Weight {
    label: &'static str,
    ops: u64,
    bytes: u64,
}

impl Weight {
    fn of(txn: &Txn) -> Self {
        let bytes = txn.ops.iter().map(|op| match op {
            Op::Put { key, value, .. } => size(key.as_bytes(), value),
            Op::Append { prefix, value, .. } => size(prefix.as_bytes(), value) + 10,
            Op::Add { key, .. } => size(key.as_bytes(), &[0; 8]),
            Op::Delete { .. } | Op::Touch { .. } => 0,
        });
        Self { label: txn.label, ops: txn.ops.len() as u64, bytes: bytes.sum() }
    }
}

const fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

/// A call under way; dropped before its end, it was abandoned.
struct Running<'a> {
    calls: &'a Calls,
    began: Instant,
    ended: bool,
}

impl<'a> Running<'a> {
    fn begin(calls: &'a Calls) -> Self {
        calls.begin();
        Self { calls, began: Instant::now(), ended: false }
    }

    /// How long it took.
    fn end(&mut self) -> Duration {
        self.ended = true;
        self.calls.end();
        self.began.elapsed()
    }

    fn answer<T>(mut self, call: &'static str, answer: &Result<T, StoreError>) {
        let took = self.end();
        let outcome = match answer {
            Ok(_) => StoreOutcome::Answered,
            Err(e) => {
                tell(call, "", e);
                StoreOutcome::of_error(e)
            }
        };
        self.calls.record(outcome, took);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.calls.abandon();
        }
    }
}

fn tell(call: &'static str, label: &'static str, error: &StoreError) {
    match error {
        StoreError::TooLarge { .. } | StoreError::Forbidden(_) | StoreError::Unsupported(_) => {
            refused(call, label, error);
        }
        _ => failed(call, label, error),
    }
}

fn refused(call: &'static str, label: &'static str, error: &StoreError) {
    tracing::debug!(call, label, %error, "the store refused a call");
}

fn failed(call: &'static str, label: &'static str, error: &StoreError) {
    tracing::warn!(call, label, %error, "the store failed");
}

fn tell_commit(call: &'static str, weight: Weight, outcome: &Result<Commit, StoreError>) {
    if let Err(e) = outcome {
        tell(call, weight.label, e);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for MeteredStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let running = Running::begin(&self.counters.get_many);
        let answer = self.inner.get_many(keys).await;
        running.answer("get_many", &answer);
        if let Ok(found) = &answer {
            let rows = keys.iter().zip(&found.value);
            self.read(rows.filter_map(|(key, entry)| Some((key, entry.as_ref()?))));
        }
        answer
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let running = Running::begin(&self.counters.scan);
        let answer = self.inner.scan(query).await;
        running.answer("scan", &answer);
        if let Ok(found) = &answer {
            self.read(found.value.rows.iter().map(|(key, entry)| (key, entry)));
        }
        answer
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let weight = Weight::of(&txn);
        let mut running = Running::begin(&self.counters.commit);
        let outcome = self.inner.commit(txn).await;
        let took = running.end();
        self.counters.commit.record(StoreOutcome::of_commit(&outcome), took);
        self.committed(weight, &outcome);
        tell_commit("commit", weight, &outcome);
        outcome
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let weights: Vec<Weight> = txns.iter().map(Weight::of).collect();
        let mut running = Running::begin(&self.counters.commit_many);
        let outcomes = self.inner.commit_many(txns).await;
        let took = running.end();
        for (weight, outcome) in weights.into_iter().zip(&outcomes) {
            self.counters.commit_many.record(StoreOutcome::of_commit(outcome), took);
            self.committed(weight, outcome);
            tell_commit("commit_many", weight, outcome);
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        let running = Running::begin(&self.counters.raise);
        let answer = self.inner.raise(least).await;
        running.answer("raise", &answer);
        answer
    }

    /// The call is counted; what is read from the snapshot is not.
    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let running = Running::begin(&self.counters.snapshot);
        let answer = self.inner.snapshot().await;
        running.answer("snapshot", &answer);
        answer
    }
}
