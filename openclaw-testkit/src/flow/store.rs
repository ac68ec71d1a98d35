//! The store of a test's gateway: watched, and cut off in the middle of a skill call.

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use openclaw_core::{
    Envelope, MessageId, TenantId,
    records::Ledger,
    store::{
        Commit, Entry, Key, MemoryStore, Op, Page, ScanQuery, SharedStore, Snapshot, StateStore,
        StoreCapabilities, StoreError, Txn, Version,
    },
};
use tokio::sync::{Notify, futures::Notified};

use crate::fault::{FaultStore, Plan};

tokio::task_local! {
    /// Set while the test looks: its reads meet no faults and need no power.
    static LOOKING: ();
}

/// Runs a look at the rows past all faults, whatever became of the process.
pub(super) async fn looking<T>(look: impl Future<Output = T>) -> T {
    LOOKING.scope((), look).await
}

/// The rows of a test, which outlive its processes. Clones are the same rows.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) memory: MemoryStore,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    changed: Notify,
    tenants: Mutex<BTreeSet<TenantId>>,
    /// Skills whose next answer is the last thing that their process sees.
    cuts: Mutex<Vec<String>>,
    /// Which message a platform's id may have become.
    admitted: Mutex<Vec<(Key, MessageId)>>,
}

impl Rows {
    pub(super) fn new(memory: MemoryStore) -> Self {
        Self { memory, shared: Arc::default() }
    }

    /// Waits for the next commit from now.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }

    /// A tenant whose ledger may matter.
    pub(super) fn know(&self, tenant: &TenantId) {
        lock(&self.shared.tenants).insert(tenant.clone());
    }

    pub(super) fn cut_in_skill(&self, skill: &str) {
        lock(&self.shared.cuts).push(skill.to_owned());
    }

    /// The store of one process.
    pub(super) fn open(&self, plan: Plan) -> WatchedStore {
        WatchedStore { faulty: FaultStore::new(self.memory.clone(), plan), rows: self.clone() }
    }

    /// The messages that this envelope may have become, whatever its sender was told.
    pub(super) fn admitted(&self, envelope: &Envelope) -> Vec<MessageId> {
        let Some(id) = &envelope.id else { return Vec::new() };
        let place = &envelope.conversation;
        let key = Key::of(&envelope.tenant, "dd").text(place.channel.as_str());
        let key = key.text(&place.account).text(id).build();
        let admitted = lock(&self.shared.admitted);
        admitted.iter().filter(|(seen, _)| *seen == key).map(|(_, id)| *id).collect()
    }

    /// Keeps which message is admitted under which platform's id.
    fn note(&self, txn: &Txn) {
        let puts = txn.ops.iter().filter_map(|op| match op {
            Op::Put { key, .. } => Some(key),
            _ => None,
        });
        let puts: Vec<&Key> = puts.collect();
        let ("admit", [live, seen, ..]) = (txn.label, puts.as_slice()) else { return };
        if let Some(id) = live.as_bytes().last_chunk() {
            lock(&self.shared.admitted).push(((*seen).clone(), MessageId::from_bytes(*id)));
        }
    }

    /// Is this the receipt of a skill's call that is to be cut off?
    async fn is_cut(&self, txn: &Txn) -> Result<bool, openclaw_core::Error> {
        let cuts = lock(&self.shared.cuts).clone();
        if txn.label != "settle" || cuts.is_empty() {
            return Ok(false);
        }
        let tenants = lock(&self.shared.tenants).clone();
        for tenant in tenants {
            let ledger = Ledger::new(Arc::new(self.memory.clone()), tenant.clone());
            for (turn, operation, record) in ledger.all().await? {
                let key = Key::of(&tenant, "fx").id(turn).text(&operation).build();
                let is_it = |op: &Op| matches!(op, Op::Put { key: put, .. } if *put == key);
                let written = txn.ops.iter().any(is_it);
                let at = cuts.iter().position(|skill| **skill == *record.target);
                if let Some(at) = at.filter(|_| written) {
                    lock(&self.shared.cuts).remove(at);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store of one process over the rows of the test.
#[derive(Clone, Debug)]
pub(super) struct WatchedStore {
    faulty: FaultStore<MemoryStore>,
    rows: Rows,
}

impl WatchedStore {
    fn looks() -> bool {
        LOOKING.try_with(|()| ()).is_ok()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for WatchedStore {
    fn capabilities(&self) -> StoreCapabilities {
        self.faulty.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        if Self::looks() {
            return self.rows.memory.get_many(keys).await;
        }
        self.faulty.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        if Self::looks() {
            return self.rows.memory.scan(query).await;
        }
        self.faulty.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let cut = self.rows.is_cut(&txn).await;
        if cut.map_err(|e| StoreError::Unavailable(e.to_string()))? {
            self.faulty.plan().power().cut();
            pending::<()>().await;
        }
        self.rows.note(&txn);
        let outcome = self.faulty.commit(txn).await;
        self.rows.shared.changed.notify_waiters();
        outcome
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::with_capacity(txns.len());
        for txn in txns {
            outcomes.push(self.commit(txn).await);
        }
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.faulty.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        if Self::looks() {
            return self.rows.memory.snapshot().await;
        }
        self.faulty.snapshot().await
    }
}
