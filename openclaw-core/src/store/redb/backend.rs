//! What redb does to its file, watched on the way down.

use std::{
    io,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

use crate::store::Disk;

/// redb's first bytes; it writes them last when it makes a file.
const MAGIC: usize = 9;

/// Behind these bytes an unfinished file holds nothing but zeros.
const HEADER: u64 = 512;

/// The longest file that may be an unfinished one.
const UNFINISHED: u64 = 16 << 20;

/// What went wrong below redb, and how far a commit came.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Syncs that were asked for and may have made a commit durable.
    syncs: AtomicU64,
    failed: AtomicBool,
    sync_failed: AtomicBool,
}

impl Watch {
    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Acquire)
    }

    /// Did anything fail? redb refuses all work then, until it is opened again.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Did a sync fail? Nothing in the file may be relied on before it is read anew.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }
}

/// A backend that is watched.
#[derive(Debug)]
pub(super) struct Watched<B> {
    inner: B,
    watch: Arc<Watch>,
    /// The length changed, and nothing was written since.
    resized: AtomicBool,
    opened: AtomicBool,
}

impl<B: StorageBackend> Watched<B> {
    pub(super) fn new(inner: B, watch: Arc<Watch>) -> Self {
        let (resized, opened) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { inner, watch, resized, opened }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.watch.failed.store(true, Ordering::Release);
        }
        result
    }

    /// Is this a file whose making was cut short?
    ///
    /// redb writes its first bytes after it synced the rest of an empty file, and can't open
    /// what is left when a crash comes between. Nothing was ever stored in it.
    fn unfinished(&self, len: u64) -> io::Result<bool> {
        if len == 0 || len > UNFINISHED {
            return Ok(false);
        }
        let mut buf = vec![0; 1 << 16];
        let mut at = 0;
        while at < len {
            let size = usize::try_from(len - at).map_or(buf.len(), |left| left.min(buf.len()));
            let chunk = buf.get_mut(..size).unwrap_or_default();
            self.inner.read(at, chunk)?;
            let nothing =
                |(i, byte): (u64, &u8)| *byte == 0 || ((MAGIC as u64)..HEADER).contains(&(at + i));
            if !(0..).zip(chunk.iter()).all(nothing) {
                return Ok(false);
            }
            at += size as u64;
        }
        Ok(true)
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        let len = self.note(self.inner.len())?;
        // redb asks this first, behind its lock: no other process is making the file.
        if !self.opened.swap(true, Ordering::AcqRel) && self.note(self.unfinished(len))? {
            self.note(self.inner.set_len(0))?;
            return Ok(0);
        }
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resized.store(true, Ordering::Release);
        self.note(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        // A failed sync is never tried again: the second answer could be a lie.
        if self.watch.sync_failed() {
            return Err(io::Error::other("an earlier sync failed"));
        }
        // The sync that makes a longer file durable is no part of a commit.
        if !self.resized.swap(false, Ordering::AcqRel) {
            self.watch.syncs.fetch_add(1, Ordering::AcqRel);
        }
        let result = self.inner.sync_data();
        if result.is_err() {
            self.watch.sync_failed.store(true, Ordering::Release);
        }
        self.note(result)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.resized.store(false, Ordering::Release);
        self.note(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

/// A [`Disk`] as redb's backend. It has no locks: whoever has the disk owns it.
#[derive(Debug)]
pub(super) struct OnDisk(pub(super) Arc<dyn Disk>);

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
