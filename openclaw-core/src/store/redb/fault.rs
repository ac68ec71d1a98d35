//! redb's errors in the words of the store.

use std::path::Path;

use redb::{DatabaseError, StorageError};

use crate::{
    store::embedded::{cannot_use, is_full},
    traits::store::StoreError,
};

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
