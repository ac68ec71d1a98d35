//! The journal after power loss, and after a sync that failed.
//!
//! fjall cuts a journal that ends in the middle of a batch, but refuses one whose last batch has
//! an end and a hole, as when the pages of an unfinished sync reached the disk in another order.
//! Such a batch was never answered: a batch is begun only when the one before is synced.
//!
//! Behind a failed sync a system may show bytes that never reached the disk, and sync no more of
//! them. What is written behind them would be lost with them at the next power loss.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// How much is read or written at once.
const CHUNK: usize = 1 << 16;

/// Writes the newest journal over itself, and syncs it: what is read of it is then on the disk.
///
/// The bytes stay the same, so that a crash in the middle changes nothing.
pub(super) fn write_again(dir: &Path) -> io::Result<()> {
    let Some(path) = newest(dir)? else { return Ok(()) };
    let mut journal = OpenOptions::new().read(true).write(true).open(path)?;
    let len = journal.metadata()?.len();
    let end = last_byte(&mut journal, len)?.map_or(0, |(at, _)| at + 1);
    let mut buf = vec![0; CHUNK];
    let mut at = 0;
    while at < end {
        let size = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = buf.get_mut(..size).unwrap_or_default();
        journal.seek(SeekFrom::Start(at))?;
        journal.read_exact(chunk)?;
        journal.seek(SeekFrom::Start(at))?;
        journal.write_all(chunk)?;
        at += size as u64;
    }
    journal.sync_all()
}

/// The end of a journal, cut off.
pub(super) struct Cut {
    journal: File,
    len: u64,
    at: u64,
    was: u8,
}

impl Cut {
    /// Takes the last byte off the last batch, so that it ends in its middle.
    ///
    /// Behind it a journal has nothing but zeros. `None` when there is no batch at all.
    pub(super) fn last_batch(dir: &Path) -> io::Result<Option<Self>> {
        let Some(path) = newest(dir)? else { return Ok(None) };
        let mut journal = OpenOptions::new().read(true).write(true).open(path)?;
        let len = journal.metadata()?.len();
        let Some((at, was)) = last_byte(&mut journal, len)? else { return Ok(None) };
        journal.set_len(at)?;
        journal.sync_all()?;
        Ok(Some(Self { journal, len, at, was }))
    }

    /// Puts everything back as it was.
    pub(super) fn undo(mut self) -> io::Result<()> {
        self.journal.set_len(self.at)?;
        self.journal.seek(SeekFrom::Start(self.at))?;
        self.journal.write_all(&[self.was])?;
        self.journal.set_len(self.len)?;
        self.journal.sync_all()
    }
}

/// The journal with the highest number.
fn newest(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the last byte is that is no zero, and which.
fn last_byte(file: &mut File, len: u64) -> io::Result<Option<(u64, u8)>> {
    let (mut buf, zeros) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut end = len;
    while end > 0 {
        let size = usize::try_from(end).map_or(buf.len(), |left| left.min(buf.len()));
        let start = end - size as u64;
        let chunk = buf.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(chunk)?;
        // Most of a journal is space set aside: a look at each byte would take long.
        let last =
            if zeros.starts_with(chunk) { None } else { chunk.iter().rposition(|b| *b != 0) };
        if let Some((at, byte)) = last.and_then(|at| Some((at, chunk.get(at)?))) {
            return Ok(Some((start + at as u64, *byte)));
        }
        end = start;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_is_written_again_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        write_again(dir.path()).unwrap();
        let path = dir.path().join("1.jnl");
        for (bytes, zeros) in [(0, 9), (1, 0), (65_536, 65_536), (200_000, 1), (65_537, 0)] {
            let mut content: Vec<u8> = (0..bytes).map(|n: u32| (n % 251) as u8 + 1).collect();
            content.extend(vec![0; zeros]);
            fs::write(&path, &content).unwrap();
            write_again(dir.path()).unwrap();
            assert!(fs::read(&path).unwrap() == content, "{bytes} and {zeros}");
        }
    }

    #[test]
    fn a_cut_takes_the_last_byte_and_puts_it_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Cut::last_batch(dir.path()).unwrap().is_none());
        let mut content = vec![7; 70_000];
        content.extend([0; 200_000]);
        fs::write(dir.path().join("9.jnl"), [1; 9]).unwrap();
        fs::write(dir.path().join("10.jnl"), &content).unwrap();
        let cut = Cut::last_batch(dir.path()).unwrap().unwrap();
        assert_eq!(fs::read(dir.path().join("10.jnl")).unwrap(), &content[..69_999]);
        cut.undo().unwrap();
        assert_eq!(fs::read(dir.path().join("10.jnl")).unwrap(), content);
        assert_eq!(fs::read(dir.path().join("9.jnl")).unwrap(), [1; 9]);
        fs::write(dir.path().join("11.jnl"), [0; 99]).unwrap();
        assert!(Cut::last_batch(dir.path()).unwrap().is_none());
    }
}
