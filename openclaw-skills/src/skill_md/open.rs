//! Opening files below a folder. No link is followed, so that nothing outside can slip in.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path},
};

/// Reads a regular file, `relative` to a folder, of at most `max` bytes. More is
/// [`io::ErrorKind::FileTooLarge`].
///
/// Each folder on the way is opened inside the one before it, without following links: a link that
/// takes the place of a folder after it was looked at is an error.
pub(super) fn read_below(root: &Path, relative: &Path, max: usize) -> io::Result<Vec<u8>> {
    let file = open_below(root, relative)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Only plain names: no `..`, no root, no drive.
fn names(relative: &Path) -> io::Result<Vec<&Path>> {
    let name = |part| match part {
        Component::Normal(name) => Ok(Path::new(name)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves its folder")),
    };
    relative.components().map(name).collect()
}

#[cfg(unix)]
fn open_below(root: &Path, relative: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open, openat};

    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A pipe must not hold us up.
    let leaf = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let names = names(relative)?;
    let (last, folders) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    let mut at = open(root, folder, Mode::empty())?;
    for name in folders {
        at = openat(&at, *name, folder | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(openat(&at, *last, leaf, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open_below(root: &Path, relative: &Path) -> io::Result<File> {
    let mut path = root.to_path_buf();
    for name in names(relative)? {
        path.push(name);
        if path.symlink_metadata()?.is_symlink() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link is in the way"));
        }
    }
    File::open(path)
}
