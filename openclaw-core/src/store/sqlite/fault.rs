//! SQLite's errors in the words of the store.

use std::{fs, io, path::Path};

use rusqlite::{Error, ErrorCode, ffi};

use crate::{
    store::embedded::{cannot_use, in_place},
    traits::store::StoreError,
};

/// What an error of a running store means to its caller.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn fault(e: Error) -> StoreError {
    let Some(code) = e.sqlite_error() else {
        return StoreError::Corrupt(format!("a row is not what it should be: {e}"));
    };
    match code.code {
        _ if is_sync(&e) => StoreError::Closed("a sync failed".to_owned()),
        ErrorCode::DatabaseCorrupt => StoreError::Corrupt(format!("{e}: restore it from a backup")),
        ErrorCode::NotADatabase | ErrorCode::TypeMismatch => StoreError::Corrupt(e.to_string()),
        ErrorCode::DiskFull => StoreError::Full(format!("{e}: free some space")),
        _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            StoreError::Full("its file of shared memory can't grow: free some space".to_owned())
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Unavailable(
            "another process holds its lock for too long: find the one that is stuck".to_owned(),
        ),
        _ => StoreError::Unavailable(e.to_string()),
    }
}

/// What an error of opening means to the person who has to do something about it.
pub(super) fn cannot_open(path: &Path, e: Error) -> StoreError {
    let at = path.display();
    match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => cannot_use(path, &io::ErrorKind::InvalidData.into()),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            cannot_use(path, &reason(path).into())
        }
        Some(_) => in_place(path, fault(e)),
        None => StoreError::Unavailable(format!("{at}: {e}: choose another name")),
    }
}

/// Did a sync fail? Nobody knows what it left in the file.
pub(super) fn is_sync(e: &Error) -> bool {
    let failed = [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC];
    e.sqlite_error().is_some_and(|code| failed.contains(&code.extended_code))
}

/// Does it only mean that somebody else is at it?
pub(super) fn is_busy(e: &Error) -> bool {
    matches!(e.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Did a write find no space? It was cut short, so that what it began is not whole.
pub(super) fn is_full(e: &Error) -> bool {
    e.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Why a file can't be opened, without opening it.
///
/// Whoever closes a file of his own takes from SQLite all locks of this process on it.
fn reason(path: &Path) -> io::ErrorKind {
    match (fs::metadata(path), path.parent().map(fs::metadata)) {
        (Ok(there), _) if there.is_dir() => io::ErrorKind::IsADirectory,
        (Err(e), Some(Ok(parent))) if parent.is_dir() && e.kind() == io::ErrorKind::NotFound => {
            io::ErrorKind::PermissionDenied
        }
        (Err(e), _) => e.kind(),
        (Ok(_), _) => io::ErrorKind::PermissionDenied,
    }
}
