//! The block device below an engine that keeps everything in one file.

use std::{fmt, fs::File, io, path::Path};

/// A block device: bytes at offsets, durable once synced.
///
/// An engine that takes one runs on anything that keeps this contract: a test's fault disk,
/// an encrypting layer, memory. Each sentence is a law in `openclaw_testkit::conformance::disk`:
///
/// * [`read`](Disk::read) sees every write that returned before, synced or not.
/// * [`sync`](Disk::sync) returns only when every write and length set before it would survive
///   power loss. After it failed, nothing may be assumed about any of them.
/// * Between syncs, writes may reach the medium in any order, in part or not at all.
#[expect(clippy::len_without_is_empty, reason = "a device is measured, not asked if empty")]
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The device's.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` with the bytes at `at`.
    ///
    /// # Errors
    /// `UnexpectedEof` behind the end, else the device's.
    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Cuts it, or lengthens it with zeros.
    ///
    /// # Errors
    /// The device's; `StorageFull` when there is no space.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything so far survive power loss.
    ///
    /// # Errors
    /// The device's. The caller never tries again: the device may have dropped what it could
    /// not write, and would then answer that all is well.
    fn sync(&self) -> io::Result<()>;

    /// Writes `data` at `at`.
    ///
    /// # Errors
    /// The device's; `StorageFull` when there is no space.
    fn write(&self, at: u64, data: &[u8]) -> io::Result<()>;
}

/// Makes the name of a new file survive power loss, not only its bytes.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    use io::ErrorKind as Kind;
    let synced = match File::open(parent.unwrap_or_else(|| Path::new("."))) {
        Ok(directory) => directory.sync_all(),
        // Not every system lets a directory be opened, and one that may be used need not be read.
        Err(e) if e.kind() == Kind::PermissionDenied => return Ok(()),
        Err(e) => Err(e),
    };
    match synced {
        // Not every file system syncs a directory.
        Err(e) if matches!(e.kind(), Kind::InvalidInput | Kind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_can_not_be_opened_is_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(sync_directory(&dir.path().join("file")).is_ok());
        assert!(sync_directory(Path::new("file")).is_ok());
        assert!(sync_directory(&dir.path().join("gone/file")).is_err());
    }
}
