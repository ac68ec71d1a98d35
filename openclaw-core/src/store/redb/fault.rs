//! redb's errors in the words of the store.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{DatabaseError, StorageError};

use crate::traits::store::StoreError;

/// Runs what reads or writes the file.
///
/// redb panics over some damaged pages. A damaged file is an answer: it takes neither the
/// caller's task nor the writer with it.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, StoreError> {
    let damaged = |_| StoreError::Corrupt("the engine can't make sense of the file".to_owned());
    catch_unwind(AssertUnwindSafe(work)).map_err(damaged)
}

/// What an error of a running store means to its caller.
pub(super) fn fault(e: impl Into<redb::Error>) -> StoreError {
    match e.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        redb::Error::Io(e) if is_full(&e) => StoreError::Full(e.to_string()),
        redb::Error::Io(e) => StoreError::Unavailable(e.to_string()),
        e @ (redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }) => StoreError::Corrupt(e.to_string()),
        e => StoreError::Unavailable(e.to_string()),
    }
}

/// What an error of opening means to the person who has to do something about it.
pub(super) fn cannot_open(path: &Path, e: DatabaseError) -> StoreError {
    let at = path.display();
    match e {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(format!(
            "{at} is open in another process, or twice in this one: stop the other or choose \
             another file"
        )),
        DatabaseError::Storage(StorageError::Io(e)) => cannot_use(path, &e),
        DatabaseError::Storage(StorageError::Corrupted(what)) => {
            StoreError::Corrupt(format!("{at}: {what}: restore it from a backup"))
        }
        DatabaseError::UpgradeRequired(version) => StoreError::Corrupt(format!(
            "{at} has the file format {version} of an older engine: convert it or choose another \
             file"
        )),
        e => StoreError::Unavailable(format!("{at}: {e}")),
    }
}

/// What an error of the operating system means to the person who gave this path.
pub(super) fn cannot_use(path: &Path, e: &io::Error) -> StoreError {
    let at = path.display();
    match e.kind() {
        _ if is_full(e) => StoreError::Full(format!("{at}: {e}: free some space")),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            StoreError::Corrupt(format!("{at} is not a store: move it away or choose another file"))
        }
        io::ErrorKind::NotFound => StoreError::Unavailable(format!(
            "{at} can't be made: its directory does not exist: create it"
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Unavailable(format!(
                "{at} can't be written: {e}: give this user the right to write there or choose \
                 another directory"
            ))
        }
        io::ErrorKind::IsADirectory => {
            StoreError::Unavailable(format!("{at} is a directory: name a file in it"))
        }
        _ => StoreError::Unavailable(format!("{at}: {e}")),
    }
}

/// Adds the path to what a file says about itself.
pub(super) fn in_file(path: &Path, e: StoreError) -> StoreError {
    let at = path.display();
    match e {
        StoreError::Corrupt(what) => StoreError::Corrupt(format!("{at}: {what}")),
        StoreError::Unavailable(what) => StoreError::Unavailable(format!("{at}: {what}")),
        StoreError::Full(what) => StoreError::Full(format!("{at}: {what}")),
        e => e,
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_systems_no_becomes_one_line_that_says_what_to_do() {
        use io::ErrorKind as Kind;
        let said = |kind: Kind| cannot_use(Path::new("data/state.redb"), &kind.into()).to_string();
        for (kind, todo) in [
            (Kind::PermissionDenied, "give this user the right to write there"),
            (Kind::ReadOnlyFilesystem, "choose another directory"),
            (Kind::NotFound, "create it"),
            (Kind::IsADirectory, "name a file in it"),
            (Kind::StorageFull, "free some space"),
            (Kind::InvalidData, "is not a store"),
            (Kind::Other, "other error"),
        ] {
            let line = said(kind);
            assert!(line.contains("data/state.redb") && line.contains(todo), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
