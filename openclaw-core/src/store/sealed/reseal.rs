//! Rows under old keys, rewritten under the first.

use super::{
    SealedStore,
    seal::{self, Bound},
};
use crate::traits::store::{Commit, Guard, Key, Op, ScanQuery, StateStore, StoreError, Txn};

/// What one page of [`SealedStore::reseal`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// Rows that are now under the first key.
    pub rewritten: u64,
    /// Rows that somebody else wrote meanwhile: look at them again in another pass.
    pub overtaken: u64,
    /// Where the next page begins; `None` behind the last one.
    pub next: Option<Key>,
}

impl<S: StateStore> SealedStore<S> {
    /// Rewrites the rows of one page that are sealed under an old key.
    ///
    /// The page is that of the query. Each row is rewritten only if nobody changed it since it was
    /// read. Its expiry stays: never earlier, later by no more than the page took. **Its version
    /// changes**: who holds one as a fence loses its next commit, so reseal leases and claims
    /// while nobody holds them.
    ///
    /// Call it with `next` as the cursor until there is none; after a crash or an error, with the
    /// same cursor again. When a whole pass has rewritten and overtaken nothing, the old keys can
    /// leave the ring.
    ///
    /// ```
    /// use openclaw_core::{Env, store::{Key, Keys, MemoryStore, Op, Prefix, ScanQuery, SealKey, SealedStore, StateStore, Txn}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let below = MemoryStore::new(Env::system().clock());
    /// let (old, new) = (SealKey::from_bytes(&[1; 32]), SealKey::from_bytes(&[2; 32]));
    /// let before = SealedStore::new(below.clone(), Keys::sealing("old", &old));
    /// before.commit(Txn::new("docs").op(Op::put(Key::system("doc").build(), "text"))).await?;
    ///
    /// let store = SealedStore::new(below, Keys::sealing("new", &new).opening("old", &old)?);
    /// let (mut page, mut rewritten) = (ScanQuery::new(Prefix::from_bytes("")), 0);
    /// loop {
    ///     let done = store.reseal(page.clone()).await?;
    ///     rewritten += done.rewritten;
    ///     match done.next {
    ///         Some(key) => page = page.after(Some(key)),
    ///         None => break,
    ///     }
    /// }
    /// assert_eq!(rewritten, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Corrupt` for a row that no key of the ring opens; else as [`StateStore::commit_many`]. What
    /// was rewritten before stays so.
    pub async fn reseal(&self, page: ScanQuery) -> Result<Resealed, StoreError> {
        let found = self.get_ref().scan(page).await?;
        let mut txns = Vec::new();
        for (key, row) in &found.value.rows {
            if !seal::is_old(&self.keys, &row.value) {
                continue;
            }
            let (version, expires) = (row.version, row.expires_at);
            let opened = self.open(key, row.clone())?;
            let value = seal::seal(&self.keys, Bound::Row(key), &opened.value)?;
            let ttl = expires.map(|at| at.since(found.as_of));
            let put = Op::Put { key: key.clone(), value, ttl };
            txns.push(Txn::new("reseal").guard(Guard::VersionIs(key.clone(), version)).op(put));
        }
        let mut done = Resealed::default();
        for outcome in self.get_ref().commit_many(txns).await {
            match outcome? {
                Commit::Applied(_) => done.rewritten += 1,
                Commit::Conflict(_) => done.overtaken += 1,
            }
        }
        let last = found.value.rows.into_iter().next_back().map(|(key, _)| key);
        done.next = last.filter(|_| found.value.more);
        Ok(done)
    }
}
