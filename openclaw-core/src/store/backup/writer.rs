//! Rows become blocks, and blocks become bytes.

use std::io::Write;

use super::{
    BackupError, BackupSummary,
    frame::{self, Begin, End, Kind},
};
use crate::{
    Digest, Timestamp,
    traits::store::{Entry, Key, StoreError, Version},
};

/// Bytes at which a block ends.
const BLOCK: usize = 256 << 10;

/// A backup that is being written.
pub(super) struct Writer<'a, W> {
    out: &'a mut W,
    as_of: Timestamp,
    version: Version,
    block: Vec<u8>,
    digest: Digest,
    rows: u64,
    blocks: u64,
    bytes: u64,
}

impl<'a, W: Write> Writer<'a, W> {
    pub(super) fn begin(
        out: &'a mut W,
        as_of: Timestamp,
        version: Version,
    ) -> Result<Self, BackupError> {
        let (head, digest) = frame::head();
        let block = Vec::new();
        let mut writer =
            Self { out, as_of, version, block, digest, rows: 0, blocks: 0, bytes: frame::HEAD };
        writer.out.write_all(&head).map_err(BackupError::writing)?;
        let begin = Begin { as_of: as_of.as_millis(), version: version.get() };
        writer.frame(Kind::Begin, &encoded(&begin))?;
        Ok(writer)
    }

    pub(super) fn row(&mut self, key: &Key, row: &Entry) -> Result<(), BackupError> {
        let size = key.as_bytes().len() + row.value.len();
        // A row of this size fits into every block, whatever is in front of it.
        let limit = frame::MOST - BLOCK - 64;
        if size > limit {
            return Err(StoreError::TooLarge { what: "row", size, limit }.into());
        }
        frame::push(&mut self.block, key, row)?;
        self.rows += 1;
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    pub(super) fn end(mut self) -> Result<BackupSummary, BackupError> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        let end = End { rows: self.rows, blocks: self.blocks };
        self.frame(Kind::End, &encoded(&end))?;
        self.out.flush().map_err(BackupError::writing)?;
        let Self { as_of, version, rows, bytes, digest, .. } = self;
        Ok(BackupSummary { as_of, version, rows, bytes, digest })
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        let mut block = std::mem::take(&mut self.block);
        self.blocks += 1;
        self.frame(Kind::Rows, &block)?;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn frame(&mut self, kind: Kind, payload: &[u8]) -> Result<(), BackupError> {
        let (bytes, digest) = frame::encode(kind, payload, &self.digest);
        self.out.write_all(&bytes).map_err(BackupError::writing)?;
        self.digest = digest;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Writing numbers into memory can't fail.
fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}
