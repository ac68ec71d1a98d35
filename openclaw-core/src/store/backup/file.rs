//! A backup that is read: verified whole, then a store that only reads.

use std::{
    fmt,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    ops::{Bound, Range, RangeBounds as _},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    BackupError, BackupSummary,
    frame::{self, Begin, End, Frame, Kind},
};
use crate::{
    Clock, Digest, Timestamp,
    store::{
        frozen::{Facts, Frozen, Moment},
        memory::bounds,
    },
    traits::store::{
        Commit, Entry, Key, Page, ScanQuery, SharedStore, Snapshot, StateStore, StoreCapabilities,
        StoreError, Txn, Version,
    },
};

/// What a store of backups may hold: as much as any engine's.
const LIMITS: StoreCapabilities = StoreCapabilities::new(true);

/// A backup as a store that only reads.
///
/// Opening it reads it from end to end and checks every byte: a file that is cut off, torn or
/// changed is refused, with the place. What it holds can then be looked at like any store, by
/// scans, by `records::Inventory`, by the trails of `records::AuditLog`; and be copied into another
/// one. To go on from it, use `records::Restore`.
///
/// Its time is the clock's at the opening: what has expired since the backup is absent. Rows are
/// read from the file when they are asked for, and checked again; an index of a name for each
/// quarter of a mebibyte is in memory.
#[derive(Clone)]
pub struct BackupFile {
    frozen: Frozen,
    summary: BackupSummary,
}

impl BackupFile {
    /// Opens a backup, and checks all of it.
    ///
    /// It blocks for as long as reading the file takes.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] names the byte where the first wrong block begins.
    #[expect(clippy::needless_pass_by_value, reason = "as every store is opened")]
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, BackupError> {
        let place = path.as_ref().display().to_string();
        let cannot = |source| BackupError::Read { place: place.clone(), source };
        let file = File::open(path.as_ref()).map_err(cannot)?;
        Self::verified(BufReader::new(file), &clock, place.clone()).map_err(|e| e.in_place(&place))
    }

    /// Takes a backup from anything that reads bytes at places, and checks all of it.
    ///
    /// # Errors
    /// As [`BackupFile::open`].
    #[expect(clippy::needless_pass_by_value, reason = "as every store is opened")]
    pub fn read(
        from: impl Read + Seek + Send + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackupError> {
        Self::verified(BufReader::new(from), &clock, String::new())
    }

    /// What is in it.
    #[must_use]
    pub const fn summary(&self) -> &BackupSummary {
        &self.summary
    }

    fn verified(
        mut from: BufReader<impl Read + Seek + Send + 'static>,
        clock: &Arc<dyn Clock>,
        place: String,
    ) -> Result<Self, BackupError> {
        let Checked { summary, blocks } = check(&mut from)?;
        let as_of = summary.as_of.max(clock.now());
        let facts = Facts { as_of, version: summary.version };
        let from = Mutex::new(Source { from: Box::new(from), last: None });
        let blocks = Blocks { place, blocks, from };
        Ok(Self { frozen: Frozen::new(blocks, facts, LIMITS), summary })
    }
}

impl fmt::Debug for BackupFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BackupFile").field(&self.summary).finish()
    }
}

/// Where a block is, what it is bound to, and its first row.
struct Block {
    first: Key,
    at: u64,
    before: Digest,
}

/// What one pass over all bytes found.
struct Checked {
    summary: BackupSummary,
    blocks: Vec<Block>,
}

fn check(from: &mut impl Read) -> Result<Checked, BackupError> {
    let mut digest = frame::read_head(from)?;
    let mut next = |at: u64| -> Result<Frame, BackupError> {
        let frame = frame::read(from, at, digest)?;
        digest = frame.digest;
        Ok(frame)
    };
    let mut frame = next(frame::HEAD)?;
    let begin: Begin = decoded(&frame, Kind::Begin)?;
    let (mut blocks, mut rows, mut last) = (Vec::new(), 0, None);
    loop {
        frame = next(frame.end())?;
        if frame.kind != Kind::Rows {
            break;
        }
        let found = frame::rows(&frame.payload).ok_or_else(|| damaged(frame.at, STRANGE))?;
        for (key, _) in &found {
            if last.as_ref().is_some_and(|last| last >= key) {
                return Err(damaged(frame.at, "its rows are out of order"));
            }
            last = Some(key.clone());
        }
        rows += found.len() as u64;
        let Some((first, _)) = found.into_iter().next() else {
            return Err(damaged(frame.at, STRANGE));
        };
        blocks.push(Block { first, at: frame.at, before: frame.before });
    }
    let end: End = decoded(&frame, Kind::End)?;
    if (end.rows, end.blocks) != (rows, blocks.len() as u64) {
        return Err(damaged(frame.at, "its counts do not fit"));
    }
    let bytes = frame.end();
    let mut more = [0; 1];
    if from.read(&mut more).map_err(frame::reading)? > 0 {
        return Err(damaged(bytes, "something follows its end"));
    }
    let (as_of, version) = (Timestamp::from_millis(begin.as_of), Version::new(begin.version));
    let summary = BackupSummary { as_of, version, rows, bytes, digest: frame.digest };
    Ok(Checked { summary, blocks })
}

const STRANGE: &str = "its rows can't be read";

fn decoded<T: serde::de::DeserializeOwned>(frame: &Frame, kind: Kind) -> Result<T, BackupError> {
    if frame.kind != kind {
        return Err(damaged(frame.at, "its blocks are out of order"));
    }
    postcard::from_bytes(&frame.payload).map_err(|_strange| damaged(frame.at, "it can't be read"))
}

const fn damaged(at: u64, why: &'static str) -> BackupError {
    BackupError::Damaged { place: String::new(), at, why }
}

trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

type Rows = Arc<Vec<(Key, Entry)>>;

struct Source {
    from: Box<dyn ReadSeek>,
    /// The block that was read last: a page seldom ends with its block.
    last: Option<(usize, Rows)>,
}

/// The blocks of a backup, read when they are asked for.
struct Blocks {
    place: String,
    blocks: Vec<Block>,
    from: Mutex<Source>,
}

impl Blocks {
    fn lock(&self) -> MutexGuard<'_, Source> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, n: usize) -> Result<Rows, StoreError> {
        let mut source = self.lock();
        if let Some((_, rows)) = source.last.as_ref().filter(|(last, _)| *last == n) {
            return Ok(Arc::clone(rows));
        }
        let Some(Block { at, before, .. }) = self.blocks.get(n) else { return Ok(Arc::default()) };
        let changed = |e: BackupError| match e.in_place(&self.place) {
            e @ BackupError::Read { .. } => StoreError::Unavailable(e.to_string()),
            e => StoreError::Corrupt(e.to_string()),
        };
        let found = source.from.seek(SeekFrom::Start(*at));
        found.map_err(|e| changed(frame::reading(e)))?;
        let frame = frame::read(&mut source.from, *at, *before).map_err(changed)?;
        let rows = frame::rows(&frame.payload).ok_or_else(|| changed(damaged(*at, STRANGE)))?;
        let rows = Arc::new(rows);
        source.last = Some((n, Arc::clone(&rows)));
        Ok(rows)
    }

    /// The block that has this key, if any does.
    fn of(&self, key: &Key) -> usize {
        self.blocks.partition_point(|block| block.first <= *key).saturating_sub(1)
    }
}

#[async_trait]
impl Moment for Blocks {
    async fn get_many(
        &self,
        keys: &[Key],
        now: Timestamp,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let rows = self.block(self.of(key))?;
            let at = rows.binary_search_by(|(there, _)| there.cmp(key)).ok();
            let row = at.and_then(|at| rows.get(at)).map(|(_, row)| row.clone());
            found.push(row.filter(|row| is_live(row, now)));
        }
        Ok(found)
    }

    async fn page(&self, query: &ScanQuery, now: Timestamp) -> Result<Page, StoreError> {
        let wanted = bounds(query);
        let limit = query.limit.get();
        let mut page = Page::default();
        let mut left = self.range(&wanted);
        while let Some(n) = if query.reverse { left.next_back() } else { left.next() } {
            let rows = self.block(n)?;
            let (mut forwards, mut backwards) = (rows.iter(), rows.iter().rev());
            let rows: &mut dyn Iterator<Item = &(Key, Entry)> =
                if query.reverse { &mut backwards } else { &mut forwards };
            let live = |(key, row): &&(Key, Entry)| wanted.contains(key) && is_live(row, now);
            for row in rows.filter(live) {
                if page.rows.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.rows.push(row.clone());
            }
        }
        Ok(page)
    }
}

impl Blocks {
    /// The blocks in which rows of a range may be.
    fn range(&self, (low, high): &(Bound<Key>, Bound<Key>)) -> Range<usize> {
        let first = match low {
            Bound::Included(key) | Bound::Excluded(key) => self.of(key),
            Bound::Unbounded => 0,
        };
        let end = match high {
            Bound::Included(key) | Bound::Excluded(key) => {
                self.blocks.partition_point(|block| block.first <= *key)
            }
            Bound::Unbounded => self.blocks.len(),
        };
        first..end
    }
}

fn is_live(row: &Entry, now: Timestamp) -> bool {
    row.expires_at.is_none_or(|at| at > now)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StateStore for BackupFile {
    fn capabilities(&self) -> StoreCapabilities {
        self.frozen.capabilities()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Snapshot<Vec<Option<Entry>>>, StoreError> {
        self.frozen.get_many(keys).await
    }

    async fn scan(&self, query: ScanQuery) -> Result<Snapshot<Page>, StoreError> {
        self.frozen.scan(query).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.frozen.commit(txn).await
    }

    async fn commit_many(&self, txns: Vec<Txn>) -> Vec<Result<Commit, StoreError>> {
        self.frozen.commit_many(txns).await
    }

    async fn raise(&self, least: Version) -> Result<(), StoreError> {
        self.frozen.raise(least).await
    }

    async fn snapshot(&self) -> Result<SharedStore, StoreError> {
        self.frozen.snapshot().await
    }
}
