//! A disk that loses what was not synced, and fails on demand.
//!
//! ```
//! use openclaw_core::store::Disk;
//! use openclaw_testkit::disk::FaultDisk;
//!
//! let disk = FaultDisk::new();
//! disk.write(0, b"kept")?;
//! disk.sync()?;
//! disk.fail_sync(1);
//! disk.write(4, b"lost")?;
//! assert!(disk.sync().is_err());
//! assert!(disk.sync().is_ok(), "as kernels do: the error is told once, the data is gone");
//! assert_eq!(disk.len()?, 8);
//! assert_eq!(disk.cut(7).len()?, 4);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openclaw_core::store::Disk;

use crate::env::SeededRng;

/// What a disk writes as one; a torn write ends on its border.
const SECTOR: u64 = 512;

/// A disk in memory with a volatile and a durable half. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What reads see.
    seen: Vec<u8>,
    /// What survives for certain.
    kept: Vec<u8>,
    /// What was done since, in order.
    pending: Vec<Change>,
    counts: Counts,
    faults: Faults,
}

/// What a disk was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Syncs that began, failed ones included.
    pub syncs_begun: u64,
    /// Syncs that were answered with success.
    pub syncs: u64,
    /// Reads, failed ones included.
    pub reads: u64,
    /// Writes, failed ones included.
    pub writes: u64,
    /// Writes, syncs and length sets, failed ones included.
    pub operations: u64,
}

/// Places, counted as in [`Counts`], at which the disk fails.
#[derive(Debug, Default)]
struct Faults {
    read: Option<u64>,
    sync: Option<u64>,
    full: Option<u64>,
    dark: Option<u64>,
    broken_sync: bool,
}

#[derive(Debug)]
enum Change {
    Write { at: u64, data: Vec<u8> },
    Len(u64),
}

impl FaultDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails the `n`-th sync from now with an I/O error, once.
    ///
    /// What it should have kept is lost for good, as with a kernel that marks the pages clean.
    pub fn fail_sync(&self, n: u64) {
        let mut state = self.lock();
        state.faults.sync = Some(state.counts.syncs_begun + n);
    }

    /// Fails the `n`-th read from now with an I/O error, once.
    pub fn fail_read(&self, n: u64) {
        let mut state = self.lock();
        state.faults.read = Some(state.counts.reads + n);
    }

    /// Has no space left from the `n`-th write from now on, until [`FaultDisk::free`].
    pub fn fill_up(&self, n: u64) {
        let mut state = self.lock();
        state.faults.full = Some(state.counts.writes + n);
    }

    /// Has space again.
    pub fn free(&self) {
        self.lock().faults.full = None;
    }

    /// Loses power at the `n`-th operation from now: it and all later ones fail.
    ///
    /// [`FaultDisk::cut`] then shows what is left.
    pub fn lose_power(&self, n: u64) {
        let mut state = self.lock();
        state.faults.dark = Some(state.counts.operations + n);
    }

    /// Counts syncs from now on, answers them with success, and keeps nothing.
    pub fn break_sync(&self) {
        self.lock().faults.broken_sync = true;
    }

    /// What it was asked for.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// The disk that power loss at this moment leaves behind.
    ///
    /// Everything synced is there. Of what was not, the seed decides, sector by sector: some
    /// of it is there whole, some torn, some not at all, so that a later write can have
    /// overtaken an earlier one.
    #[must_use]
    pub fn cut(&self, seed: u64) -> Self {
        let state = self.lock();
        let rng = SeededRng::new(seed);
        let mut left = state.kept.clone();
        for change in &state.pending {
            match (change, rng.below(3)) {
                (_, 0) => {}
                (Change::Write { at, data }, 1) => {
                    tear(*at, data, |at, part| {
                        if rng.below(2) == 1 {
                            put(&mut left, at, part);
                        }
                    });
                }
                (change, _) => change.apply(&mut left),
            }
        }
        let state = State { seen: left.clone(), kept: left, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation; no power, no operation.
    fn operate(&mut self) -> io::Result<()> {
        self.counts.operations += 1;
        match self.faults.dark {
            Some(dark) if self.counts.operations >= dark => Err(io::Error::other("no power")),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => put(bytes, *at, data),
            Self::Len(len) => bytes.resize(index(*len), 0),
        }
    }
}

impl Disk for FaultDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().seen.len() as u64)
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.counts.reads += 1;
        if state.faults.read == Some(state.counts.reads) {
            return Err(io::Error::other("the disk failed while it read"));
        }
        let from = index(at);
        let found = state.seen.get(from..from.saturating_add(buf.len()));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.operate()?;
        state.change(Change::Len(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.counts.syncs_begun += 1;
        state.operate()?;
        if state.faults.sync == Some(state.counts.syncs_begun) {
            state.pending.clear();
            return Err(io::Error::other("the disk failed while it synced"));
        }
        state.counts.syncs += 1;
        if !state.faults.broken_sync {
            let State { kept, pending, .. } = &mut *state;
            pending.drain(..).for_each(|change| change.apply(kept));
        }
        Ok(())
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.counts.writes += 1;
        state.operate()?;
        if state.faults.full.is_some_and(|full| state.counts.writes >= full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.change(Change::Write { at, data: data.to_vec() });
        Ok(())
    }
}

fn put(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (from, to) = (index(at), index(at).saturating_add(data.len()));
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    if let Some(place) = bytes.get_mut(from..to) {
        place.copy_from_slice(data);
    }
}

/// The sectors of a write.
fn tear(mut at: u64, mut data: &[u8], mut sector: impl FnMut(u64, &[u8])) {
    while !data.is_empty() {
        let (part, rest) = data.split_at(index(SECTOR - at % SECTOR).min(data.len()));
        sector(at, part);
        at += part.len() as u64;
        data = rest;
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
