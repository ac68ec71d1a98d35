//! The directory of a store: whose it is, who has it open, how its files come to be.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{
    db::{Db, Memory, Opened},
    fault::in_use,
};
use crate::{
    store::embedded::{cannot_use, guarded, in_place, sync_directory},
    traits::store::StoreError,
};

/// Locked by whoever has the store open; also the sign that the directory is one.
const LOCK: &str = "openclaw.lock";

/// The engine's own files.
const ROWS: &str = "rows";

/// Where the engine keeps its parts, each under its number.
const KEYSPACES: &str = "keyspaces";

/// What the engine writes last when it makes a part: it removes a part without.
const CURRENT: &str = "current";

/// The same before they are complete: a crash leaves nothing else behind.
const MAKING: &str = "making";

/// A directory that this process has to itself.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    lock: File,
}

impl Place {
    /// Takes the directory, and makes it when there is none.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let cannot = |e: io::Error| cannot_use(path, &e);
        match fs::create_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(cannot(e)),
            // What is there may be a name that an earlier process left before it was synced.
            _ => sync_directory(path).map_err(cannot)?,
        }
        if !fs::metadata(path).map_err(cannot)?.is_dir() {
            return Err(StoreError::Unavailable(format!(
                "{} is a file: name a directory",
                path.display()
            )));
        }
        let lock = path.join(LOCK);
        if !lock.try_exists().map_err(cannot)? && fs::read_dir(path).map_err(cannot)?.count() > 0 {
            return Err(StoreError::Corrupt(format!(
                "{} holds files that are no store's: choose an empty directory",
                path.display()
            )));
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(lock)
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(in_use(path)),
            Err(TryLockError::Error(e)) => Err(cannot(e)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what is stored here, and makes it when there is nothing.
    pub(super) fn open(&self, memory: Memory) -> Result<Opened, StoreError> {
        guarded(|| self.with(memory)).unwrap_or_else(|e| Err(in_place(&self.path, e)))
    }

    fn with(&self, memory: Memory) -> Result<Opened, StoreError> {
        let rows = self.path.join(ROWS);
        if !rows.try_exists().map_err(|e| cannot_use(&self.path, &e))? {
            self.make(&rows, memory)?;
        }
        sync_directory(&rows).map_err(|e| cannot_use(&self.path, &e))?;
        self.check(&rows)?;
        Db::open(&self.path, &rows, memory)
    }

    /// Makes an empty store beside its place, and moves it there when it is whole.
    fn make(&self, rows: &Path, memory: Memory) -> Result<(), StoreError> {
        let cannot = |e: io::Error| cannot_use(&self.path, &e);
        let making = self.path.join(MAKING);
        match fs::remove_dir_all(&making) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
            _ => {}
        }
        Db::make(&self.path, &making, memory)?;
        // The engine syncs what is in its parts, and not all of their names.
        for part in [making.join(KEYSPACES).join("0"), making.join(KEYSPACES)] {
            sync_directory(&part).map_err(cannot)?;
        }
        fs::rename(&making, rows).map_err(cannot)
    }

    /// Refuses what the engine would take for a new store, or fall over, or clear away.
    fn check(&self, rows: &Path) -> Result<(), StoreError> {
        let names = |dir: &Path| -> Result<Vec<String>, StoreError> {
            let cannot = |e: io::Error| cannot_use(&self.path, &e);
            let name = |entry: io::Result<fs::DirEntry>| {
                entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
            };
            fs::read_dir(dir).map_err(cannot)?.map(|e| name(e).map_err(cannot)).collect()
        };
        let missing = |what: &str| {
            StoreError::Corrupt(format!(
                "{}: its {what} is missing: restore it from a backup",
                self.path.display()
            ))
        };
        let own = names(rows)?;
        if !own.iter().any(|name| name == "version") {
            return Err(missing("version"));
        }
        if !own.iter().any(|name| name.ends_with(".jnl")) {
            return Err(missing("journal"));
        }
        if !own.iter().any(|name| name == KEYSPACES) {
            return Err(missing(KEYSPACES));
        }
        let mut parts = names(&rows.join(KEYSPACES))?;
        if let Some(name) = parts.iter().find(|name| name.parse::<u64>().is_err()) {
            return Err(StoreError::Corrupt(format!(
                "{}: {name:?} does not belong among its files: move it away",
                self.path.display()
            )));
        }
        // The names of the others are in this one.
        parts.push("0".to_owned());
        for part in parts {
            let current = Path::new(KEYSPACES).join(part).join(CURRENT);
            if !rows.join(&current).try_exists().map_err(|e| cannot_use(&self.path, &e))? {
                return Err(missing(&current.display().to_string()));
            }
        }
        Ok(())
    }
}

/// Says that nobody has it any more: a child of this process may hold the same file open.
impl Drop for Place {
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}
