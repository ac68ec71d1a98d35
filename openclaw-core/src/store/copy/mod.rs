//! Every row of one store, moved into another.

mod cursor;
mod report;
mod verify;

use std::{num::NonZeroUsize, time::Duration};

use self::cursor::{Cursor, cursor_key};
pub(crate) use self::cursor::{restore_key, unfinished_marks};
pub use self::report::{CopyError, CopyReport, Difference, Mismatch};
use crate::{
    Timestamp,
    traits::store::{
        Commit, Entry, Guard, Key, Op, Page, Prefix, ScanQuery, Snapshot, StateStore,
        StateStoreExt, Txn, Version,
    },
};

/// Bytes that a page aims at, and that a commit holds at most when it holds several rows.
const PAGE_BYTES: usize = 1 << 20;

/// Rows of the first page, before anything is known of their size.
const FIRST_PAGE: usize = 16;

/// Copies every row of a store into another, empty one.
///
/// Run it while nobody writes to either: through a drained gateway, or from a
/// [`snapshot`](StateStore::snapshot) or a backup, while the store itself is in use. It goes page
/// by page in the order of the keys, and commits each batch together with a cursor, so that a run
/// that was cut short, by an error, a dropped future or a power failure, is taken up by the next.
/// Behind the last row it reads both sides again and compares them; when they agree, the cursor
/// is removed and the destination is in use like any other store.
///
/// * **Values and keys** are the same bytes. Each side may be wrapped: a copy through
///   `SealedStore` seals or opens on the way.
/// * **Expiry.** A row lives as long as it had left, by the clocks of the stores: never shorter,
///   longer by no more than its page took.
/// * **Versions** of the rows are new. The destination is raised first, so that it only gives out
///   versions over every one in the source: logs go on at their end, and no fence that somebody
///   still holds fits again. The source gives out one version, and gets no row.
/// * **Memory.** About a mebibyte of rows at a time; a page of larger rows than the last one's
///   may take more.
///
/// ```
/// use openclaw_core::{Env, store::{Key, MemoryStore, Op, StateStore, StateStoreExt, StoreCopy, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Env::system().clock();
/// let (from, to) = (MemoryStore::new(clock.clone()), MemoryStore::new(clock));
/// let key = Key::system("doc").build();
/// from.commit(Txn::new("docs").op(Op::put(key.clone(), "hello"))).await?;
///
/// let report = StoreCopy::new(from, to.clone()).run().await?;
/// assert!(report.is_exact());
/// assert_eq!((report.copied, report.rows), (1, 1));
/// assert_eq!(to.get(&key).await?.map(|row| row.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run`"]
pub struct StoreCopy<A, B> {
    from: A,
    to: B,
    page: NonZeroUsize,
}

impl<A: StateStore, B: StateStore> StoreCopy<A, B> {
    /// A copy from the first store to the second.
    pub const fn new(from: A, to: B) -> Self {
        const PAGE: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self { from, to, page: PAGE }
    }

    /// Reads at most this many rows at a time; 256 unless set.
    pub const fn page(mut self, rows: NonZeroUsize) -> Self {
        self.page = rows;
        self
    }

    /// Copies what is left, then compares both sides.
    ///
    /// Run it again after any error but [`CopyError::NotEmpty`]: it goes on behind the last batch
    /// that was applied. Dropping the future does no harm either.
    ///
    /// # Errors
    /// [`CopyError`]: it says which side failed. Rows that differ at the end are no error but a
    /// report that is not exact; the destination keeps the cursor then.
    pub async fn run(&self) -> Result<CopyReport, CopyError> {
        self.run_then(None).await
    }

    /// The same; the commit that ends the copy does this, too.
    pub(crate) async fn run_then(&self, then: Option<Op>) -> Result<CopyReport, CopyError> {
        let highest = self.probe().await?;
        let found = self.cursor().await?;
        let resumed = found.is_some();
        self.to.raise(highest).await.map_err(CopyError::Destination)?;
        let began = self.now().await?;
        let (mut cursor, mut version) = match found {
            Some(found) => found,
            None => self.begin().await?,
        };
        let (mut copied, mut pages) = (0, Pages::new(self.page));
        while !cursor.done {
            let query =
                ScanQuery::new(everything()).after(cursor.last.clone()).limit(pages.limit());
            let found = self.from.scan(query).await.map_err(CopyError::Source)?;
            pages.learn(&found.value);
            copied += self.write(found, &mut cursor, &mut version).await?;
        }
        let mut report = self.verify(began, self.page).await?;
        (report.copied, report.resumed) = (copied, resumed);
        report.highest = highest.max(cursor.highest);
        self.to.raise(report.highest).await.map_err(CopyError::Destination)?;
        if report.is_exact() {
            self.end(version, then).await?;
        }
        Ok(report)
    }

    /// A version over all that the source has given out, if it counts them in one row.
    ///
    /// Also refuses a source that is itself the destination of an unfinished copy.
    async fn probe(&self) -> Result<Version, CopyError> {
        let marks = unfinished_marks().into_iter().map(Guard::Absent);
        let ask = marks.fold(Txn::new("copy"), Txn::guard);
        match self.from.commit(ask).await.map_err(CopyError::Source)? {
            Commit::Applied(applied) => Ok(applied.version),
            Commit::Conflict(_) => Err(CopyError::Unfinished),
        }
    }

    /// How far an earlier run came; refuses a destination that holds anything else.
    async fn cursor(&self) -> Result<Option<(Cursor, Version)>, CopyError> {
        let stored = self.to.get(&cursor_key()).await.map_err(CopyError::Destination)?;
        let cursor = match stored {
            Some(row) => {
                let cursor = Cursor::decode(&row.value).map_err(CopyError::Destination)?;
                Some((cursor, row.version))
            }
            None => None,
        };
        if cursor.as_ref().is_none_or(|(cursor, _)| !cursor.done) {
            let last = cursor.as_ref().and_then(|(cursor, _)| cursor.last.clone());
            let two = NonZeroUsize::MIN.saturating_add(1);
            let query = ScanQuery::new(everything()).after(last).limit(two);
            let behind = self.to.scan(query).await.map_err(CopyError::Destination)?.value.rows;
            if let Some((key, _)) = behind.into_iter().find(|(key, _)| *key != cursor_key()) {
                return Err(CopyError::NotEmpty(key));
            }
        }
        Ok(cursor)
    }

    /// Writes the cursor of a copy that has not begun: from here on the destination is its own.
    async fn begin(&self) -> Result<(Cursor, Version), CopyError> {
        let cursor = Cursor::default();
        let txn = Txn::new("copy").guard(Guard::Absent(cursor_key())).op(cursor.put());
        let version = self.commit(txn).await?;
        Ok((cursor, version))
    }

    async fn end(&self, version: Version, then: Option<Op>) -> Result<(), CopyError> {
        let guard = Guard::VersionIs(cursor_key(), version);
        let txn = Txn::new("copy").guard(guard).op(Op::delete(cursor_key())).ops(then);
        self.commit(txn).await.map(drop)
    }

    /// Writes the rows of a page in as few batches as fit, each with the cursor behind it.
    async fn write(
        &self,
        found: Snapshot<Page>,
        cursor: &mut Cursor,
        version: &mut Version,
    ) -> Result<u64, CopyError> {
        let limits = self.to.capabilities();
        let most = limits.max_ops.saturating_sub(1).max(1);
        let Snapshot { value: Page { rows, more, .. }, as_of, .. } = found;
        let (mut rows, mut copied) = (rows.into_iter().peekable(), 0);
        loop {
            let (mut ops, mut bytes, mut next) = (Vec::new(), 0, cursor.clone());
            while let Some((key, row)) = rows.next_if(|row| {
                ops.is_empty() || (ops.len() < most && bytes + size(row) <= PAGE_BYTES)
            }) {
                bytes += size(&(key.clone(), row.clone()));
                next.take(&key, row.version);
                ops.push(put(key, row, as_of));
            }
            next.done = rows.peek().is_none() && !more;
            let count = ops.len() as u64;
            let guard = Guard::VersionIs(cursor_key(), *version);
            let txn = Txn::new("copy").guard(guard).ops(ops).op(next.put());
            *version = self.commit(txn).await?;
            *cursor = next;
            copied += count;
            if rows.peek().is_none() {
                return Ok(copied);
            }
        }
    }

    async fn commit(&self, txn: Txn) -> Result<Version, CopyError> {
        match self.to.commit(txn).await.map_err(CopyError::Destination)? {
            Commit::Applied(applied) => Ok(applied.version),
            Commit::Conflict(_) => Err(CopyError::Overtaken),
        }
    }

    /// The time of the destination.
    async fn now(&self) -> Result<Timestamp, CopyError> {
        let answer = self.to.get_many(&[]).await.map_err(CopyError::Destination)?;
        Ok(answer.as_of)
    }
}

/// What every key begins with.
pub(crate) fn everything() -> Prefix {
    Prefix::from_bytes("")
}

fn size((key, row): &(Key, Entry)) -> usize {
    key.as_bytes().len() + row.value.len()
}

fn put(key: Key, row: Entry, as_of: Timestamp) -> Op {
    let ttl: Option<Duration> = row.expires_at.map(|at| at.since(as_of));
    Op::Put { key, value: row.value, ttl }
}

/// How many rows to ask for, so that pages stay at about the same size.
#[derive(Debug)]
pub(crate) struct Pages {
    rows: usize,
    most: NonZeroUsize,
}

impl Pages {
    fn new(most: NonZeroUsize) -> Self {
        Self { rows: FIRST_PAGE, most }
    }

    /// At most 256 rows at a time.
    pub(crate) fn usual() -> Self {
        const PAGE: NonZeroUsize = NonZeroUsize::new(256).unwrap();
        Self::new(PAGE)
    }

    pub(crate) fn limit(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.rows).unwrap_or(NonZeroUsize::MIN).min(self.most)
    }

    /// Rows of the size of these would fill so many places; it at most doubles.
    pub(crate) fn learn(&mut self, page: &Page) {
        let bytes: usize = page.rows.iter().map(size).sum();
        let each = (bytes / page.rows.len().max(1)).max(1);
        self.rows = (PAGE_BYTES / each).clamp(1, self.limit().get().saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn pages_grow_over_small_rows_and_shrink_over_large_ones() {
        let page = |count: usize, len: usize| {
            let row = |n| (Key::system("t").number(n).build(), Bytes::from(vec![0; len]));
            let rows = (0..count as u64).map(row);
            let entry = |(key, value)| (key, Entry::new(value, Version::new(1)));
            Page::new(rows.map(entry).collect(), true)
        };
        let mut pages = Pages::new(NonZeroUsize::new(100).unwrap());
        let mut limits = Vec::new();
        for (count, len) in [(16, 10), (32, 10), (64, 10), (100, PAGE_BYTES), (1, 10), (0, 0)] {
            pages.learn(&page(count, len));
            limits.push(pages.limit().get());
        }
        assert_eq!(limits, [32, 64, 100, 1, 2, 4]);
    }
}
