//! A store whose values only the holder of a key can read.

mod add;
mod keys;
mod reseal;
mod seal;

use std::sync::Arc;

use async_trait::async_trait;

use self::{
    add::Known,
    seal::{Bound, OVERHEAD},
};
pub use self::{
    keys::{Keys, SealKey},
    reseal::Resealed,
};
use crate::traits::store::{
    Commit, Conflict, Entry, Key, Op, Page, ScanQuery, SharedStore, Snapshot, StateStore,
    StoreCapabilities, StoreError, Txn, Version,
};

/// How often a commit begins anew because others write the numbers it adds to.
const TRIES: usize = 64;

/// A [`StateStore`] that seals what it hands to another one.
///
/// Values are sealed by XChaCha20-Poly1305, each under 24 random bytes and bound to the key of
/// its row: who reads the files, the server or a backup sees no value, and a value that was
/// changed, or moved to another row, does not open. What does not open is
/// [`StoreError::Corrupt`], which names the table of the row and nothing else.
///
/// What it does not hide, and does not protect:
///
/// * **Keys**, that is the names of rows, their versions, expiries and sizes: they stay plain.
/// * **Numbers.** The store below adds to them, so an [`Op::Add`] leaves eight plain bytes, and
///   whoever can write there can write another number. A value of eight bytes that was put is
///   sealed like any other, until something is added to it.
/// * **Age.** Who can write below can put an older value of the same row back, remove rows, or
///   change the order of rows within one log ([`Op::Append`]): those are bound to their log.
///
/// Everything else is as in the store below; only its largest value is 45 bytes smaller. An add
/// to a row that was put may begin anew when others write the row, and a batch of
/// [`commit_many`](StateStore::commit_many) is divided at its adds.
///
/// ```
/// use openclaw_core::{Env, store::{Key, Keys, MemoryStore, Op, SealKey, SealedStore, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), openclaw_core::store::StoreError> {
/// let below = MemoryStore::new(Env::system().clock());
/// let keys = Keys::sealing("2026-11", &SealKey::from_bytes(&[7; 32]));
/// let store = SealedStore::new(below.clone(), keys);
/// let key = Key::system("doc").text("token").build();
/// store.commit(Txn::new("docs").op(Op::put(key.clone(), "a secret"))).await?;
/// assert_eq!(store.get(&key).await?.map(|row| row.value).as_deref(), Some(&b"a secret"[..]));
///
/// let stored = below.get(&key).await?.map(|row| row.value).unwrap_or_default();
/// assert!(!stored.windows(6).any(|some| some == b"secret"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SealedStore<S> {
    inner: S,
    keys: Arc<Keys>,
}

impl<S: StateStore> SealedStore<S> {
    /// Seals what goes into this store under the first of these keys.
    ///
    /// Rows that are in it already must be sealed: plain ones answer `Corrupt`.
    #[must_use]
    pub fn new(inner: S, keys: Keys) -> Self {
        Self { inner, keys: Arc::new(keys) }
    }

    /// The store below: its values are sealed.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The store below: its values are sealed.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The transaction as the store below gets it.
    fn sealed(&self, txn: &Txn, known: &[Known]) -> Result<Txn, StoreError> {
        let mut ops = Vec::with_capacity(txn.ops.len());
        for (at, op) in txn.ops.iter().enumerate() {
            ops.push(self.sealed_op(&txn.ops, at, op, known)?);
        }
        let guards = txn.guards.iter().cloned().chain(known.iter().map(Known::guard));
        Ok(guards.fold(Txn::new(txn.label).with_id(txn.id).ops(ops), Txn::guard))
    }

    fn sealed_op(&self, ops: &[Op], at: usize, op: &Op, known: &[Known]) -> Result<Op, StoreError> {
        Ok(match op {
            Op::Put { key, value, ttl } if !add::is_added_to(ops, at, key, value) => {
                let value = seal::seal(&self.keys, Bound::Row(key), value)?;
                Op::Put { key: key.clone(), value, ttl: *ttl }
            }
            Op::Append { prefix, value, ttl } => {
                let value = seal::seal(&self.keys, Bound::Log(prefix), value)?;
                Op::Append { prefix: prefix.clone(), value, ttl: *ttl }
            }
            Op::Add { key, ttl, .. } => match add::written(known, at) {
                Some(value) => Op::Put { key: key.clone(), value, ttl: *ttl },
                None => op.clone(),
            },
            op => op.clone(),
        })
    }

    fn open(&self, key: &Key, entry: Entry) -> Result<Entry, StoreError> {
        seal::open(&self.keys, key, entry)
    }

    /// What a conflict below means; `None` when the commit has to begin anew.
    fn judge(
        &self,
        txn: &Txn,
        known: &mut Vec<Known>,
        lost: Conflict,
    ) -> Result<Option<Conflict>, StoreError> {
        let Conflict { failed, current, .. } = lost;
        let (guards, ours) = (txn.guards.len(), known.len());
        let key = match txn.guards.get(failed) {
            Some(guard) => guard.key(),
            None if failed < guards + ours => {
                known.remove(failed - guards);
                return Ok(None);
            }
            None => match txn.ops.get(failed - guards - ours) {
                Some(Op::Add { key, .. }) => key,
                _ => return Err(StoreError::Corrupt("a conflict names no guard".to_owned())),
            },
        };
        let was_sealed = current.as_ref().is_some_and(|row| row.value.len() != seal::NUMBER);
        let current = current.map(|row| self.open(key, row)).transpose()?;
        if failed < guards {
            return Ok(Some(Conflict::new(failed, current)));
        }
        let at = failed - guards - ours;
        match current.as_ref().filter(|_| was_sealed).and_then(|row| Known::of(&txn.ops, at, row)) {
            Some(sum) => {
                known.push(sum);
                Ok(None)
            }
            None => Ok(Some(Conflict::new(failed - ours, current))),
        }
    }

    /// Commits transactions whose adds look at no row, as one batch below.
    async fn together(&self, txns: Vec<Txn>, outcomes: &mut Vec<Result<Commit, StoreError>>) {
        let limits = self.capabilities();
        let prepare = |txn: &Txn| txn.check(&limits).and_then(|()| self.sealed(txn, &[]));
        let (mut below, mut asked) = (Vec::new(), Vec::new());
        for txn in txns {
            let refused = prepare(&txn).map(|sealed| below.push(sealed)).err();
            asked.push((txn, refused));
        }
        let mut answers = self.inner.commit_many(below).await.into_iter();
        for (txn, refused) in asked {
            let answer = match refused {
                Some(e) => Err(e),
                None => answers.next().unwrap_or(Err(StoreError::OutcomeUnknown(txn.id))),
            };
            outcomes.push(match answer {
                Ok(Commit::Conflict(lost)) => self
                    .judge(&txn, &mut Vec::new(), lost)
                    .and_then(|lost| lost.ok_or_else(busy))
                    .map(Commit::Conflict),
                other => other,
            });
        }
    }
}

fn busy() -> StoreError {
    StoreError::Unavailable("others keep writing the numbers of this commit: try again".to_owned())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StateStore> StateStore for SealedStore<S> {
    fn capabilities(&self) -> StoreCapabilities {
        let mut limits = self.inner.capabilities();
        limits.max_value = limits.max_value.saturating_sub(OVERHEAD);
        limits
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        let Snapshot { value, as_of, .. } = self.inner.get_many(keys).await?;
        let rows = keys.iter().zip(value);
        let rows = rows.map(|(key, row)| row.map(|row| self.open(key, row)).transpose());
        Ok(Snapshot::new(rows.collect::<Result<_, _>>()?, as_of))
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        let Snapshot { value: page, as_of, .. } = self.inner.scan(query).await?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for (key, row) in page.rows {
            let row = self.open(&key, row)?;
            rows.push((key, row));
        }
        Ok(Snapshot::new(Page::new(rows, page.more), as_of))
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        txn.check(&self.capabilities())?;
        let mut known = Vec::new();
        for _ in 0..TRIES + txn.ops.len() {
            match self.inner.commit(self.sealed(&txn, &known)?).await? {
                Commit::Applied(applied) => {
                    return Ok(Commit::Applied(add::sums(&txn, &known, applied)));
                }
                Commit::Conflict(lost) => {
                    if let Some(lost) = self.judge(&txn, &mut known, lost)? {
                        return Ok(Commit::Conflict(lost));
                    }
                }
            }
        }
        Err(busy())
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        let mut outcomes = Vec::with_capacity(txns.len());
        let mut batch = Vec::new();
        for txn in txns {
            if add::looks_at_rows(&txn) {
                self.together(std::mem::take(&mut batch), &mut outcomes).await;
                outcomes.push(self.commit(txn).await);
            } else {
                batch.push(txn);
            }
        }
        self.together(batch, &mut outcomes).await;
        outcomes
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.inner.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        let inner = self.inner.snapshot().await?;
        Ok(Arc::new(SealedStore { inner, keys: Arc::clone(&self.keys) }))
    }
}
