//! The directory that a store's file lies in.

use std::{fs::File, io, path::Path};

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
