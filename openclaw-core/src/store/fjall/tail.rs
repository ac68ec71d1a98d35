//! The end of the journal after power loss.
//!
//! fjall cuts a journal that ends in the middle of a batch, but refuses one whose last batch has
//! an end and a hole, as when the pages of an unfinished sync reached the disk in another order.
//! Such a batch was never answered: a batch is begun only when the one before is synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

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
    let mut buf = vec![0; 1 << 16];
    let mut end = len;
    while end > 0 {
        let size = usize::try_from(end).map_or(buf.len(), |left| left.min(buf.len()));
        let start = end - size as u64;
        let chunk = buf.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(chunk)?;
        if let Some((at, byte)) = (start..).zip(chunk.iter()).filter(|(_, b)| **b != 0).last() {
            return Ok(Some((at, *byte)));
        }
        end = start;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

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
