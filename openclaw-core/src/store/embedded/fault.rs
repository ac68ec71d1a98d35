//! What goes wrong with files, in the words of the store.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::traits::store::StoreError;

/// Runs what reads or writes the files of an engine.
///
/// Some engines panic over damaged pages. A damaged file is an answer: it takes neither the
/// caller's task nor the writer with it.
pub(in crate::store) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, StoreError> {
    let damaged = |_| StoreError::Corrupt("the engine can't make sense of the file".to_owned());
    catch_unwind(AssertUnwindSafe(work)).map_err(damaged)
}

/// What an error of the operating system means to the person who gave this path.
pub(in crate::store) fn cannot_use(path: &Path, e: &io::Error) -> StoreError {
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

/// Adds the path to what an engine says about its files.
pub(in crate::store) fn in_place(path: &Path, e: StoreError) -> StoreError {
    let at = path.display();
    match e {
        StoreError::Corrupt(what) => StoreError::Corrupt(format!("{at}: {what}")),
        StoreError::Unavailable(what) => StoreError::Unavailable(format!("{at}: {what}")),
        StoreError::Full(what) => StoreError::Full(format!("{at}: {what}")),
        e => e,
    }
}

/// Is the disk, or what this user may use of it, full?
pub(in crate::store) fn is_full(e: &io::Error) -> bool {
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
