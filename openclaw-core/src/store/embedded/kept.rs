//! What every embedded engine keeps beside its rows, and how it makes files last.

use std::{fs::File, io, path::Path};

use crate::Timestamp;

/// Expired rows that a batch clears away beside its own work.
pub(in crate::store) const SWEEP: usize = 32;

/// What outlives the process.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Meta {
    /// The last version that was given out.
    pub(in crate::store) version: u64,
    /// The latest time that a commit answered.
    pub(in crate::store) time: Timestamp,
}

/// Makes the name of a new file survive power loss, not only its bytes.
pub(in crate::store) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Not every system lets a directory be opened, and not every file system syncs one.
    let Ok(directory) = File::open(parent.unwrap_or_else(|| Path::new("."))) else {
        return Ok(());
    };
    match directory.sync_all() {
        Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(e)
        }
        _ => Ok(()),
    }
}
