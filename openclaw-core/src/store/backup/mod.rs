//! Every row of a store in one file, taken while the store is in use.

mod error;
mod file;
mod frame;
mod writer;

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use self::writer::Writer;
pub use self::{error::BackupError, file::BackupFile};
use super::{
    copy::{Pages, everything, unfinished_marks},
    disk::sync_directory,
};
use crate::{
    Digest, Timestamp,
    traits::store::{Commit, Guard, ScanQuery, StateStore, Txn, Version},
};

/// Writes every row of a store into one file, while the store is in use.
///
/// It takes a [`snapshot`](StateStore::snapshot) and writes that, in the order of the keys, in
/// blocks with a checksum each. Memory is bounded: about a mebibyte of rows at a time.
///
/// * **Values** are what the store gives. Over `SealedStore` they are plain; back up the store
///   below it to keep them sealed.
/// * **Versions and expiry** are kept: [`BackupFile`] shows them.
/// * **What is acknowledged later is not in it.** `as_of` of the summary says from when it is.
///
/// [`BackupFile`] reads the file, as one more store. `records::Restore` puts it into an empty
/// one, and says what became of the messages that were under way.
///
/// ```
/// use openclaw_core::{Env, store::{Backup, BackupFile, Key, MemoryStore, Op, StateStore, StateStoreExt, Txn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("monday.backup");
/// let clock = Env::system().clock();
/// let store = MemoryStore::new(clock.clone());
/// let key = Key::system("doc").build();
/// store.commit(Txn::new("docs").op(Op::put(key.clone(), "hello"))).await?;
///
/// let summary = Backup::new(store).save(&path).await?;
/// assert_eq!(summary.rows, 1);
///
/// let file = BackupFile::open(&path, clock)?;
/// assert_eq!(*file.summary(), summary);
/// assert_eq!(file.get(&key).await?.map(|row| row.value).as_deref(), Some(&b"hello"[..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `save` or `write`"]
pub struct Backup<S> {
    store: S,
}

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupSummary {
    /// The moment it shows, by the clock of its store. Nothing behind it is in the backup.
    pub as_of: Timestamp,
    /// The highest version that had been given out.
    pub version: Version,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// A digest over all of it. Kept elsewhere, it shows that the file is still the same.
    pub digest: Digest,
}

impl fmt::Display for BackupSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { as_of, version, rows, bytes, digest } = self;
        write!(f, "{rows} rows in {bytes} bytes as of {as_of}, up to {version}, digest {digest}")
    }
}

impl<S: StateStore> Backup<S> {
    /// A backup of this store, or of the moment that this snapshot shows.
    pub const fn new(store: S) -> Self {
        Self { store }
    }

    /// Writes a file that is there whole or not at all.
    ///
    /// It is written beside its place, under the name with `.part` behind it, synced, and renamed:
    /// a file of this name is replaced only by a whole one. What a crash leaves of the part is
    /// overwritten the next time.
    ///
    /// # Errors
    /// [`BackupError`]: the store does not answer or has no snapshots, or the file can't be
    /// written. No file of this name is made or changed then.
    pub async fn save(&self, path: impl AsRef<Path> + Send) -> Result<BackupSummary, BackupError> {
        let path = path.as_ref().to_owned();
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let cannot = |e| BackupError::Write { place: part.display().to_string(), source: e };
        let mut file = own(&part).map_err(cannot)?;
        let summary = match self.write(&mut file).await {
            Ok(summary) => summary,
            Err(e) => {
                // What is left of it is overwritten the next time.
                drop(fs::remove_file(&part));
                return Err(match e {
                    BackupError::Write { source, .. } => cannot(source),
                    e => e,
                });
            }
        };
        let (from, to) = (part.clone(), path);
        let ended = spawn_blocking(move || -> io::Result<()> {
            file.sync_all()?;
            fs::rename(&from, &to)?;
            sync_directory(&to)
        });
        ended.await.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(cannot)?;
        Ok(summary)
    }

    /// Writes to anything that takes bytes, a block at a time.
    ///
    /// The caller's thread waits for each block, a quarter of a mebibyte, as it does for the reads of
    /// an embedded store. What ends early, by an error or a dropped future, leaves bytes that no
    /// reader takes for a backup.
    ///
    /// # Errors
    /// [`BackupError`]: the store does not answer or has no snapshots, or the bytes are not taken.
    pub async fn write(
        &self,
        out: &mut (impl io::Write + Send),
    ) -> Result<BackupSummary, BackupError> {
        let frozen = self.store.snapshot().await?;
        let ask = unfinished_marks().into_iter().map(Guard::Absent);
        let (as_of, version) = match frozen.commit(ask.fold(Txn::new("backup"), Txn::guard)).await?
        {
            Commit::Applied(applied) => (applied.as_of, applied.version),
            Commit::Conflict(_) => return Err(BackupError::Unfinished),
        };
        let mut writer = Writer::begin(out, as_of, version)?;
        let mut pages = Pages::usual();
        let mut after = None;
        loop {
            let query = ScanQuery::new(everything()).after(after.take()).limit(pages.limit());
            let page = frozen.scan(query).await?.value;
            pages.learn(&page);
            after = page.rows.last().map(|(key, _)| key.clone());
            for (key, row) in page.rows {
                writer.row(&key, &row)?;
            }
            if !page.more || after.is_none() {
                return writer.end();
            }
        }
    }
}

/// Makes a file that nobody else writes.
fn own(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another backup is being written there",
            ));
        }
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(e)) => return Err(e),
    }
    file.set_len(0)?;
    Ok(file)
}
