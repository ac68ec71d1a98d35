//! A store that is watched, and broken on purpose.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use openclaw_core::{
    Happened,
    store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, TxnId, Version,
    },
};

use super::{Fault, Plan};
use crate::trace::{Event, Trace, rows_of};

/// A [`StateStore`] whose operations meet the faults of a [`Plan`].
///
/// * `"commit"`, and its transaction's label: tells.
/// * `"raise"`: tells.
/// * `"get"` and `"scan"`, both also `"read"`: ask.
///
/// A lost commit is `OutcomeUnknown`, a failed one `Unavailable`. A batch is handed on as one
/// while the plan has no rules; after that its commits go one by one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// use openclaw_core::store::{Key, MemoryStore, Op, StateStore, StateStoreExt, Txn};
/// use openclaw_testkit::{env::test_env, fault::{FaultStore, Plan}, trace::Trace};
///
/// let (plan, trace) = (Plan::default(), Trace::default());
/// let rows = MemoryStore::new(test_env(1).clock());
/// let store = FaultStore::new(rows, plan.clone()).traced(trace.clone());
/// let key = Key::system("doc").text("greeting").build();
/// let note = Txn::new("note").op(Op::put(key.clone(), "hello"));
/// plan.fail_next("note", 1);
/// assert!(store.commit(note.clone()).await.is_err());
/// store.commit(note).await?;
/// plan.fail("read");
/// assert!(store.get(&key).await.is_err());
/// plan.heal();
/// assert!(store.get(&key).await?.is_some());
/// assert_eq!((trace.commits(), store.applied()), (vec!["note"], 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FaultStore<S> {
    inner: S,
    plan: Plan,
    trace: Option<Trace>,
    applied: Arc<AtomicU64>,
}

impl<S: StateStore> FaultStore<S> {
    /// This store under this plan.
    #[must_use]
    pub fn new(inner: S, plan: Plan) -> Self {
        Self { inner, plan, trace: None, applied: Arc::default() }
    }

    /// Writes its commits into this trace.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The plan that it meets.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many commits through this wrapper were applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    async fn apply(&self, txn: Txn) -> Result<Commit, StoreError> {
        let step = Step::of(&txn);
        let outcome = self.inner.commit(txn).await;
        self.record(step, &outcome);
        outcome
    }

    fn record(&self, step: Step, outcome: &Result<Commit, StoreError>) {
        let Step { label, rows } = step;
        let event = match outcome {
            Ok(Commit::Applied(_)) => {
                self.applied.fetch_add(1, Ordering::Relaxed);
                Event::Commit { label, rows }
            }
            Ok(Commit::Conflict(_)) => Event::Conflict { label },
            Err(_) => return,
        };
        if let Some(trace) = &self.trace {
            trace.push(event);
        }
    }
}

/// What a trace says about a transaction.
struct Step {
    label: &'static str,
    rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Step {
    fn of(txn: &Txn) -> Self {
        Self { label: txn.label, rows: rows_of(txn) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for FaultStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        // An answer can be lost on the way.
        self.inner.capabilities().certain(false)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let pass = self.plan.enter(&["get", "read"], Fault::asking, |_| unavailable()).await?;
        pass.leave(self.inner.get_many(keys).await).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let pass = self.plan.enter(&["scan", "read"], Fault::asking, |_| unavailable()).await?;
        pass.leave(self.inner.scan(query).await).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let id = txn.id;
        let error = move |happened| refusal(happened, id);
        let pass = self.plan.enter(&[txn.label, "commit"], Fault::telling, error).await?;
        pass.leave(self.apply(txn).await).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        if self.plan.is_calm() {
            self.plan.power().gate().await;
            let steps: Vec<Step> = txns.iter().map(Step::of).collect();
            let outcomes = self.inner.commit_many(txns).await;
            self.plan.power().gate().await;
            steps.into_iter().zip(&outcomes).for_each(|(step, done)| self.record(step, done));
            return outcomes;
        }
        // One by one, so that each meets its own fault.
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit(txn).await);
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        let error = |happened| refusal(happened, TxnId::default());
        let pass = self.plan.enter(&["raise"], Fault::telling, error).await?;
        pass.leave(self.inner.raise(least).await).await
    }

    /// Reads of the snapshot meet the plan's faults, too.
    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let pass = self.plan.enter(&["snapshot", "read"], Fault::asking, |_| unavailable()).await?;
        let frozen = pass.leave(self.inner.snapshot().await).await?;
        Ok(Arc::new(FaultStore::new(frozen, self.plan.clone())))
    }
}

fn refusal(happened: Happened, id: TxnId) -> StoreError {
    match happened {
        Happened::Maybe => StoreError::OutcomeUnknown(id),
        _ => unavailable(),
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("a fault was injected".to_owned())
}
