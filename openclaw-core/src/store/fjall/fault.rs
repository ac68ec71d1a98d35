//! fjall's errors in the words of the store.

use std::{io, path::Path};

use fjall::{Error, LsmError};

use crate::{
    store::embedded::{cannot_use, is_full},
    traits::store::StoreError,
};

/// What an error of a running store means to its caller.
pub(super) fn fault(e: Error) -> StoreError {
    match e {
        Error::Io(e) | Error::Storage(LsmError::Io(e)) => files(&e),
        Error::Poisoned => StoreError::Closed("an earlier fault of its files".to_owned()),
        e => StoreError::Corrupt(damage(&e)),
    }
}

/// What an error of opening means to the person who has to do something about it.
pub(super) fn cannot_open(path: &Path, e: Error) -> StoreError {
    let at = path.display();
    match e {
        Error::Locked => in_use(path),
        Error::Io(e) | Error::Storage(LsmError::Io(e)) if is_damage(&e) => {
            StoreError::Corrupt(format!("{at}: {e}: restore it from a backup"))
        }
        Error::Io(e) | Error::Storage(LsmError::Io(e)) => cannot_use(path, &e),
        Error::InvalidVersion(Some(version)) => StoreError::Corrupt(format!(
            "{at} has the file format {version} of another engine: convert it or choose another \
             directory"
        )),
        e => StoreError::Corrupt(format!("{at}: {}: restore it from a backup", damage(&e))),
    }
}

/// Somebody else has the directory.
pub(super) fn in_use(path: &Path) -> StoreError {
    StoreError::Locked(format!(
        "{} is open in another process, or twice in this one: stop the other or choose another \
         directory",
        path.display()
    ))
}

fn files(e: &io::Error) -> StoreError {
    if is_full(e) {
        StoreError::Full(e.to_string())
    } else if is_damage(e) {
        StoreError::Corrupt(e.to_string())
    } else {
        StoreError::Unavailable(e.to_string())
    }
}

/// Files that end early, are missing or hold something else were damaged by somebody.
fn is_damage(e: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(e.kind(), Kind::InvalidData | Kind::UnexpectedEof | Kind::NotFound | Kind::Other)
}

fn damage(e: &Error) -> String {
    match e {
        Error::JournalRecovery(what) => format!("its journal is damaged: {what:?}"),
        Error::Storage(what) => format!("its tables are damaged: {what:?}"),
        e => format!("its files are damaged: {e:?}"),
    }
}
